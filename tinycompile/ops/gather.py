"""Chosen indices along one axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, Array, Cut, OnnxWriter, Shape, Tensor, Window
from tinycompile.ops.moving import Moving, is_image


@dataclass(frozen=True)
class Gather(Moving):
    """Along ``axis`` the elements at ``indices``, which are constants, not negative and may repeat."""

    indices: tuple[int, ...] = ()
    axis: int = 0

    def infer(self, *inputs: Tensor) -> Shape:
        """The input's shape with as many elements on ``axis`` as there are indices; ImportFailed outside it."""
        shape = inputs[0].shape
        if not self.indices or not 0 <= min(self.indices) <= max(self.indices) < shape[self.axis]:
            raise ImportFailed(
                f"Gather takes indices {min(self.indices, default=0)} .. {max(self.indices, default=0)} "
                f"from axis {self.axis} of {inputs[0].name!r} {list(shape)}",
                where=self.name,
            )
        return (*shape[: self.axis], len(self.indices), *shape[self.axis + 1 :])

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Gather."""
        w.node("Gather", [self.inputs[0], w.constant(np.array(self.indices, np.int64))], self.output, axis=self.axis)

    def run(self, io: IO, *inputs: Array) -> Array:
        """numpy.take."""
        return np.take(inputs[0], self.indices, axis=self.axis)

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The same window, where channels are chosen."""
        return Cut(self, (window,)) if self.axis == 3 and is_image(io.out) else None

    def label(self) -> str:
        """The axis and how many indices."""
        return f"Gather<axis={self.axis}, {len(self.indices)} indices>"
