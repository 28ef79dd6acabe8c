"""Rows for depthwise convolutions on cores without SIMD: two pixels of a channel share a multiply
(``runtime_c/kernels/swar/tc_pairs_plane.h``)."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, Kernel
from tinycompile.backends.swar.scale import Scale, native_scale
from tinycompile.backends.swar.weights import LARGEST
from tinycompile.ir import IO, Array, Pad
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.sliding import sliding_lag

MOST_ROWS = 7
"""Rows of a kernel: the words of four channels of a column, within reach of one base register."""
TOGETHER = 3
"""Rows whose products add up before they are taken apart."""
MOST_TAPS = 49
SHORT_ROW = 16
"""Width up to which pixels of two rows make a pair: longer lines take scratch, and halves of them waste little."""
CHANNELS = 4
"""Channels in a word."""


def _scale(op: Conv2D, io: IO) -> Scale | None:
    p = op.parameters(io)
    weights = io.inputs[1].values.astype(np.int64)
    return native_scale(p["requantizer"], p["bias"], 128 * np.abs(weights).sum(axis=(1, 2, 3)))


def _narrow(io: IO) -> Array:
    """bool[C]: whose products of some rows of a column may leave int16 together."""
    size = np.abs(io.inputs[1].values.astype(np.int64))
    sums = np.add.reduceat(size, range(0, size.shape[1], TOGETHER), axis=1)
    return np.asarray(sums.max(axis=(1, 2, 3)) > LARGEST)


def _fits(op: Conv2D, io: IO) -> bool:
    one_each = op.is_depthwise(io) and io.out.channels == io.x.channels and io.x.channels % CHANNELS == 0
    small = op.kernel[0] <= MOST_ROWS and prod(op.kernel) <= MOST_TAPS and op.dilation == (1, 1)
    return one_each and small and io.inputs[1].zero_point == 0 and _scale(op, io) is not None


def _pack(op: Conv2D, io: IO) -> Mapping[str, Array]:
    scale, narrow = _scale(op, io), _narrow(io)
    assert scale is not None
    weights = io.inputs[1].values[..., 0].transpose(0, 2, 1).reshape(io.x.channels, -1)
    words = weights.astype(np.int32).view(np.uint32)
    flags = {"narrow": narrow.astype(np.uint8)} if narrow.any() and not narrow.all() else {}
    return {"filters": np.concatenate([words, scale.words], axis=1).ravel(), **flags}


def _flash(op: Conv2D, io: IO) -> int:
    return sum(array.nbytes for array in _pack(op, io).values())


def _pairs(io: IO) -> tuple[int, int, int]:
    """Lines of pairs, pairs in the longest, and pairs in all, of a channel."""
    height, width = io.out.hw
    half = (width + 1) // 2
    if width > SHORT_ROW or height == 1:
        return height, half, height * half
    return (height + 1) // 2, width, height // 2 * width + height % 2 * half


def _columns(op: Conv2D, pairs: int) -> int:
    """Columns of pixels that so many pairs of outputs side by side read."""
    return (pairs - 1) * op.stride[1] + op.kernel[1]


def _scratch(op: Conv2D, io: IO) -> int:
    """A pixel of zero points; the line of four channels; the places of its pixels."""
    return io.x.channels + _columns(op, _pairs(io)[1]) * op.kernel[0] * 4 * (CHANNELS + 2)


def _numbers(op: Conv2D, io: IO) -> Mapping[str, Any]:
    scale, narrow = _scale(op, io), _narrow(io)
    assert scale is not None
    taken = "NARROW" if narrow.all() else "" if narrow.any() else "WIDE"
    return {"taken": taken, "shift": scale.shift, "scale": scale.kind, "short_row": SHORT_ROW}


def _lag(op: Conv2D, io: IO, index: int) -> int | None:
    """A row of outputs, or two, reads its inputs again for every four channels."""
    if index != 0:
        return None
    (_, height, width, channels), (_, out_height, out_width, _) = io.x.shape, io.out.shape
    lines = _pairs(io)[0]
    most = 1 if lines == out_height else 2
    shapes = (1, height, 1, width * channels), (1, lines, 1, most * out_width * channels)
    kernel, stride = op.kernel[0] + (most - 1) * op.stride[0], most * op.stride[0]
    return sliding_lag(
        *shapes, (kernel, 1), (stride, 1), (1, 1), Pad(op.pad.top, 0, op.pad.bottom, 0), writes_early=True
    )


def _work(op: Conv2D, io: IO) -> Mapping[str, float]:
    """``pairs`` of outputs, ``products`` of pairs, ``columns`` taken from words (four channels), ``lines`` of a
    channel, ``places`` in tables."""
    channels = io.x.channels
    lines, longest, pairs = _pairs(io)
    places = lines * _columns(op, longest) * op.kernel[0]
    counts = {"pairs": pairs * channels, "products": pairs * channels * prod(op.kernel), "places": places}
    return {**counts, "lines": lines * channels, "columns": places * channels / CHANNELS, "call": 1}


ROWS: tuple[Kernel, ...] = (
    Kernel(
        "depthwise_pairs", Conv2D, "swar/depthwise_conv_2d.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=RINGED,
        sources=("kernels/swar/tc_pairs.h", "kernels/swar/tc_pairs_plane.h"),
        fits=_fits, scratch=_scratch, pack=_pack, numbers=_numbers, lag=_lag, work=_work, flash=_flash,
        cycles={"pairs": 21, "products": 2.4, "columns": 13.5, "places": 15, "lines": 15, "call": 60},
    ),
)  # fmt: skip
