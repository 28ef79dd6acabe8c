"""The clip that linear, binary and pooling ops carry: bounds in real values, and what they are in integers."""

from __future__ import annotations

import math

import numpy as np

from tinycompile.ir import OnnxWriter, Quant
from tinycompile.numerics import INT8_MAX, INT8_MIN

Clip = tuple[float, float]
"""Lowest and highest real value of an output."""

NO_CLIP: Clip = (-math.inf, math.inf)


def clip_bounds(clip: Clip, quant: Quant) -> tuple[int, int]:
    """The int8 bounds of a real clip: each is the nearest value (half up) that ``quant`` can represent."""
    low, high = (_nearest(bound, quant) for bound in clip)
    return low, max(low, high)


def _nearest(bound: float, quant: Quant) -> int:
    scaled = bound / quant.scalar + quant.zero_point
    if scaled >= INT8_MAX:
        return INT8_MAX
    return INT8_MIN if scaled <= INT8_MIN else math.floor(scaled + 0.5)


def write_clipped(w: OnnxWriter, value: str, clip: Clip, output: str) -> None:
    """ONNX nodes that make ``output`` from ``value``: a Clip, or an Identity where there are no bounds."""
    if clip == NO_CLIP:
        w.node("Identity", [value], output)
        return
    low, high = (w.constant(np.float32(bound)) if math.isfinite(bound) else "" for bound in clip)
    w.node("Clip", [value, low, high], output)
