"""Channels unfolded into blocks of pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, Array, Cut, OnnxWriter, Pad, Shape, Tensor, Window
from tinycompile.ops.images import from_nchw, to_nchw
from tinycompile.ops.moving import Moving


@dataclass(frozen=True)
class DepthToSpace(Moving):
    """Each pixel's channels become ``block`` x ``block`` pixels.

    Mode DCR: channels are (block row, block column, channel); CRD: (channel, block row, block column).
    The op of a window may ``skip`` the first rows of its first blocks.
    """

    block: int = 1
    mode: Literal["DCR", "CRD"] = "DCR"
    skip: int = 0

    @property
    def pad(self) -> Pad:
        """The rows left out, as negative padding."""
        return Pad(-self.skip)

    def infer(self, *inputs: Tensor) -> Shape:
        """(1, H * block, W * block, C / block**2); ImportFailed where the channels do not divide."""
        height, width = inputs[0].hw
        channels, rest = divmod(inputs[0].channels, self.block**2)
        if rest:
            raise ImportFailed(
                f"DepthToSpace needs channels in multiples of {self.block**2}, {inputs[0].name!r} has "
                f"{inputs[0].channels}",
                where=self.name,
            )
        return inputs[0].shape[0], height * self.block, width * self.block, channels

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """DepthToSpace between two Transposes, because ONNX has channels first."""
        made = w.node("DepthToSpace", [to_nchw(w, self.inputs[0])], blocksize=self.block, mode=self.mode)
        from_nchw(w, made, self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """Reshape, transpose, reshape."""
        n, height, width, _ = inputs[0].shape
        b, channels = self.block, io.out.channels
        if self.mode == "DCR":
            blocks = inputs[0].reshape(n, height, width, b, b, channels).transpose(0, 1, 3, 2, 4, 5)
        else:
            blocks = inputs[0].reshape(n, height, width, channels, b, b).transpose(0, 1, 4, 2, 5, 3)
        rows = np.ascontiguousarray(blocks).reshape(n, height * b, width * b, channels)
        return rows[:, self.skip : self.skip + io.out.shape[1]]

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The pixels whose blocks make up the window; None where its left or right cuts through blocks."""
        b = self.block
        if io.out.shape[0] != 1 or window.left % b or window.width % b:
            return None
        top, bottom = window.top // b, -(-window.bottom // b)
        part = replace(self, skip=window.top % b)
        return Cut(part, (Window(top, window.left // b, bottom - top, window.width // b),))
