"""The block hook in C: built once per machine with the zig wheel's compiler, kept in the user's cache, loaded
with ctypes.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tinycompile.errors import ToolchainError
from tinycompile.resources import folder

FLAGS = ("-O2", "-shared", "-fPIC", "-nostdlib")


def cache_folder() -> Path:
    """Where built libraries are kept between runs: ``$XDG_CACHE_HOME/tinycompile``, or the platform's usual
    place.
    """
    fallback = os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or fallback) / "tinycompile"


def compilers() -> list[list[str]]:
    """Commands that may compile C for this machine, best first."""
    found = [[path] for name in ("cc", "gcc", "clang") if (path := shutil.which(name))]
    return [[sys.executable, "-m", "ziglang", "cc"], *found]


def build(source: Path, target: Path) -> None:
    """Compiles ``source`` to the shared library ``target``; raises `ToolchainError` where no compiler can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    output = ""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        built = Path(scratch) / target.name
        for compiler in compilers():
            command = [*compiler, *FLAGS, "-o", str(built), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                os.replace(built, target)  # whole or not at all, also when two processes build at once
                return
            output += done.stdout + done.stderr
    raise ToolchainError(
        "cannot build the emulator's block hook",
        command=command,
        output=output,
        hint="pip install ziglang, or install a C compiler named cc",
    )


@cache
def library() -> ctypes.CDLL:
    """The loaded block hook; raises `ToolchainError` where it cannot be built."""
    source = folder("runtime_c") / "emulator" / "block_hook.c"
    key = hashlib.sha256(source.read_bytes() + repr((FLAGS, sys.platform, os.name)).encode()).hexdigest()[:16]
    target = cache_folder() / f"block_hook-{key}.so"
    if not target.exists():
        build(source, target)
    loaded = ctypes.CDLL(str(target))
    loaded.tc_profile_size.restype = ctypes.c_uint64
    loaded.tc_profile_grow.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64]
    loaded.tc_profile_grow.restype = None
    return loaded
