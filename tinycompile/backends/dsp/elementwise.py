"""Rows for ops that treat every value alike, and pools."""

from __future__ import annotations

from tinycompile.backends.kernel import Kernel

ROWS: tuple[Kernel, ...] = ()
