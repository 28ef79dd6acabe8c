"""What the depthwise kernels know about each channel: its weights in words, and what makes its sums outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinycompile.backends.dsp.depthwise_block import Taps
from tinycompile.backends.portable.linear import requantizer_arrays
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D

MOST_SHIFT = 22
"""To the right, after a high multiply: leaves room for the zero point, shifted to the left."""


@dataclass(frozen=True)
class ChannelConstants:
    """Columns with a word for each channel; those that the end of its sums (``sums_end``) does not need are missing."""

    weights: Sequence[Array]
    """Words of weights of each kernel row."""
    second_rounding: Sequence[Array]
    """Half a step of the shift, with the zero point in front; the shift."""
    bias: Array
    """Of sums over inputs without their zero point."""
    multiplier: Sequence[Array]


def channel_constants(op: Conv2D, io: IO, taps: Taps) -> ChannelConstants:
    """The weights as ``taps`` say."""
    p, end = op.parameters(io), sums_end(op, io)
    rq, bias = p["requantizer"], p["bias"].astype(np.int32)
    twice = 2 if end == "double" else 1
    weights, shift = centred_weights(op, io) * np.int16(twice), -rq.shift
    return ChannelConstants(
        [*taps.pack(weights).reshape(len(bias), -1).T],
        [(1 << shift >> 1) + (rq.zero_point << shift), shift] if end == "double" else [],
        bias * twice + p["zx"] * weights.sum(axis=(1, 2), dtype=np.int32),
        [] if end == "in C" else [rq.multiplier],
    )


def packed(op: Conv2D, io: IO, *columns: Array) -> Mapping[str, Array]:
    """``constants`` int32 (O, n) of these columns, and the arrays by which C requantises where it does."""
    constants = np.stack([np.broadcast_to(c, io.out.channels).astype(np.int32) for c in columns], axis=1)
    in_c = requantizer_arrays(op.parameters(io)["requantizer"]) if sums_end(op, io) == "in C" else {}
    return {"constants": constants, **in_c}


def packed_bytes(op: Conv2D, io: IO, taps: Taps) -> int:
    """The most that ``packed`` takes in flash."""
    return 4 * io.out.channels * (op.kernel[0] * taps.words + (2 if io.rounding == "native" else 4))


def sums_end(op: Conv2D, io: IO) -> Literal["native", "double", "in C"]:
    """How sums become int8: by the block itself where that takes few instructions.

    With two roundings, the block works on twice the sums: SMMULR of those and the multiplier is TensorFlow Lite's
    doubling high multiply, as long as they stay within 31 bits.
    """
    p = op.parameters(io)
    rq = p["requantizer"]
    if rq.scheme == "native":
        return "native" if rq.shift[0] == 0 else "in C"
    largest = np.abs(p["bias"].astype(np.int64)) + 128 * np.abs(centred_weights(op, io).astype(np.int64)).sum(
        axis=(1, 2)
    )
    small = largest.max() < 1 << 30 and rq.shift.min() >= -MOST_SHIFT and rq.shift.max() < 0
    return "double" if rq.scheme == "double" and small else "in C"


def centred_weights(op: Conv2D, io: IO) -> Array:
    """int16 (O, kernel height, kernel width), without their zero point."""
    weights = io.inputs[1]
    return weights.values[..., 0].astype(np.int16) - np.int16(weights.zero_point)
