"""The C compilers that tinycompile drives: the clang inside the ``ziglang`` wheel, and GCC when asked for.

What a core needs on the command line is a table. A bare zig CPU name such as ``cortex_m7`` drops FPU, DSP and
MVE without a word while the hard-float calling convention stays, so features are always spelled out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tinycompile.boards import Isa
from tinycompile.errors import ToolchainError

ToolchainName = Literal["zig", "gcc", "cc"]

#: For every compilation. A fused multiply-add would round once where the specification rounds twice.
COMMON = ("-std=c99", "-g0", "-ffp-contract=off", "-fomit-frame-pointer")
#: What generated and runtime C is held to. C99 promises strings of 4,095 characters; assembly may be longer.
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wno-overlength-strings", "-Wconversion", "-Werror")

_FIRMWARE = (
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
)
_ZIG = ("-fno-sanitize=all", "-fno-stack-protector", "-Qunused-arguments")
#: What a loop predicates at its tail (DLSTP, LETP) is every vector instruction, reloads of spilled vectors too: where
#: fewer than all lanes are active in the last turn, they clear the other lanes. Clang 22 puts such reloads of vectors
#: that outlive the loop into it (offsets of a gather in the pixel loop around a sum, when registers run out), and the
#: next turn of the outer loop computes with zeros. QEMU does what the architecture says. The second option keeps loops
#: over intrinsics from becoming such ones. Vectorising itself is left to intrinsics: without those loops, too, clang 22
#: gets wrong sums in the portable average pool (4 channels under 1x4 taps with padding), in which GCC and QEMU agree.
_NO_OWN_VECTORS = (
    "-mllvm", "-tail-predication=disabled", "-mllvm", "-arm-loloops-disable-tailpred", "-fno-vectorize",
)  # fmt: skip
#: On x86-64, clang 22 makes vectors of the C that stands for SXTAB16, and they have wrong sums (an average of 8x8
#: pixels of 64 channels; code of GCC, and its own without this, is right).
_NO_LANES = "-fno-slp-vectorize"
#: Feature of a board to the part of a zig CPU name that switches it on; mve includes half precision.
_ZIG_FPU: Mapping[str, Mapping[str, str]] = {
    "cortex-m4": {"sp": "+vfp4d16sp"},
    "cortex-m7": {"sp": "+fp_armv8d16sp", "dp": "+fp_armv8d16"},
    "cortex-m33": {"sp": "+fp_armv8d16sp"},
    "cortex-m55": {"sp": "+fp_armv8d16sp", "dp": "+fp_armv8d16"},
    "cortex-m85": {"sp": "+fp_armv8d16sp", "dp": "+fp_armv8d16"},
}
_GCC_FPU: Mapping[str, Mapping[str, str]] = {
    "cortex-m4": {"sp": "fpv4-sp-d16"},
    "cortex-m7": {"sp": "fpv5-sp-d16", "dp": "fpv5-d16"},
    "cortex-m33": {"sp": "fpv5-sp-d16"},
    "cortex-m55": {"sp": "fpv5-sp-d16", "dp": "fpv5-d16"},
    "cortex-m85": {"sp": "fpv5-sp-d16", "dp": "fpv5-d16"},
}


@dataclass(frozen=True)
class Toolchain:
    """A compiler that was found: the command that starts it, and the environment it wants."""

    name: ToolchainName
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)

    def target_flags(self, isa: Isa) -> tuple[str, ...]:
        """The flags that select exactly this core: its instructions, its FPU, its calling convention."""
        return _zig_target(isa) if self.name == "zig" else _gcc_target(isa)

    def firmware_flags(self, isa: Isa, *, builtins: bool) -> tuple[str, ...]:
        """Flags for bare metal. ``builtins``: may a call of memcpy with a known size become a load?"""
        flags = (*COMMON, *self.target_flags(isa), *_FIRMWARE)
        if self.name == "zig":  # its bare-metal targets imply -ffreestanding, which switches builtins off
            vectors = _NO_OWN_VECTORS if isa.mve else ()
            return (*flags, *_ZIG, *vectors, *(("-fhosted", "-fbuiltin") if builtins else ("-fno-builtin",)))
        loops = "-fno-tree-loop-distribute-patterns"  # else the loop in memcpy becomes a call of memcpy
        own = "-fno-ipa-icf"  # else equal layers become one function, and its costs those of the first
        return (*flags, own, "-ffreestanding", *(("-fbuiltin",) if builtins else ("-fno-builtin", loops)))

    def link_flags(self, isa: Isa) -> tuple[str, ...]:
        """Flags to link an image for bare metal with nothing but the compiler's own arithmetic library."""
        # zig goes without -nostdlib, which would leave out compiler_rt too
        ours = "-fno-sanitize=all" if self.name == "zig" else "-nostdlib"
        layout = ("-Wl,-e,Reset_Handler", "-Wl,-z,max-page-size=4096", "-Wl,--gc-sections")
        return (*self.target_flags(isa), ours, *layout)

    def libraries(self) -> tuple[str, ...]:
        """What comes last on the linker's command line."""
        return () if self.name == "zig" else ("-lgcc",)

    def host_flags(self) -> tuple[str, ...]:
        """Flags to compile for a shared library of this machine."""
        position = () if sys.platform == "win32" else ("-fPIC",)
        return (*COMMON, *((*_ZIG, _NO_LANES) if self.name == "zig" else ()), *position)

    def host_link_flags(self) -> tuple[str, ...]:
        """Flags to link such a library."""
        if self.name != "zig":
            return ()
        # Without a libc to link with there is none to build first; memcpy is found when loading.
        alone = {"linux": ("-nostdlib",), "darwin": ("-Wl,-undefined,dynamic_lookup",)}
        return ("-fno-sanitize=all", *alone.get(sys.platform, ()))

    def run(self, arguments: Sequence[str], *, scratch: Path, what: str) -> str:
        """Run the compiler; what it wrote. Raises ToolchainError with its command and output.

        ``scratch`` is a folder for its short-lived files. Work for one target at a time is cached for good
        elsewhere.
        """
        command = [*self.command, *arguments]
        hint = _INSTALL[self.name]
        local = {"ZIG_LOCAL_CACHE_DIR": str(scratch)} if self.name == "zig" else {}
        try:
            done = subprocess.run(
                command, env={**os.environ, **self.environment, **local}, text=True, errors="replace",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        except OSError as error:
            raise ToolchainError(f"cannot start {command[0]}: {error}", command=command, hint=hint) from error
        if done.returncode:
            raise ToolchainError(f"{self.name} failed: {what}", command=command, output=done.stdout)
        return done.stdout


@dataclass(frozen=True)
class Unit:
    """One C file to compile: where it is, the flags it needs, the object file to make."""

    source: Path
    flags: tuple[str, ...]
    object: Path


def compile_units(toolchain: Toolchain, units: Iterable[Unit], *, scratch: Path) -> list[Path]:
    """Compile files side by side, one a processor; their object files. Raises ToolchainError for the first
    that fails.
    """

    def one(unit: Unit) -> Path:
        arguments = (*unit.flags, "-c", str(unit.source), "-o", str(unit.object))
        toolchain.run(arguments, scratch=scratch, what=f"compiling {unit.source.name}")
        return unit.object

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(one, units))


