"""The index of the largest value along an axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import IO, Array, Features, OnnxWriter, Op, Shape, Tensor


@dataclass(frozen=True)
class ArgMax(Op):
    """int32 indices of the first largest value along ``axis`` (not negative), which stays as 1 or goes."""

    axis: int = 0
    keepdims: bool = True

    def infer(self, *inputs: Tensor) -> Shape:
        """The input's shape with ``axis`` as 1, or without it."""
        shape = inputs[0].shape
        return shape[: self.axis] + ((1,) if self.keepdims else ()) + shape[self.axis + 1 :]

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """ArgMax, whose int64 result becomes int32."""
        indices = w.node("ArgMax", [self.inputs[0]], axis=self.axis, keepdims=int(self.keepdims))
        w.node("Cast", [indices], self.output, to=INT32)

    def run(self, io: IO, *inputs: Array) -> Array:
        """numpy.argmax."""
        return np.asarray(np.argmax(inputs[0], axis=self.axis).astype(np.int32).reshape(io.out.shape))

    def features(self, io: IO) -> Features:
        """One comparison for every input value."""
        return Features(ops=io.x.size, stores=io.out.nbytes)


INT32 = 6
"""onnx.TensorProto.INT32."""
