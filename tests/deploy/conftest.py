"""Which compilers and boards a test of an image runs with."""

from __future__ import annotations

import shutil

import pytest

from tinycompile.boards import Board, load_board
from tinycompile.deploy import Toolchain, find_toolchain

QEMU_BOARDS = ("mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547")


@pytest.fixture(params=["zig", pytest.param("gcc", marks=pytest.mark.gcc)])
def toolchain(request: pytest.FixtureRequest) -> Toolchain:
    """Either compiler; Arm GCC is skipped where it is not installed."""
    if request.param == "gcc" and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return find_toolchain(request.param)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.qemu) for name in QEMU_BOARDS])
def qemu_board(request: pytest.FixtureRequest) -> Board:
    """Every board that QEMU has; skipped where it is not installed."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    return load_board(request.param)
