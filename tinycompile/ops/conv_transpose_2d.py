"""Transposed 2-D convolution: every input pixel adds a weighted kernel to the output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import IO, Array, Cut, Features, OnnxWriter, Pad, Pair, Shape, Tensor, Window
from tinycompile.ops.accumulator import Weighted, checked_bias, product_features, product_parameters, scheme_of
from tinycompile.ops.clipping import UNCLIPPED, Clip, clipped
from tinycompile.ops.images import from_nchw, to_nchw


@dataclass(frozen=True)
class ConvTranspose2D(Weighted):
    """Inputs x (1,H,W,I), weights (O,kh,kw,I/groups), optional bias (O); output (1,OH,OW,O).

    acc[iy * stride + ky * dilation - pad.top, ..., o] = bias[o] + sum (x[iy] - zx) * (w[o, ky] - zw);
    out = requantize(acc * s_x * s_w[o] / s_y), clipped. ``pad`` is cut off the full output of
    (H - 1) * stride + (kh - 1) * dilation + 1 rows, after ``output_pad`` rows and columns joined at its end.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pad: Pad = Pad()
    output_pad: Pair = (0, 0)
    groups: int = 1
    clip: Clip = UNCLIPPED

    def full(self, hw: Pair) -> Pair:
        """Rows and columns before anything is cut off, ``output_pad`` included."""
        height, width = (
            (hw[i] - 1) * self.stride[i] + (self.kernel[i] - 1) * self.dilation[i] + 1 + self.output_pad[i]
            for i in (0, 1)
        )
        return height, width

    def infer(self, *inputs: Tensor) -> Shape:
        """(1, OH, OW, O)."""
        x, w = inputs[0], inputs[1]
        grouped = w.shape[3] * self.groups == x.channels and w.shape[0] % self.groups == 0
        height, width = self.full(x.hw)
        height, width = height - self.pad.top - self.pad.bottom, width - self.pad.left - self.pad.right
        if w.shape[1:3] != self.kernel or not grouped or height < 1 or width < 1:
            groups = f"in {self.groups} groups"
            raise InternalError(f"op {self.name!r}: weights {w.shape} do not fit input {x.shape} {groups}")
        return (1, height, width, w.shape[0])

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """ConvTranspose, whose weights are (I, O/groups, kh, kw), between two transposes."""
        out, rows, columns, per_in = io.inputs[1].shape
        split = np.array([self.groups, out // self.groups, rows, columns, per_in], np.int64)
        joined = np.array([self.groups * per_in, out // self.groups, rows, columns], np.int64)
        weights = w.node("Reshape", [self.inputs[1], w.constant(split)])
        weights = w.node("Reshape", [w.node("Transpose", [weights], perm=[0, 4, 1, 2, 3]), w.constant(joined)])
        value = w.node(
            "ConvTranspose",
            [to_nchw(w, self.inputs[0]), weights, *self.inputs[2:]],
            strides=[*self.stride],
            dilations=[*self.dilation],
            pads=[self.pad.top, self.pad.left, self.pad.bottom, self.pad.right],
            output_padding=[*self.output_pad],
            group=self.groups,
        )
        from_nchw(w, clipped(w, value, self.clip), self.output)

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``bias``: int32[O]; ``requantizer``; ``zx``, ``zw``: zero points."""
        return product_parameters(io, checked_bias(io, self.name), self.clip, scheme_of(io))

    def run(self, io: IO, *inputs: Array) -> Array:
        """The formula above; float64 products are exact, because every sum fits in int32."""
        p = self.parameters(io)
        x = inputs[0][0].astype(np.float64) - p["zx"]
        w = inputs[1].astype(np.float64) - p["zw"]
        height, width = io.out.hw
        full = self.full(io.x.hw)
        acc = np.zeros((max(full[0], self.pad.top + height), max(full[1], self.pad.left + width), w.shape[0]))
        per_in, per_out = w.shape[3], w.shape[0] // self.groups
        for g in range(self.groups):
            part = x[:, :, g * per_in : (g + 1) * per_in]
            outputs = slice(g * per_out, (g + 1) * per_out)
            for ky in range(self.kernel[0]):
                for kx in range(self.kernel[1]):
                    rows, columns = self._tap(ky, kx, io.x.hw)
                    acc[rows, columns, outputs] += part @ w[outputs, ky, kx].T
        kept = acc[self.pad.top : self.pad.top + height, self.pad.left : self.pad.left + width]
        return np.asarray(p["requantizer"](kept.astype(np.int64) + p["bias"])[None])

    def _tap(self, ky: int, kx: int, hw: Pair) -> tuple[slice, slice]:
        """Where in the full output kernel element (ky, kx) adds the input's rows and columns."""
        starts = (ky * self.dilation[0], kx * self.dilation[1])
        spans = ((hw[0] - 1) * self.stride[0] + 1, (hw[1] - 1) * self.stride[1] + 1)
        rows, columns = (slice(a, a + n, s) for a, n, s in zip(starts, spans, self.stride, strict=True))
        return rows, columns

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The pixels whose kernels reach the window; what of these lies outside it is cut off."""
        top, rows, above, below = self._reached(0, window.top, window.height, io.x.hw[0])
        left, columns, ahead, behind = self._reached(1, window.left, window.width, io.x.hw[1])
        part = replace(self, pad=Pad(above, ahead, below, behind), output_pad=(0, 0))
        return Cut(part, (Window(top, left, rows, columns), *(None for _ in self.inputs[1:])))

    def _reached(self, axis: int, start: int, count: int, size: int) -> tuple[int, int, int, int]:
        """Along an axis: the first input that reaches ``count`` outputs from ``start`` on, how many inputs do (one at
        least), and what is cut off before and after; the latter is negative where no input reaches."""
        stride, span = self.stride[axis], (self.kernel[axis] - 1) * self.dilation[axis]
        first = start + (self.pad.top, self.pad.left)[axis]
        low = min(max(-(-(first - span) // stride), 0), first // stride, size - 1)
        high = max(min((first + count - 1) // stride + 1, size), low + 1)
        cut = first - low * stride
        return low, high - low, cut, (high - low - 1) * stride + span + 1 - cut - count

    def features(self, io: IO) -> Features:
        """The multiply-accumulates per output on average: kernel elements over strides, for each input channel."""
        taps = self.kernel[0] * self.kernel[1] / (self.stride[0] * self.stride[1])
        return product_features(io, round(io.out.size * io.inputs[1].shape[3] * taps), scheme_of(io))
