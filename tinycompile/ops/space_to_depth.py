"""Blocks of pixels folded into channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, Array, Cut, OnnxWriter, Shape, Tensor, Window
from tinycompile.ops.images import from_nchw, to_nchw
from tinycompile.ops.moving import Moving


@dataclass(frozen=True)
class SpaceToDepth(Moving):
    """Each ``block`` x ``block`` pixels become one; channels are (block row, block column, channel)."""

    block: int = 1

    def infer(self, *inputs: Tensor) -> Shape:
        """(1, H / block, W / block, C * block**2); ImportFailed where the extents do not divide."""
        height, width = inputs[0].hw
        if height % self.block or width % self.block:
            raise ImportFailed(
                f"SpaceToDepth needs extents in multiples of {self.block}, {inputs[0].name!r} is {height}x{width}",
                where=self.name,
            )
        return inputs[0].shape[0], height // self.block, width // self.block, inputs[0].channels * self.block**2

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """SpaceToDepth between two Transposes, because ONNX has channels first."""
        made = w.node("SpaceToDepth", [to_nchw(w, self.inputs[0])], blocksize=self.block)
        from_nchw(w, made, self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """Reshape, transpose, reshape."""
        n, height, width, channels = io.out.shape
        b = self.block
        blocks = inputs[0].reshape(n, height, b, width, b, io.x.channels).transpose(0, 1, 3, 2, 4, 5)
        return np.ascontiguousarray(blocks).reshape(n, height, width, channels)

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The blocks that become the window."""
        if io.out.shape[0] != 1:
            return None
        b = self.block
        return Cut(self, (Window(window.top * b, window.left * b, window.height * b, window.width * b),))
