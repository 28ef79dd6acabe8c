"""The block hook is built where no compiler but the wheel's is, or no wheel but the system's."""

import shutil
import sys

import pytest

from tinycompile.errors import ToolchainError
from tinycompile.simulate.emulator import native


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty cache, and nothing loaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native.library.cache_clear()
    yield tmp_path
    native.library.cache_clear()


def test_builds_once_into_the_cache(fresh):
    native.library()
    (built,) = (fresh / "tinycompile").iterdir()
    stamp = built.stat().st_mtime_ns
    native.library.cache_clear()
    native.library()
    assert built.stat().st_mtime_ns == stamp


@pytest.mark.skipif(shutil.which("cc") is None, reason="no system compiler")
def test_falls_back_to_the_system_compiler(fresh, monkeypatch):
    monkeypatch.setattr(native, "compilers", lambda: [[sys.executable, "-c", "raise SystemExit(1)"], ["cc"]])
    assert native.library().tc_profile_size() > 0


def test_no_compiler_at_all(fresh, monkeypatch):
    monkeypatch.setattr(native, "compilers", lambda: [[sys.executable, "-c", "raise SystemExit('broken')"]])
    with pytest.raises(ToolchainError, match="broken"):
        native.library()
    assert not list((fresh / "tinycompile").iterdir())


def test_every_offered_compiler_builds_it(tmp_path):
    from tinycompile.resources import folder

    source = folder("runtime_c") / "emulator" / "block_hook.c"
    offered = native.compilers()
    assert offered[0][1:] == ["-m", "ziglang", "cc"]
    native.build(source, tmp_path / "hook.so")
    assert (tmp_path / "hook.so").stat().st_size > 0
