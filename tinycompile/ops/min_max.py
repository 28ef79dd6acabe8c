"""The smaller and the larger of two tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinycompile.ir import IO, Array, OnnxWriter
from tinycompile.ops.broadcast import Broadcast
from tinycompile.ops.weighted_sum import NativeSum, rescale


@dataclass(frozen=True)
class Extreme(Broadcast):
    """One of x0 and x1 under NumPy broadcasting, each first brought to the output's quantisation (``rescale``)."""

    choose: ClassVar[np.ufunc]

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Min or Max."""
        w.node(type(self).__name__, list(self.inputs), self.output)

    def rescales(self, io: IO) -> tuple[NativeSum, ...]:
        """What brings each operand to the output's quantisation."""
        return tuple(rescale(t.q, io.out.q) for t in io.inputs)

    def run(self, io: IO, *inputs: Array) -> Array:
        """``choose`` of the rescaled operands."""
        a, b = (scaled(x) for scaled, x in zip(self.rescales(io), inputs, strict=True))
        return np.asarray(self.choose(a, b))

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``rescale``: one NativeSum for each operand."""
        return {"rescale": self.rescales(io)}


@dataclass(frozen=True)
class Min(Extreme):
    """The smaller of x0 and x1."""

    choose = np.minimum


@dataclass(frozen=True)
class Max(Extreme):
    """The larger of x0 and x1."""

    choose = np.maximum
