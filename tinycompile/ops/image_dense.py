"""A fully connected layer of all pixels of an image."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.ir import IO
from tinycompile.numerics import Scheme
from tinycompile.ops.accumulator import scheme_of
from tinycompile.ops.conv_2d import Conv2D


@dataclass(frozen=True)
class ImageDense(Conv2D):
    """Dense, written as the convolution of an image (1,H,W,I) with a kernel of H x W; output (1,1,1,O).

    It differs from other convolutions in how TensorFlow Lite rounds: once.
    """

    def scheme(self, io: IO) -> Scheme:
        """As Dense."""
        return scheme_of(io, tflite="single")
