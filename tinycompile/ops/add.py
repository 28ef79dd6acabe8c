"""Sum of two tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinycompile.ir import IO, Array, OnnxWriter
from tinycompile.ops.broadcast import Broadcast
from tinycompile.ops.clipping import UNCLIPPED, Clip, clipped
from tinycompile.ops.weighted_sum import weighted_sum


@dataclass(frozen=True)
class Add(Broadcast):
    """x0 + x1 under NumPy broadcasting, then the clip (real bounds)."""

    clip: Clip = UNCLIPPED

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Add and, where bounds are set, Clip."""
        w.node("Identity", [clipped(w, w.node("Add", list(self.inputs)), self.clip)], self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """``weighted_sum`` with signs +, +."""
        return weighted_sum(io, (1, 1), self.clip)(*inputs)

    def operations(self, io: IO) -> int:
        """TensorFlow Lite's three double roundings take six times as long as a native sum."""
        return 6 if io.rounding == "tflite" else 1

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``sum``: the NativeSum or TfliteSum."""
        return {"sum": weighted_sum(io, (1, 1), self.clip)}
