"""Rows for 3x3 convolutions with fewer products: exact integer Winograd."""

from __future__ import annotations

from tinycompile.backends.kernel import Kernel

ROWS: tuple[Kernel, ...] = ()
