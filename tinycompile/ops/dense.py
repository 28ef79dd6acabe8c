"""Fully connected layer: every row of the last axis times one constant matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import IO, Array, Features, OnnxWriter, Shape, Tensor
from tinycompile.ops.accumulator import Weighted, folded_bias, product_features, product_parameters, scheme_of
from tinycompile.ops.clipping import UNCLIPPED, Clip, clipped
from tinycompile.ops.sliding import element_lag


@dataclass(frozen=True)
class Dense(Weighted):
    """Inputs x (..., K), weights (N, K), optional bias (N); output (..., N).

    acc = bias + sum (x - zx) * (w - zw); out = requantize(acc * s_x * s_w[n] / s_y), clipped.
    """

    clip: Clip = UNCLIPPED

    def infer(self, *inputs: Tensor) -> Shape:
        """(..., N)."""
        x, w = inputs[0], inputs[1]
        if len(w.shape) != 2 or x.channels != w.shape[1]:
            raise InternalError(f"op {self.name!r}: weights {w.shape} do not fit input {x.shape}")
        return (*x.shape[:-1], w.shape[0])

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """MatMul with the transposed weights, then Add."""
        weights = w.node("Transpose", [self.inputs[1]], perm=[1, 0])
        value = w.node("MatMul", [self.inputs[0], weights])
        if len(self.inputs) > 2:
            value = w.node("Add", [value, self.inputs[2]])
        w.node("Identity", [clipped(w, value, self.clip)], self.output)

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``bias``: int32[N] with zero points folded in; ``requantizer``; ``zx``, ``zw``: zero points."""
        return product_parameters(io, folded_bias(io, self.name), self.clip, scheme_of(io, tflite="single"))

    def run(self, io: IO, *inputs: Array) -> Array:
        """The formula above, as a float64 matrix product, which is exact: every sum fits in int32."""
        p = self.parameters(io)
        w = inputs[1].astype(np.float64) - p["zw"]
        sums = inputs[0].astype(np.float64) @ w.T
        return np.asarray(p["requantizer"](sums.astype(np.int64) + p["bias"]))

    def lag(self, io: IO, index: int) -> int | None:
        """Row by row: a row's inputs are read before it is written."""
        rows = io.x.size // io.x.channels
        return element_lag(np.arange(rows) * io.x.channels, io.out.channels) if index == 0 else None

    def features(self, io: IO) -> Features:
        """One multiply-accumulate per row and weight."""
        macs = io.out.size * io.x.channels
        return product_features(io, macs, scheme_of(io, tflite="single"))
