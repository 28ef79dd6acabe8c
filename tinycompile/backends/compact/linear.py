"""Rows for convolutions and dense layers that share their code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tinycompile.backends.compact.layers import SHARED, initialiser
from tinycompile.backends.kernel import RINGED, WHOLE_ROWS, Kernel
from tinycompile.backends.portable.linear import _depthwise_lag, _early_conv_lag
from tinycompile.ir import IO, Array
from tinycompile.numerics import Requantizer
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

SOURCES = ("kernels/compact/tc_compact.h", "include/tc_simd.h", "kernels/compact/tc_compact_conv.h")
BLOCK = 4
"""Output channels, and inputs of each, that a step of the inner loop takes."""
BYTE, HALF = 1 << 8, 1 << 16
"""What the struct has room for: extents of kernels below the one, channels below the other."""


@dataclass(frozen=True)
class Extents:
    """The numbers of a convolution; of a dense layer those of a 1x1 convolution."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    channels: int
    inputs: int
    outputs: int
    """Channels of a group."""

    @staticmethod
    def of(op: Conv2D | Dense, io: IO) -> Extents:
        channels, outputs = io.x.channels, io.out.channels
        if isinstance(op, Dense):
            return Extents((1, 1), (1, 1), (1, 1), 1, channels, channels, outputs)
        groups = op.groups
        return Extents(op.kernel, op.stride, op.dilation, groups, channels, channels // groups, outputs // groups)

    @property
    def words(self) -> int:
        """Words of four inputs under the kernel, in a group."""
        return -(-prod(self.kernel) * self.inputs // BLOCK)

    @property
    def blocks(self) -> int:
        """Blocks of four outputs, in all groups."""
        return self.groups * -(-self.outputs // BLOCK)

    @property
    def is_small(self) -> bool:
        """Whether the struct holds the numbers."""
        return max(*self.kernel, *self.stride, *self.dilation) < BYTE and max(self.channels, self.groups) < HALF


def blocked(weights: Array, groups: int) -> Array:
    """(O, ...) to (groups, blocks of 4 outputs, words of 4 inputs, 4 outputs, 4 inputs), zeros where none are left."""
    matrix = weights.reshape(groups, weights.shape[0] // groups, -1)
    _, outputs, inputs = matrix.shape
    whole = np.pad(matrix, ((0, 0), (0, -outputs % BLOCK), (0, -inputs % BLOCK)))
    split = whole.reshape(groups, whole.shape[1] // BLOCK, BLOCK, whole.shape[2] // BLOCK, BLOCK)
    return np.ascontiguousarray(split.swapaxes(2, 3))


def channel_arrays(bias: Array, rq: Requantizer) -> dict[str, Array]:
    """``bias`` int32[O + 3], ``multiplier`` int32[O] and, where TensorFlow Lite rounds, ``shift`` int8[O]."""
    arrays: dict[str, Array] = {
        "bias": np.pad(bias.astype(np.int32), (0, BLOCK - 1)),
        "multiplier": np.broadcast_to(rq.multiplier, bias.shape).astype(np.int32),
    }
    if rq.scheme != "native":
        arrays["shift"] = np.broadcast_to(rq.shift, bias.shape).astype(np.int8)
    return arrays


def _pack(op: Conv2D | Dense, io: IO) -> Mapping[str, Array]:
    p = op.parameters(io)
    weights = blocked(io.inputs[1].values, Extents.of(op, io).groups)
    return {"weights": weights, **channel_arrays(p["bias"], p["requantizer"])}


def _flash(op: Conv2D | Dense, io: IO) -> int:
    extents = Extents.of(op, io)
    return extents.blocks * extents.words * BLOCK * BLOCK + _channel_bytes(io)


def _pack_depthwise(op: Conv2D, io: IO) -> Mapping[str, Array]:
    """The weights as (taps, C), and a pixel of zeros."""
    p = op.parameters(io)
    weights = np.ascontiguousarray(io.inputs[1].values.reshape(io.x.channels, -1).T)
    padding = {"padding": np.full(io.x.channels, io.x.zero_point, np.int8)} if op.pad else {}
    return {"weights": weights, **channel_arrays(p["bias"], p["requantizer"]), **padding}


def _flash_depthwise(op: Conv2D, io: IO) -> int:
    return io.inputs[1].nbytes + _channel_bytes(io) + (io.x.channels if op.pad else 0)


def _channel_bytes(io: IO) -> int:
    """Bytes of ``channel_arrays``."""
    each = 8 if io.rounding == "native" else 9
    return io.out.channels * each + 4 * (BLOCK - 1)


def _numbers(op: Conv2D | Dense, io: IO) -> Mapping[str, Any]:
    """``fields`` of the struct ``tc_compact_conv``."""
    e, rq = Extents.of(op, io), op.parameters(io)["requantizer"]
    pairs = {"kernel": e.kernel, "stride": e.stride, "dilation": e.dilation}
    fields: dict[str, int | str] = {
        f"{name}_{axis}": pair[i] for name, pair in pairs.items() for i, axis in enumerate("hw")
    }
    fields |= {"zx": io.x.zero_point % BYTE, "shift": int(rq.shift[0]) if rq.scheme == "native" else 0}
    fields |= {"range": initialiser(rq.zero_point, rq.low, rq.high)}
    fields |= {"channels": e.channels, "groups": e.groups, "inputs": e.inputs, "outputs": e.outputs, "words": e.words}
    return {"fields": fields, "scheme": rq.scheme}


def _fits(op: Conv2D | Dense, io: IO) -> bool:
    return not io.inputs[1].zero_point and Extents.of(op, io).is_small


def _fits_one_group(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and _fits(op, io)


def _fits_pointwise(op: Conv2D, io: IO) -> bool:
    return op.is_pointwise and _fits(op, io)


def _fits_depthwise(op: Conv2D, io: IO) -> bool:
    return 1 < op.groups == io.x.channels == io.out.channels and _fits(op, io)


def _patch(op: Conv2D | Dense, io: IO) -> int:
    return BLOCK * Extents.of(op, io).words


def _taps(op: Conv2D, io: IO) -> int:
    """A pointer for each tap and one more, of 8 bytes on hosts."""
    return 8 * (prod(op.kernel) + 1)


ROWS: tuple[Kernel, ...] = (
    Kernel(
        "pointwise", Conv2D, "compact/conv.c.j2",
        isa=SHARED, sources=SOURCES, arguments=WHOLE_ROWS,
        fits=_fits_pointwise, scratch=_patch, pack=_pack, flash=_flash, numbers=_numbers,
        cycles={"macs": 2.1, "stores": 20, "pixels": 120, "call": 60},
    ),
    Kernel(
        "conv", Conv2D, "compact/conv.c.j2",
        isa=SHARED, sources=SOURCES, arguments=RINGED,
        fits=_fits_one_group, scratch=_patch, pack=_pack, flash=_flash, numbers=_numbers,
        cycles={"macs": 2.1, "stores": 20, "pixels": 400, "call": 60},
    ),
    Kernel(
        "depthwise", Conv2D, "compact/depthwise.c.j2",
        isa=SHARED, sources=SOURCES, arguments=RINGED,
        fits=_fits_depthwise, scratch=_taps, pack=_pack_depthwise, flash=_flash_depthwise, numbers=_numbers,
        lag=_depthwise_lag,
        cycles={"macs": 4.5, "stores": 20, "pixels": 150, "call": 60},
    ),
    Kernel(
        "grouped", Conv2D, "compact/conv.c.j2",
        isa=SHARED, sources=SOURCES, arguments=RINGED,
        fits=_fits, scratch=_patch, pack=_pack, flash=_flash, numbers=_numbers,
        lag=_early_conv_lag,
        cycles={"macs": 8, "stores": 20, "pixels": 400, "call": 60},
    ),
    Kernel(
        "dense", Dense, "compact/conv.c.j2",
        isa=SHARED, sources=SOURCES, arguments=WHOLE_ROWS,
        fits=_fits, scratch=_patch, pack=_pack, flash=_flash, numbers=_numbers,
        cycles={"macs": 2.1, "stores": 20, "pixels": 120, "call": 60},
    ),
)  # fmt: skip
