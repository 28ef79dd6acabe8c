"""A fully connected layer of all pixels of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import IO, OnnxWriter
from tinycompile.numerics import Scheme
from tinycompile.ops.accumulator import scheme_of
from tinycompile.ops.clipping import clipped
from tinycompile.ops.conv_2d import Conv2D


@dataclass(frozen=True)
class ImageDense(Conv2D):
    """Dense, written as the convolution of an image (1,H,W,I) with a kernel of H x W; output (1,1,1,O).

    It differs from other convolutions in how TensorFlow Lite rounds: once.
    """

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """As Dense, between two Reshapes."""
        x = w.node("Reshape", [self.inputs[0], w.constant(np.array((1, io.x.size), np.int64))])
        rows = w.node("Reshape", [self.inputs[1], w.constant(np.array((-1, io.x.size), np.int64))])
        value = w.node("MatMul", [x, w.node("Transpose", [rows], perm=[1, 0])])
        if len(self.inputs) > 2:
            value = w.node("Add", [value, self.inputs[2]])
        shape = w.constant(np.array(io.out.shape, np.int64))
        w.node("Reshape", [clipped(w, value, self.clip), shape], self.output)

    def scheme(self, io: IO) -> Scheme:
        """As Dense."""
        return scheme_of(io, tflite="single")
