"""Rows for convolutions and dense layers, in blocks of channels by pixels."""

from __future__ import annotations

from tinycompile.backends.kernel import Kernel

ROWS: tuple[Kernel, ...] = ()
