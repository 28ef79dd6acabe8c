"""Build the shared library of a model for this machine."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tinycompile.deploy.sources import Sources, write_sources
from tinycompile.deploy.toolchain import WARNINGS, Toolchain, Unit, compile_units, find_toolchain

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}


def build_host(
    sources: Sources,
    out_dir: Path,
    *,
    checked: bool = False,
    toolchain: Toolchain | None = None,
    name: str | None = None,
    optimize: str = "-O2",
) -> Path:
    """Compile every ``.c`` of ``sources`` into ``out_dir/lib<name>.so`` (``.dylib``, ``.dll``); its path.

    ``name`` defaults to that of the sources, ``toolchain`` to zig; ``cc`` is the system's own. ``checked``
    defines TC_CHECKED. Raises ToolchainError with the compiler's output.
    """
    compiler = toolchain or find_toolchain()
    out_dir.mkdir(parents=True, exist_ok=True)
    library = out_dir / f"lib{name or sources.name}{_SUFFIX.get(sys.platform, '.so')}"
    flags = (*compiler.host_flags(), optimize, *WARNINGS, *(("-DTC_CHECKED=1",) if checked else ()))
    with tempfile.TemporaryDirectory(prefix="tinycompile-") as folder:
        root = Path(folder)
        files = write_sources(sources, root / "src")
        units = [Unit(f, (*flags, f"-I{root / 'src'}"), root / f"{i}-{f.stem}.o") for i, f in enumerate(files)]
        objects = compile_units(compiler, units, scratch=root / "cache")
        command = ("-shared", *compiler.host_link_flags(), *map(str, objects), "-o", str(library))
        compiler.run(command, scratch=root / "cache", what=f"linking {library.name}")
    return library
