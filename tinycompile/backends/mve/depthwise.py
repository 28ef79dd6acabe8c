"""Rows for depthwise convolutions: 16 channels at a time, with one multiplier each."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, Kernel
from tinycompile.backends.mve.requantize import as_bytes, is_exact, left, parameters, vectors
from tinycompile.ir import IO, Array
from tinycompile.numerics import Requantizer
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.sliding import sliding_lag

LANES = 16
SOURCES = ("kernels/mve/tc_mve_outputs.h", "kernels/mve/tc_mve_depthwise.h")
MOST_TAPS = 9
"""Taps whose pointers all have a register."""

QUARTERS = (0, 2, 1, 3)
"""Where the four vectors of sums start: they hold every fourth channel from there."""


def groups(weights: Array) -> list[list[int]]:
    """Successive taps whose products any inputs may be summed of in 16 bits; ``weights`` int8[O, taps]."""
    up, down = np.maximum(weights, 0).astype(np.int64), np.maximum(-weights.astype(np.int64), 0)
    most, least = 127 * up + 128 * down, 128 * up + 127 * down
    found: list[list[int]] = []
    for tap in range(weights.shape[1]):
        wider = [*found[-1], tap] if found else [tap]
        if found and most[:, wider].sum(axis=1).max() < 2**15 and least[:, wider].sum(axis=1).max() <= 2**15:
            found[-1] = wider
        else:
            found.append([tap])
    return found


def starts(channels: int) -> list[int]:
    """First channels of the blocks; the last overlaps the one before it where channels are no multiple of 16."""
    if channels <= LANES:
        return [0]
    return [*range(0, channels - LANES, LANES), channels - LANES]


def _matrix(io: IO) -> Array:
    """int8[O, taps]."""
    return io.inputs[1].values.reshape(io.out.channels, -1)


def _block_bytes(op: Conv2D, io: IO) -> int:
    return LANES * (prod(op.kernel) + 4 * vectors(op.parameters(io)["requantizer"]))


def _pack(op: Conv2D, io: IO) -> Mapping[str, Array]:
    """``stream``: for each block the 16 weights of each tap, then the parameters of each vector of sums."""
    p, matrix = op.parameters(io), _matrix(io)
    words = parameters(p["bias"], p["requantizer"])
    found = []
    for start in starts(io.x.channels):
        taps, own = matrix[start : start + LANES], words[:, start : start + LANES]
        spare = LANES - len(taps)
        found.append(np.pad(taps, ((0, spare), (0, 0))).T.ravel())
        filled = np.pad(own, ((0, 0), (0, spare)))
        found += [as_bytes(filled[:, first::4]) for first in QUARTERS]
    padding = {"padding": np.full(io.x.channels, io.x.zero_point, np.int8)} if op.pad else {}
    return {"stream": np.concatenate(found), **padding}


def _numbers(op: Conv2D, io: IO) -> Mapping[str, Any]:
    rq: Requantizer = op.parameters(io)["requantizer"]
    return {
        "groups": groups(_matrix(io)), "left": left(rq), "count": io.x.channels,
        "blocks": len(starts(io.x.channels)), "stream_bytes": len(starts(io.x.channels)) * _block_bytes(op, io),
    }  # fmt: skip


def _flash(op: Conv2D, io: IO) -> int:
    return len(starts(io.x.channels)) * _block_bytes(op, io) + (io.x.channels if op.pad else 0)


def _fits(op: Conv2D, io: IO) -> bool:
    own = op.is_depthwise(io) and io.out.channels == io.x.channels and io.inputs[1].zero_point == 0
    if not own or prod(op.kernel) > MOST_TAPS or not is_exact(op.parameters(io)["requantizer"]):
        return False
    return max(_flash(op, io), (op.stride[1] - 1) * io.x.channels) < 1 << 16  # what MOVW holds


def _lag(op: Conv2D, io: IO, index: int) -> int | None:
    """Blocks that overlap read some channels of a pixel again after they were written."""
    if io.x.channels <= LANES or io.x.channels % LANES == 0:
        return op.lag(io, index)
    shapes = io.x.shape, io.out.shape
    return sliding_lag(*shapes, op.kernel, op.stride, op.dilation, op.pad, writes_early=True) if index == 0 else None


def _work(op: Conv2D, io: IO) -> Mapping[str, float]:
    """Taps of blocks, their groups, blocks, pixels at the border and rows."""
    height, width = io.out.hw
    blocks = height * width * len(starts(io.x.channels))
    inner_h, inner_w = (
        min(out, max(0, (size - (k - 1) * d - 1) // s + 1))
        for out, size, k, d, s in zip(io.out.hw, io.x.hw, op.kernel, op.dilation, op.stride, strict=True)
    )
    inner = inner_h * inner_w if op.pad else height * width
    return {
        "taps": blocks * prod(op.kernel), "groups": blocks * len(groups(_matrix(io))), "blocks": blocks,
        "pixels": height * width, "border": height * width - inner, "rows": height, "call": 1,
    }  # fmt: skip


ROWS: tuple[Kernel, ...] = (
    Kernel(
        "mve_depthwise", Conv2D, "mve/depthwise.c.j2", frozenset({"mve"}), RINGED, SOURCES,
        fits=_fits,
        pack=_pack, numbers=_numbers, flash=_flash, lag=_lag, work=_work,
        cycles={"taps": 11.3, "groups": 12, "blocks": 40, "pixels": 8, "border": 110, "rows": 90, "call": 60},
    ),
)  # fmt: skip
