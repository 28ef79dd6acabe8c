"""Leaky ReLU whose slope is a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.ir import IO, Array, OnnxWriter
from tinycompile.numerics import Requantizer
from tinycompile.ops.accumulator import scheme_of
from tinycompile.ops.broadcast import Broadcast, product_ratio, ratio


@dataclass(frozen=True)
class PRelu(Broadcast):
    """x where x >= 0, else slope * x; inputs (x, slope), the slope broadcasts against x."""

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """PRelu."""
        w.node("PRelu", list(self.inputs), self.output)

    def requantizers(self, io: IO) -> tuple[Requantizer, Requantizer]:
        """For x - zero point where it is not negative, and for its product with the slope's difference."""
        positive = Requantizer.make(scheme_of(io), ratio(io), io.out.zero_point)
        return positive, Requantizer.make(scheme_of(io), product_ratio(io), io.out.zero_point)

    def run(self, io: IO, *inputs: Array) -> Array:
        """Each branch through its own requantizer (as kernels/internal/reference/prelu.h)."""
        x, slope = (v.astype(np.int64) - t.zero_point for v, t in zip(inputs, io.inputs, strict=True))
        positive, negative = self.requantizers(io)
        return np.where(x >= 0, positive(x), negative(x * slope))

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``requantizers``: of the positive and the negative branch."""
        return {"requantizers": self.requantizers(io)}
