"""Host libraries, and finding compilers."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import pytest

from tests.deploy.toy import ADD_ONE, INPUT, OUTPUT, toy
from tinycompile.boards import Isa, all_boards
from tinycompile.deploy import ToolchainName, build_host, find_toolchain
from tinycompile.deploy.toolchain import cache_folder
from tinycompile.errors import ToolchainError


@pytest.mark.parametrize("name", ["zig", "cc"])
def test_a_host_library_runs(name: ToolchainName, tmp_path: Path) -> None:
    if name == "cc" and shutil.which("cc") is None:
        pytest.skip("this machine has no cc")
    path = build_host(toy(), tmp_path, toolchain=find_toolchain(name), name="mine")
    assert path.name.startswith("libmine.")
    output = ctypes.create_string_buffer(10)
    assert ctypes.CDLL(str(path)).toy_run(ctypes.create_string_buffer(64), INPUT, output) == 0
    assert output.raw == OUTPUT


def test_a_checked_build_knows_that_it_is(tmp_path: Path) -> None:
    body = ADD_ONE.replace("return 0;", "#ifdef TC_CHECKED\n    return 5;\n#else\n    return 0;\n#endif")
    results = []
    for checked in (False, True):
        path = build_host(toy(body), tmp_path, checked=checked, name=f"c{checked:d}")
        results.append(ctypes.CDLL(str(path)).toy_run(None, INPUT, ctypes.create_string_buffer(10)))
    assert results == [0, 5]


def test_zig_names_every_feature_of_the_core() -> None:
    """A bare zig name drops FPU and MVE without a word."""
    cpus = {b.name: find_toolchain("zig").target_flags(b.isa)[-1] for b in all_boards()}
    assert cpus["stm32g0b1"] == "-mcpu=cortex_m0plus"
    assert cpus["stm32l4r5"] == "-mcpu=cortex_m4+vfp4d16sp"
    assert cpus["stm32f746"] == "-mcpu=cortex_m7+fp_armv8d16sp"
    assert cpus["stm32h743"] == "-mcpu=cortex_m7+fp_armv8d16"
    assert cpus["stm32u575"] == "-mcpu=cortex_m33+dsp+fp_armv8d16sp"
    assert cpus["mps3-an547"] == "-mcpu=cortex_m55+mve_fp+fp_armv8d16"
    bare = Isa("cortex-m33", has_dsp=False, fpu="none", mve=False)
    assert find_toolchain("zig").target_flags(bare)[1:] == ("thumb-freestanding-eabi", "-mcpu=cortex_m33")


def test_a_missing_compiler_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolchainError, match="gcc-arm-none-eabi"):
        find_toolchain("gcc")
    monkeypatch.setattr("tinycompile.deploy.toolchain.find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match="pip install"):
        find_toolchain("zig")


def test_an_unwritable_cache_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ToolchainError, match="XDG_CACHE_HOME"):
        find_toolchain("zig")


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tinycompile"
    assert find_toolchain("zig").environment["ZIG_GLOBAL_CACHE_DIR"] == str(tmp_path / "tinycompile" / "zig")
