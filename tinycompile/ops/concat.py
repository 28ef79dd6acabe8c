"""Tensors one after the other along an axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, Array, Cut, OnnxWriter, Shape, Tensor, Window
from tinycompile.ops.moving import Moving, is_image


@dataclass(frozen=True)
class Concat(Moving):
    """The inputs, which share the output's quantisation, joined along ``axis`` (not negative)."""

    axis: int = 0

    def infer(self, *inputs: Tensor) -> Shape:
        """The joined shape; ImportFailed where the other extents differ."""
        shapes = [t.shape for t in inputs]
        rests = {s[: self.axis] + s[self.axis + 1 :] for s in shapes if len(s) > self.axis >= 0}
        if len(rests) != 1 or len({len(s) for s in shapes}) != 1:
            listed = ", ".join(f"{t.name!r} {list(t.shape)}" for t in inputs)
            raise ImportFailed(f"Concat on axis {self.axis} cannot join {listed}", where=self.name)
        joined = sum(s[self.axis] for s in shapes)
        return (*shapes[0][: self.axis], joined, *shapes[0][self.axis + 1 :])

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Concat."""
        w.node("Concat", list(self.inputs), self.output, axis=self.axis)

    def run(self, io: IO, *inputs: Array) -> Array:
        """numpy.concatenate."""
        return np.concatenate(inputs, axis=self.axis)

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The same window of every input, or the same rows where columns are joined; no input may be constant."""
        if not is_image(io.out) or any(t.data is not None for t in io.inputs):
            return None
        if self.axis == 3:
            return Cut(self, (window,) * len(io.inputs))
        if self.axis == 2 and window.width == io.out.shape[2]:
            return Cut(self, tuple(Window(window.top, 0, window.height, t.shape[2]) for t in io.inputs))
        return None
