"""ONNX spelling of NHWC image ops: ONNX computes in NCHW, so every op is wrapped in two transposes."""

from __future__ import annotations

from typing import Any

from tinycompile.ir import OnnxWriter, Op
from tinycompile.ops.clipping import Clip, clipped


def to_nchw(w: OnnxWriter, name: str) -> str:
    """A transposed copy of an NHWC tensor."""
    return w.node("Transpose", [name], perm=[0, 3, 1, 2])


def from_nchw(w: OnnxWriter, name: str, output: str) -> None:
    """An NCHW tensor back to NHWC, as ``output``."""
    w.node("Transpose", [name], output, perm=[0, 2, 3, 1])


def convolution_nodes(
    w: OnnxWriter, kind: str, op: Op, weight_perm: tuple[int, ...], clip: Clip, attributes: dict[str, Any]
) -> None:
    """``op`` (x, weights, optional bias) as ONNX ``kind``; its weights are ours under ``weight_perm``."""
    weights = w.node("Transpose", [op.inputs[1]], perm=list(weight_perm))
    inputs = [to_nchw(w, op.inputs[0]), weights, *op.inputs[2:]]
    from_nchw(w, clipped(w, w.node(kind, inputs, **attributes), clip), op.output)
