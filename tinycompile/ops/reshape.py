"""The same values in the same order under another shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, Array, Features, OnnxWriter, Shape, Tensor
from tinycompile.ops.moving import Moving


@dataclass(frozen=True)
class Reshape(Moving):
    """The input's bytes under ``shape``; costs nothing."""

    shape: Shape = ()
    alias: ClassVar[bool] = True

    def infer(self, *inputs: Tensor) -> Shape:
        """``shape``; ImportFailed where it holds another number of elements."""
        if prod(self.shape) != inputs[0].size:
            raise ImportFailed(
                f"Reshape of {inputs[0].name!r} {list(inputs[0].shape)} to {list(self.shape)} changes the number of "
                f"elements from {inputs[0].size} to {prod(self.shape)}",
                where=self.name,
                hint="export the model with batch size 1",
            )
        return self.shape

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Reshape."""
        w.node("Reshape", [self.inputs[0], w.constant(np.array(self.shape, np.int64))], self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """numpy.reshape."""
        return inputs[0].reshape(io.out.shape)

    def features(self, io: IO) -> Features:
        """Nothing."""
        return Features()

    def lag(self, io: IO, index: int) -> int | None:
        """The same bytes."""
        return 0
