"""Product of two matrices that both are activations (a constant operand is quantised like one)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import IO, Array, Features, OnnxWriter, Op, Shape, Tensor
from tinycompile.numerics import Requantizer
from tinycompile.ops.accumulator import check_sum, product_features, scheme_of
from tinycompile.ops.clipping import UNCLIPPED, Clip, clipped, int8_bounds


@dataclass(frozen=True)
class MatMul(Op):
    """Inputs a (..., M, K) and b (..., K, N), or (..., N, K) with ``transpose_b``; leading axes broadcast.

    acc = sum (a - za) * (b - zb); out = requantize(acc * s_a * s_b / s_y), clipped.
    """

    transpose_b: bool = False
    clip: Clip = UNCLIPPED

    def infer(self, *inputs: Tensor) -> Shape:
        """(..., M, N)."""
        a, b = inputs[0].shape, self._straight(inputs[1].shape)
        if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
            raise InternalError(f"op {self.name!r}: matrices {inputs[0].shape} and {inputs[1].shape} do not fit")
        return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])

    def _straight(self, shape: Shape) -> Shape:
        return (*shape[:-2], shape[-1], shape[-2]) if self.transpose_b else shape

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """MatMul, after a Transpose where ``transpose_b``."""
        right = self.inputs[1]
        if self.transpose_b:
            rank = len(io.inputs[1].shape)
            right = w.node("Transpose", [right], perm=[*range(rank - 2), rank - 1, rank - 2])
        product = w.node("MatMul", [self.inputs[0], right])
        w.node("Identity", [clipped(w, product, self.clip)], self.output)

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``requantizer``; ``za``, ``zb``: zero points. QuantizationFailed where a sum may leave int32."""
        check_sum(io.x.shape[-1], 255 * 255, self.name)
        scale = io.x.q.scalar * io.inputs[1].q.scalar / io.out.q.scalar
        bounds = int8_bounds(self.clip, io.out.q)
        return {
            "requantizer": Requantizer.make(scheme_of(io), scale, io.out.zero_point, *bounds),
            "za": io.x.zero_point,
            "zb": io.inputs[1].zero_point,
        }

    def run(self, io: IO, *inputs: Array) -> Array:
        """The formula above, as a float64 matrix product, which is exact: every sum fits in int32."""
        p = self.parameters(io)
        a = inputs[0].astype(np.float64) - p["za"]
        b = inputs[1].astype(np.float64) - p["zb"]
        product = a @ (b.swapaxes(-1, -2) if self.transpose_b else b)
        return np.asarray(p["requantizer"](product.astype(np.int64)))

    def features(self, io: IO) -> Features:
        """One multiply-accumulate per output and value of a row."""
        macs = io.out.size * io.x.shape[-1]
        return product_features(io, macs, scheme_of(io))
