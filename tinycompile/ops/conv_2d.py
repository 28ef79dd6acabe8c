"""2-D convolution: plain, grouped, depthwise (groups == channels), and 1-D as (1, T, 1, C)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import (
    IO,
    Array,
    Cut,
    Features,
    OnnxWriter,
    Pad,
    Pair,
    Shape,
    Tensor,
    Window,
    receptive_field,
)  # fmt: skip
from tinycompile.numerics import Scheme
from tinycompile.ops.accumulator import Weighted, folded_bias, product_features, product_parameters, scheme_of
from tinycompile.ops.clipping import UNCLIPPED, Clip
from tinycompile.ops.images import convolution_nodes
from tinycompile.ops.sliding import padded, patches, sliding_hw, sliding_lag

BLOCK = 1 << 21
"""Elements of im2col that the specification holds at once: 16 MB of float64."""


@dataclass(frozen=True)
class Conv2D(Weighted):
    """Inputs x (1,H,W,I), weights (O,kh,kw,I/groups), optional bias (O); output (1,OH,OW,O).

    acc = bias + sum (x - zx) * (w - zw); out = requantize(acc * s_x * s_w[o] / s_y), clipped.
    Padding is real zero. With a kernel as large as the image, rows can be taken in one by one (``fold``).
    """

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pad: Pad = Pad()
    groups: int = 1
    clip: Clip = UNCLIPPED

    @property
    def is_pointwise(self) -> bool:
        """Every output pixel is a dense layer of one input pixel."""
        return self.kernel == (1, 1) and self.groups == 1 and not self.pad

    def is_depthwise(self, io: IO) -> bool:
        """Every output channel reads one input channel."""
        return self.groups == io.x.channels

    def infer(self, *inputs: Tensor) -> Shape:
        """(1, OH, OW, O)."""
        x, w = inputs[0], inputs[1]
        grouped = w.shape[3] * self.groups == x.channels and w.shape[0] % self.groups == 0
        if w.shape[1:3] != self.kernel or not grouped:
            groups = f"in {self.groups} groups"
            raise InternalError(f"op {self.name!r}: weights {w.shape} do not fit input {x.shape} {groups}")
        hw = sliding_hw(x.hw, self.kernel, self.stride, self.dilation, self.pad, self.name)
        return (1, *hw, w.shape[0])

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Transpose, Conv, Transpose."""
        pads = [self.pad.top, self.pad.left, self.pad.bottom, self.pad.right]
        attributes = {
            "strides": [*self.stride],
            "dilations": [*self.dilation],
            "pads": pads,
            "group": self.groups,
        }
        convolution_nodes(w, "Conv", self, (0, 3, 1, 2), self.clip, attributes)

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``bias``: int32[O] with zero points folded in; ``requantizer``; ``zx``, ``zw``: zero points."""
        return product_parameters(io, folded_bias(io, self.name), self.clip, self.scheme(io))

    def scheme(self, io: IO) -> Scheme:
        """How accumulators are requantised."""
        return scheme_of(io)

    def run(self, io: IO, *inputs: Array) -> Array:
        """The formula above."""
        p = self.parameters(io)
        sums = self._sums(io, padded(inputs[0], self.pad, p["zx"]), inputs[1])
        return np.asarray(p["requantizer"](sums + p["bias"])[None])

    def _sums(self, io: IO, x: Array, weights: Array) -> Array:
        """(OH,OW,O): sums of x * (w - zw) over the windows of the padded image ``x``."""
        w = weights.astype(np.int32) - io.inputs[1].zero_point
        return self._depthwise(x, w) if self.is_depthwise(io) else self._grouped(x, w)

    def _depthwise(self, x: Array, w: Array) -> Array:
        view = patches(x, self.kernel, self.stride, self.dilation)
        acc = np.zeros((*view.shape[:2], w.shape[0]), np.int32)
        repeat = w.shape[0] // x.shape[3]
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                acc += np.repeat(view[:, :, ky, kx].astype(np.int32), repeat, axis=2) * w[:, ky, kx, 0]
        return acc

    def _grouped(self, x: Array, w: Array) -> Array:
        """Matrix products in float64, which is exact: every sum fits in int32."""
        view = patches(x, self.kernel, self.stride, self.dilation)
        per_in, per_out = w.shape[3], w.shape[0] // self.groups
        acc = np.empty((*view.shape[:2], w.shape[0]), np.int64)
        rows = max(1, BLOCK // (view.shape[1] * w[0].size))
        for g in range(self.groups):
            matrix = w[g * per_out : (g + 1) * per_out].reshape(per_out, -1).T.astype(np.float64)
            for y in range(0, view.shape[0], rows):
                block = view[y : y + rows, :, :, :, g * per_in : (g + 1) * per_in].astype(np.float64)
                product = block.reshape(-1, matrix.shape[0]) @ matrix
                acc[y : y + rows, :, g * per_out : (g + 1) * per_out] = product.reshape(*block.shape[:2], per_out)
        return acc

    def is_whole(self, io: IO) -> bool:
        """The kernel is as large as the image, so that the output is one pixel."""
        return self.kernel == io.x.hw and not self.pad

    def fold(self, io: IO) -> tuple[Cut, ...] | None:
        """A sum over the whole image is a running sum over its rows, each with its row of the weights."""
        height, width = io.x.hw
        if not self.is_whole(io) or height == 1:
            return None
        row = replace(self, kernel=(1, width), stride=(1, 1))
        constants = (None,) * (len(self.inputs) - 1)
        return tuple(Cut(row, (Window(y, 0, 1, width), *constants)) for y in range(height))

    def accumulate(self, io: IO, state: Array, rows: Array, top: int) -> Array:
        """Sums of the products so far, without the bias."""
        height = rows.shape[1]
        part = replace(self, kernel=(height, self.kernel[1]))
        sums = part._sums(io, rows, io.inputs[1].values[:, top : top + height])
        return np.asarray(state + sums[0, 0].astype(np.int32))

    def finish(self, io: IO, state: Array) -> Array:
        """The sums with the bias, requantised."""
        p = self.parameters(io)
        return np.asarray(p["requantizer"](state[None, None].astype(np.int64) + p["bias"])[None])

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The same convolution of the window's receptive field, with the padding that is left."""
        needed, pad = receptive_field(window, io.x.hw, self.kernel, self.stride, self.dilation, self.pad)
        return Cut(replace(self, pad=pad), (needed, *(None for _ in self.inputs[1:])))

    def lag(self, io: IO, index: int) -> int | None:
        """Pixel by pixel: a pixel's inputs are read before it is written."""
        if index != 0:
            return None
        return sliding_lag(io.x.shape, io.out.shape, self.kernel, self.stride, self.dilation, self.pad)

    def features(self, io: IO) -> Features:
        """One multiply-accumulate per output and weight of its channel."""
        macs = io.out.size * prod(self.kernel) * io.inputs[1].shape[3]
        return product_features(io, macs, self.scheme(io))
