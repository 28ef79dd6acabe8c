"""Axes in another order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, Array, OnnxWriter, Shape, Tensor
from tinycompile.ops.moving import Moving


@dataclass(frozen=True)
class Transpose(Moving):
    """Output axis i is input axis ``perm[i]``."""

    perm: tuple[int, ...] = ()

    def infer(self, *inputs: Tensor) -> Shape:
        """The permuted shape; ImportFailed where ``perm`` is no permutation of the input's axes."""
        shape = inputs[0].shape
        if sorted(self.perm) != list(range(len(shape))):
            raise ImportFailed(f"perm {list(self.perm)} does not permute the axes of {list(shape)}", where=self.name)
        return tuple(shape[axis] for axis in self.perm)

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Transpose."""
        w.node("Transpose", [self.inputs[0]], self.output, perm=list(self.perm))

    def run(self, io: IO, *inputs: Array) -> Array:
        """numpy.transpose."""
        return np.ascontiguousarray(inputs[0].transpose(self.perm))