def find_toolchain(name: ToolchainName = "zig") -> Toolchain:
    """The compiler of that name: ``zig`` from its wheel, ``gcc`` for Arm, ``cc`` of this machine (host
    libraries only).

    Raises ToolchainError, saying how to install it.
    """
    if name == "zig":
        return _find_zig()
    if name not in _INSTALL:
        raise ToolchainError(f"unknown toolchain {name!r}", hint=f"one of: {', '.join(_INSTALL)}")
    program = "arm-none-eabi-gcc" if name == "gcc" else os.environ.get("CC", "cc")
    path = shutil.which(program)
    if path is None:
        raise ToolchainError(f"{program} is not installed", command=[program], hint=_INSTALL[name])
    return Toolchain(name, (path,))


def cache_folder() -> Path:
    """Where compiled compiler libraries are kept between runs: the platform's cache folder of this user."""
    if "XDG_CACHE_HOME" in os.environ:
        base = Path(os.environ["XDG_CACHE_HOME"])
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "tinycompile"


_INSTALL: Mapping[str, str] = {
    "zig": "pip install --force-reinstall 'ziglang>=0.17.1,<0.18'",
    "gcc": "apt install gcc-arm-none-eabi, or the Arm GNU toolchain; or leave out --toolchain to use clang",
    "cc": "install a C compiler or set CC; or leave out --toolchain to use clang",
}


def _find_zig() -> Toolchain:
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise ToolchainError("the ziglang package is not installed", command=["zig"], hint=_INSTALL["zig"])
    binary = Path(spec.origin).parent / ("zig.exe" if sys.platform == "win32" else "zig")
    if not binary.is_file():
        raise ToolchainError(f"{binary} is missing", command=["zig"], hint=_INSTALL["zig"])
    cache = cache_folder() / "zig"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolchainError(
            f"cannot make the compiler's cache folder {cache}: {error.strerror}",
            command=[str(binary)],
            hint="set XDG_CACHE_HOME to a folder that you can write to",
        ) from error
    environment = {"ZIG_GLOBAL_CACHE_DIR": str(cache)}
    return Toolchain("zig", (str(binary), "cc"), environment)


def _zig_target(isa: Isa) -> tuple[str, ...]:
    cpu = isa.core.replace("-", "_")
    if isa.mve:
        cpu += "+mve_fp" if isa.fpu != "none" else "+mve"
    elif isa.has_dsp and isa.core in ("cortex-m33", "cortex-m55", "cortex-m85"):
        cpu += "+dsp"
    cpu += _ZIG_FPU[isa.core][isa.fpu] if isa.fpu != "none" else ""
    abi = "eabi" if isa.fpu == "none" else "eabihf"
    return ("-target", f"thumb-freestanding-{abi}", f"-mcpu={cpu}")


def _gcc_target(isa: Isa) -> tuple[str, ...]:
    cpu = isa.core
    if isa.core == "cortex-m33" and not isa.has_dsp:
        cpu += "+nodsp"
    if isa.core in ("cortex-m55", "cortex-m85") and not isa.mve:
        cpu += "+nomve"
    if isa.fpu == "none":
        return ("-mthumb", f"-mcpu={cpu}", "-mfloat-abi=soft")
    if isa.mve:  # an explicit -mfpu would take MVE away again
        return ("-mthumb", f"-mcpu={cpu}", "-mfloat-abi=hard")
    return ("-mthumb", f"-mcpu={cpu}", "-mfloat-abi=hard", f"-mfpu={_GCC_FPU[isa.core][isa.fpu]}")
