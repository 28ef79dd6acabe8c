"""Runs the firmware image that would be flashed, on the board's own memory map, and counts what it costs."""

from __future__ import annotations

from tinycompile.simulate.emulator.emulate import emulate
from tinycompile.simulate.emulator.qemu import emulate_in_qemu, qemu_version
from tinycompile.simulate.emulator.result import Cost, Emulation, Touched

__all__ = ["Cost", "Emulation", "Touched", "emulate", "emulate_in_qemu", "qemu_version"]
