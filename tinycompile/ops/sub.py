"""Difference of two tensors."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.ops.weighted_sum import Sum


@dataclass(frozen=True)
class Sub(Sum):
    """x0 - x1 under NumPy broadcasting, then the clip (real bounds)."""

    signs = (1, -1)
