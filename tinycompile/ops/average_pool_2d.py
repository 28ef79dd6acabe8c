"""Mean of the values under a sliding window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

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
from tinycompile.numerics import Requantizer
from tinycompile.ops.accumulator import scheme_of
from tinycompile.ops.clipping import UNCLIPPED, Clip, clipped, int8_bounds
from tinycompile.ops.images import from_nchw, to_nchw
from tinycompile.ops.sliding import padded, patches, sliding_hw, sliding_lag


@dataclass(frozen=True)
class AveragePool2D(Op):
    """Input x (1,H,W,C); output (1,OH,OW,C). The mean of a window's n counted elements.

    acc = sum (x - zx) over the elements inside the image; out = requantize(acc * s_x / (s_y * n)), clipped.
    n counts the elements inside the image; with ``count_include_pad`` also those in the padding, except in
    the last ``uncounted`` rows and columns of it (which ONNX adds for ceil_mode).
    Under TensorFlow Lite's rounding, with one scale for both, out = round_half_away(sum x / n) instead.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pad = Pad()
    count_include_pad: bool = False
    clip: Clip = UNCLIPPED
    uncounted: Pair = (0, 0)

    def infer(self, *inputs: Tensor) -> Shape:
        """(1, OH, OW, C)."""
        x = inputs[0]
        return (1, *sliding_hw(x.hw, self.kernel, self.stride, (1, 1), self.pad, self.name), x.channels)

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Transpose, AveragePool, Transpose; ``uncounted`` padding becomes ceil_mode."""
        bottom, right = self.pad.bottom - self.uncounted[0], self.pad.right - self.uncounted[1]
        pool = w.node(
            "AveragePool",
            [to_nchw(w, self.inputs[0])],
            kernel_shape=list(self.kernel),
            strides=list(self.stride),
            pads=[self.pad.top, self.pad.left, bottom, right],
            count_include_pad=int(self.count_include_pad),
            ceil_mode=int(any(self.uncounted)),
        )
        from_nchw(w, clipped(w, pool, self.clip), self.output)

    def counted(self, io: IO) -> tuple[Array, Array]:
        """How many rows (int64[OH]) and columns (int64[OW]) of each window count."""
        pad = self.pad
        found = []
        for axis, (before, after) in enumerate(((pad.top, pad.bottom), (pad.left, pad.right))):
            start = np.arange(io.out.hw[axis]) * self.stride[axis] - before
            stop = start + self.kernel[axis]
            if self.count_include_pad:
                found.append(np.minimum(stop, io.x.hw[axis] + after - self.uncounted[axis]) - start)
            else:
                found.append(np.minimum(stop, io.x.hw[axis]) - np.maximum(start, 0))
        return np.maximum(found[0], 0), np.maximum(found[1], 0)

    def is_raw_mean(self, io: IO) -> bool:
        """TensorFlow Lite: one scale for input and output and no counted padding, so values count as is."""
        return io.rounding == "tflite" and io.x.quant == io.out.quant and not self.count_include_pad

    def requantizer(self, io: IO, count: int) -> Requantizer:
        """For windows of ``count`` elements; nothing else counts, so a cut pool computes the same."""
        scale = io.x.q.scalar / (io.out.q.scalar * count)
        return Requantizer.make(scheme_of(io), scale, io.out.zero_point, *int8_bounds(self.clip, io.out.q))

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``zx``; ``low``, ``high``: output bounds; ``requantizers``: one per size of window that occurs."""
        rows, columns = self.counted(io)
        sizes = np.unique(np.maximum(rows[:, None] * columns[None, :], 1)).tolist()
        low, high = int8_bounds(self.clip, io.out.q)
        requantizers = {n: self.requantizer(io, n) for n in sizes}
        return {"zx": io.x.zero_point, "low": low, "high": high, "requantizers": requantizers}

    def run(self, io: IO, *inputs: Array) -> Array:
        """The formulas above."""
        raw = self.is_raw_mean(io)
        p = self.parameters(io)
        x = padded(inputs[0].astype(np.int32) - (0 if raw else p["zx"]), self.pad, 0)
        return self._means(io, patches(x, self.kernel, self.stride).sum(axis=(2, 3), dtype=np.int64))

    def fold(self, io: IO) -> tuple[Cut, ...] | None:
        """A mean over the whole image is a running sum of its rows."""
        if self.kernel != io.x.hw or self.pad:
            return None
        row = replace(self, kernel=(1, io.x.hw[1]), stride=(1, 1))
        return tuple(Cut(row, (Window(y, 0, 1, io.x.hw[1]),)) for y in range(io.x.hw[0]))

    def accumulate(self, io: IO, state: Array, rows: Array, top: int) -> Array:
        """Sums of the channels."""
        zero = 0 if self.is_raw_mean(io) else io.x.zero_point
        return np.asarray(state + (rows.astype(np.int32) - zero).sum(axis=(0, 1, 2), dtype=np.int32))

    def finish(self, io: IO, state: Array) -> Array:
        """The sums, divided."""
        return self._means(io, state[None, None].astype(np.int64))

    def _means(self, io: IO, sums: Array) -> Array:
        """int8 (1,OH,OW,C) of the sums int64[OH,OW,C]."""
        raw, p = self.is_raw_mean(io), self.parameters(io)
        rows, columns = self.counted(io)
        count = np.maximum(rows[:, None] * columns[None, :], 1)
        if raw:
            mean = np.sign(sums) * ((np.abs(sums) + count[..., None] // 2) // count[..., None])
            return np.asarray(np.clip(mean, p["low"], p["high"]).astype(np.int8)[None])
        result = np.empty(io.out.shape, np.int8)
        for size, requantizer in p["requantizers"].items():
            result[0][count == size] = requantizer(sums[count == size])
        return result

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The same pool of the window's receptive field; the padding nearest to the image is what is left."""
        needed, pad = receptive_field(window, io.x.hw, self.kernel, self.stride, (1, 1), self.pad)
        lost = (self.pad.bottom - pad.bottom, self.pad.right - pad.right)
        uncounted = (max(self.uncounted[0] - lost[0], 0), max(self.uncounted[1] - lost[1], 0))
        return Cut(replace(self, pad=pad, uncounted=uncounted), (needed,))

    def lag(self, io: IO, index: int) -> int | None:
        """Channel by channel: a value's inputs are read before it is written."""
        return sliding_lag(io.x.shape, io.out.shape, self.kernel, self.stride, (1, 1), self.pad)

    def features(self, io: IO) -> Features:
        """One addition per output and window element."""
        adds = io.out.size * self.kernel[0] * self.kernel[1]
        return Features(ops=adds, stores=io.out.nbytes)
