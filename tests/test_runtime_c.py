"""The C tests of the runtime, compiled with every warning an error and run on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.equality import FLAGS, compiler
from tinycompile import resources

RUNTIME = resources.folder("runtime_c")


@pytest.mark.parametrize("source", sorted((RUNTIME / "tests").glob("*.c")), ids=lambda p: p.stem)
@pytest.mark.parametrize("extra", [[], ["-D__ARM_ARCH_6M__"]], ids=["host", "16-bit limbs"])
@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
def test_c(source: Path, extra: list[str], optimize: str, tmp_path: Path) -> None:
    program = tmp_path / "test"
    flags = [*FLAGS, optimize, *extra, f"-I{RUNTIME / 'include'}"]
    subprocess.run([*compiler(), *flags, "-o", str(program), str(source)], check=True)
    result = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
