"""Rows for depthwise convolutions over rows of one channel."""

from __future__ import annotations

from tinycompile.backends.kernel import Kernel

ROWS: tuple[Kernel, ...] = ()
