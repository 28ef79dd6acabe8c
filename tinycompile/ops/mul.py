"""Product of two tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.ir import IO, Array, OnnxWriter
from tinycompile.numerics import Requantizer
from tinycompile.ops.accumulator import scheme_of
from tinycompile.ops.broadcast import Broadcast, product_ratio
from tinycompile.ops.clipping import UNCLIPPED, Clip, clipped, int8_bounds


@dataclass(frozen=True)
class Mul(Broadcast):
    """x0 * x1 under NumPy broadcasting, then the clip (real bounds)."""

    clip: Clip = UNCLIPPED

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Mul and, where bounds are set, Clip."""
        w.node("Identity", [clipped(w, w.node("Mul", list(self.inputs)), self.clip)], self.output)

    def requantizer(self, io: IO) -> Requantizer:
        """From products of two int8 differences to the output."""
        bounds = int8_bounds(self.clip, io.out.q)
        return Requantizer.make(scheme_of(io), product_ratio(io), io.out.zero_point, *bounds)

    def run(self, io: IO, *inputs: Array) -> Array:
        """requantize((x0 - z0) * (x1 - z1))."""
        a, b = (x.astype(np.int64) - t.zero_point for x, t in zip(inputs, io.inputs, strict=True))
        return self.requantizer(io)(a * b)

    def operations(self, io: IO) -> int:
        """TensorFlow Lite's double rounding takes twice as long as the native one."""
        return 2 if io.rounding == "tflite" else 1

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``requantizer``."""
        return {"requantizer": self.requantizer(io)}
