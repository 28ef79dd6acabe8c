"""ONNX spelling of NHWC image ops: ONNX computes in NCHW, so every op is wrapped in two transposes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinycompile.ir import OnnxWriter, Op
from tinycompile.ops.clipping import Clip


def to_nchw(w: OnnxWriter, name: str) -> str:
    """A transposed copy of an NHWC tensor."""
    return w.node("Transpose", [name], perm=[0, 3, 1, 2])


def from_nchw(w: OnnxWriter, name: str, output: str) -> None:
    """An NCHW tensor back to NHWC, as ``output``."""
    w.node("Transpose", [name], output, perm=[0, 2, 3, 1])


def clipped(w: OnnxWriter, name: str, clip: Clip) -> str:
    """``name`` clipped to real bounds; the same name where there are none."""
    low, high = (w.constant(np.float32(b)) if math.isfinite(b) else "" for b in clip)
    return w.node("Clip", [name, low, high]) if low or high else name


def convolution_nodes(
    w: OnnxWriter, kind: str, op: Op, weight_perm: tuple[int, ...], clip: Clip, attributes: dict[str, Any]
) -> None:
    """``op`` (x, weights, optional bias) as ONNX ``kind``; its weights are ours under ``weight_perm``."""
    weights = w.node("Transpose", [op.inputs[1]], perm=list(weight_perm))
    inputs = [to_nchw(w, op.inputs[0]), weights, *op.inputs[2:]]
    from_nchw(w, clipped(w, w.node(kind, inputs, **attributes), clip), op.output)
