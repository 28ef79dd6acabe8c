"""Activation bounds that an op applies to its own output: as ONNX, and from real values to int8."""

from __future__ import annotations

import math

import numpy as np

from tinycompile.ir import OnnxWriter, Quant

Clip = tuple[float, float]

UNCLIPPED: Clip = (-math.inf, math.inf)


def clipped(w: OnnxWriter, name: str, clip: Clip) -> str:
    """ONNX: ``name`` clipped to real bounds; the same name where there are none."""
    low, high = (w.constant(np.float32(b)) if math.isfinite(b) else "" for b in clip)
    return w.node("Clip", [name, low, high]) if low or high else name


def int8_bounds(clip: Clip, quant: Quant) -> tuple[int, int]:
    """The least and greatest int8 that an output clipped to the real interval ``clip`` may hold.

    Divided in float32 with ties away from zero, as TensorFlow Lite computes the bounds of fused activations.
    """
    low, high = (_quantized(bound, quant) for bound in clip)
    return low, max(low, high)


def _quantized(real: float, quant: Quant) -> int:
    if math.isinf(real):
        return -128 if real < 0 else 127
    scaled = float(np.float32(real) / np.float32(quant.scalar))
    return min(max(int(math.copysign(math.floor(abs(scaled) + 0.5), scaled)) + quant.zero_point, -128), 127)
