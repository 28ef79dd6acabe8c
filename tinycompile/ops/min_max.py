"""The smaller and the larger of two tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.ir import IO, Array, OnnxWriter
from tinycompile.ops.broadcast import Broadcast
from tinycompile.ops.weighted_sum import rescale


@dataclass(frozen=True)
class Min(Broadcast):
    """The smaller of x0 and x1 under NumPy broadcasting."""

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Min."""
        w.node("Min", list(self.inputs), self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """min of both operands, each first brought to the output's quantisation (``rescale``)."""
        return np.minimum(*(rescale(t.q, io.out.q)(x) for t, x in zip(io.inputs, inputs, strict=True)))

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``rescale``: one NativeSum for each operand."""
        return {"rescale": tuple(rescale(t.q, io.out.q) for t in io.inputs)}


@dataclass(frozen=True)
class Max(Broadcast):
    """The larger of x0 and x1 under NumPy broadcasting."""

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Max."""
        w.node("Max", list(self.inputs), self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """max of both operands, each first brought to the output's quantisation (``rescale``)."""
        return np.maximum(*(rescale(t.q, io.out.q)(x) for t, x in zip(io.inputs, inputs, strict=True)))

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``rescale``: one NativeSum for each operand."""
        return {"rescale": tuple(rescale(t.q, io.out.q) for t in io.inputs)}
