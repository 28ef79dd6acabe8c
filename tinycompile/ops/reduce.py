"""Mean, sum, largest or smallest value along any axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import IO, Array, Features, OnnxWriter, Op, Shape, Tensor
from tinycompile.numerics import INT8_MAX, INT8_MIN, Requantizer, tflite_multiplier
from tinycompile.ops.accumulator import check_sum, scheme_of
from tinycompile.ops.sliding import element_lag

Kind = Literal["mean", "sum", "max", "min"]


@dataclass(frozen=True)
class Reduce(Op):
    """Input of any shape; ``axes`` (not negative) become 1, or go away where ``keepdims`` is False.

    mean, sum: acc = sum (x - zx), out = requantize(acc * s_x / (s_y * n)), n being 1 for sum.
    max, min: out = the extreme value, requantised only where the output's quantisation differs.
    """

    kind: Kind
    axes: tuple[int, ...]
    keepdims: bool = True

    def infer(self, *inputs: Tensor) -> Shape:
        """The kept extents; (1,) where nothing is kept."""
        shape = inputs[0].shape
        if any(not 0 <= a < len(shape) for a in self.axes):
            raise InternalError(f"op {self.name!r}: input {shape} has no axes {self.axes}")
        if self.keepdims:
            return tuple(1 if i in self.axes else d for i, d in enumerate(shape))
        return tuple(d for i, d in enumerate(shape) if i not in self.axes) or (1,)

    def count(self, io: IO) -> int:
        """How many values go into one."""
        return prod(io.x.shape[a] for a in self.axes)

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """ReduceMean, ReduceSum, ReduceMax or ReduceMin."""
        kind, axes = f"Reduce{self.kind.capitalize()}", list(self.axes)
        if self.kind == "sum":
            value = w.node(kind, [self.inputs[0], w.constant(np.array(axes, np.int64))], keepdims=1)
        else:
            value = w.node(kind, [self.inputs[0]], axes=axes, keepdims=1)
        w.node("Reshape", [value, w.constant(np.array(io.out.shape, np.int64))], self.output)

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``requantizer``, or None where the values stay as they are; ``start``: what the sum starts from.

        QuantizationFailed where a sum may leave int32.
        """
        if self.kind in ("max", "min"):
            scale = io.x.q.scalar / io.out.q.scalar
            same = io.x.quant == io.out.quant
            requantizer = None if same else Requantizer.make(scheme_of(io), scale, io.out.zero_point)
            return {"requantizer": requantizer, "start": INT8_MIN if self.kind == "max" else INT8_MAX}
        check_sum(self.count(io), 255, self.name)
        return {"requantizer": self._requantizer(io), "start": -io.x.zero_point * self.count(io)}

    def _requantizer(self, io: IO) -> Requantizer:
        scale, n = io.x.q.scalar / io.out.q.scalar, self.count(io) if self.kind == "mean" else 1
        if io.rounding == "native":
            return Requantizer.make("native", scale / n, io.out.zero_point)
        # QuantizedMeanOrSum of TensorFlow Lite's reference/reduce.h: 1/n goes into the multiplier, truncated.
        multiplier, shift = tflite_multiplier(scale)
        lost = min(n.bit_length() - 1, 32, 31 + int(shift[0]))
        return Requantizer("double", (multiplier << lost) // n, shift - lost, io.out.zero_point)

    def run(self, io: IO, *inputs: Array) -> Array:
        """The formulas above."""
        p = self.parameters(io)
        if self.kind in ("max", "min"):
            extreme = np.max if self.kind == "max" else np.min
            value = extreme(inputs[0], axis=self.axes).astype(np.int64) - io.x.zero_point
            if p["requantizer"] is None:
                return np.asarray(value + io.x.zero_point, np.int8).reshape(io.out.shape)
            return np.asarray(p["requantizer"](value)).reshape(io.out.shape)
        sums = np.sum(inputs[0], axis=self.axes, dtype=np.int64) + p["start"]
        return np.asarray(p["requantizer"](sums)).reshape(io.out.shape)

    def lag(self, io: IO, index: int) -> int | None:
        """Value by value: all that goes into one is read before it is written."""
        kept = [1 if i in self.axes else d for i, d in enumerate(io.x.shape)]
        positions = np.arange(io.x.size).reshape(io.x.shape)[tuple(slice(0, d) for d in kept)]
        return element_lag(positions.ravel(), 1)

    def features(self, io: IO) -> Features:
        """One addition or comparison per input value."""
        return Features(ops=io.x.size + io.out.size, stores=io.out.nbytes)
