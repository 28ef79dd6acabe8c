"""Largest value under a sliding window."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import (
    IO,
    Array,
    Cut,
    Features,
    OnnxWriter,
    Op,
    Pad,
    Pair,
    Shape,
    Tensor,
    Window,
    receptive_field,
)  # fmt: skip
from tinycompile.numerics import INT8_MIN
from tinycompile.ops.images import from_nchw, to_nchw
from tinycompile.ops.sliding import padded, patches, sliding_hw, sliding_lag


@dataclass(frozen=True)
class MaxPool2D(Op):
    """Input x (1,H,W,C); output (1,OH,OW,C). Padding never wins; a window of padding gives -128."""

    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pad = Pad()
    dilation: Pair = (1, 1)

    moves_data = True

    def infer(self, *inputs: Tensor) -> Shape:
        """(1, OH, OW, C)."""
        x = inputs[0]
        hw = sliding_hw(x.hw, self.kernel, self.stride, self.dilation, self.pad, self.name)
        return (1, *hw, x.channels)

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Transpose, MaxPool, Transpose; a Pad where the padding is wider than ONNX Runtime's MaxPool takes."""
        x, pads = to_nchw(w, self.inputs[0]), [self.pad.top, self.pad.left, self.pad.bottom, self.pad.right]
        if max(pads[::2]) >= self.kernel[0] or max(pads[1::2]) >= self.kernel[1]:
            around = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64)
            x = w.node("Pad", [x, w.constant(around), w.constant(np.finfo(np.float32).min)])
            pads = [0, 0, 0, 0]
        pool = w.node(
            "MaxPool",
            [x],
            kernel_shape=list(self.kernel),
            strides=list(self.stride),
            dilations=list(self.dilation),
            pads=pads,
        )
        from_nchw(w, pool, self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """The largest value of every window, padding being -128."""
        x = padded(inputs[0], self.pad, INT8_MIN)
        view = patches(x, self.kernel, self.stride, self.dilation)
        result = view[:, :, 0, 0]
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                result = np.maximum(result, view[:, :, ky, kx])
        return np.array(result[None])

    def fold(self, io: IO) -> tuple[Cut, ...] | None:
        """The maximum over the whole image is a running maximum over its rows."""
        if self.kernel != io.x.hw or self.pad:
            return None
        row = replace(self, kernel=(1, io.x.hw[1]), stride=(1, 1))
        return tuple(Cut(row, (Window(y, 0, 1, io.x.hw[1]),)) for y in range(io.x.hw[0]))

    def accumulate(self, io: IO, state: Array, rows: Array, top: int) -> Array:
        """The largest values so far, above -128."""
        return np.asarray(np.maximum(state, rows.astype(np.int32).max(axis=(0, 1, 2)) - INT8_MIN))

    def finish(self, io: IO, state: Array) -> Array:
        """The largest values."""
        return np.asarray((state[None, None, None] + INT8_MIN).astype(np.int8))

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The same pool of the window's receptive field, with the padding that is left."""
        needed, pad = receptive_field(window, io.x.hw, self.kernel, self.stride, self.dilation, self.pad)
        return Cut(replace(self, pad=pad), (needed,))

    def lag(self, io: IO, index: int) -> int | None:
        """Channel by channel: a value's inputs are read before it is written."""
        return sliding_lag(io.x.shape, io.out.shape, self.kernel, self.stride, self.dilation, self.pad)

    def features(self, io: IO) -> Features:
        """One comparison per output and window element."""
        compares = io.out.size * self.kernel[0] * self.kernel[1]
        return Features(ops=compares, stores=io.out.nbytes)
