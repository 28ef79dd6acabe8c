"""Rows for convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd, prod
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, WHOLE_ROWS, Kernel, counted
from tinycompile.ir import IO, Array
from tinycompile.numerics import Requantizer
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.conv_transpose_2d import ConvTranspose2D
from tinycompile.ops.dense import Dense
from tinycompile.ops.sliding import element_lag, sliding_lag

BLOCK = 4
"""Output channels that one pass over the inputs computes."""

MAX_TAPS = 128
"""Largest depthwise kernel whose tap pointers go on the stack: 512 bytes on a 32-bit core."""


def requantizer_arrays(rq: Requantizer) -> dict[str, Array]:
    """``multiplier`` int32[O] and ``shift`` int8[O], each only where channels differ."""
    if not rq.per_channel:
        return {}
    arrays: dict[str, Array] = {"multiplier": rq.multiplier.astype(np.int32)}
    if rq.scheme != "native":
        arrays["shift"] = rq.shift.astype(np.int8)
    return arrays


def interleaved(weights: Array) -> Array:
    """(O, ...) to blocks of 4 output channels (fewer in the last), each block (K, channels)."""
    matrix = weights.reshape(weights.shape[0], -1)
    blocks = [matrix[i : i + BLOCK].T.ravel() for i in range(0, len(matrix), BLOCK)]
    return np.concatenate(blocks)


def _weights(io: IO) -> Array:
    """int8, or int16 without their zero point where they have one."""
    weights = io.inputs[1]
    return weights.values - np.int16(weights.zero_point) if weights.zero_point else weights.values


def _pack_in_order(op: Conv2D | ConvTranspose2D | Dense, io: IO) -> Mapping[str, Array]:
    p = op.parameters(io)
    return {"weights": _weights(io), "bias": p["bias"], **requantizer_arrays(p["requantizer"])}


def _pack_interleaved(op: Conv2D | Dense, io: IO) -> Mapping[str, Array]:
    arrays = _pack_in_order(op, io)
    return {**arrays, "weights": interleaved(arrays["weights"])}


def _pack_with_padding(op: Conv2D, io: IO) -> Mapping[str, Array]:
    padding = {"padding": np.full(io.x.channels, io.x.zero_point, np.int8)} if op.pad else {}
    return {**_pack_in_order(op, io), **padding}


def _transpose_numbers(op: ConvTranspose2D, io: IO) -> Mapping[str, Any]:
    """A kernel element meets an output row where (row + pad - k * dilation) is a multiple of the stride."""
    return {"most": prod(-(-k // (s // gcd(s, d))) for k, s, d in zip(op.kernel, op.stride, op.dilation, strict=True))}


def _fits_pointwise(op: Conv2D, io: IO) -> bool:
    return op.is_pointwise


def _fits_depthwise(op: Conv2D, io: IO) -> bool:
    return op.is_depthwise(io) and prod(op.kernel) <= MAX_TAPS


def _fits_one_group(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and not op.is_pointwise


def _fits_one_pixel(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and op.is_whole(io)


def _fits_one_pixel_sums(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and op.fold(io) is not None


def _fits_grouped_sums(op: Conv2D, io: IO) -> bool:
    return op.groups > 1 and op.fold(io) is not None


def _sums_scratch(op: Conv2D, io: IO) -> int:
    """int32 for each output channel."""
    return 4 * io.out.channels


def _pack_rows_interleaved(op: Conv2D, io: IO) -> Mapping[str, Array]:
    """The weights of each kernel row by itself."""
    arrays = _pack_in_order(op, io)
    rows = [interleaved(arrays["weights"][:, y]) for y in range(io.x.hw[0])]
    return {**arrays, "weights": np.concatenate(rows)}


def _pack_rows(op: Conv2D, io: IO) -> Mapping[str, Array]:
    """The weights as (kernel rows, O, kernel columns, I / groups)."""
    arrays = _pack_in_order(op, io)
    return {**arrays, "weights": np.ascontiguousarray(arrays["weights"].transpose(1, 0, 2, 3))}


def _taps(op: Conv2D, io: IO) -> Mapping[str, float]:
    """What every op counts, and ``taps``: places of the kernel that outputs look up, each for a group's inputs;
    ``checked``: those that may lie in the padding."""
    taps = io.out.size * prod(op.kernel)
    return {**counted(op, io), "taps": taps, "checked": taps if op.pad else 0}


def _pixel_numbers(op: Conv2D | Dense, io: IO) -> Mapping[str, Any]:
    stride_h, stride_w = op.stride if isinstance(op, Conv2D) else (1, 1)
    return {"K": io.x.channels, "O": io.out.channels, "stride_h": stride_h, "stride_w": stride_w}


def _early_conv_lag(op: Conv2D, io: IO, index: int) -> int | None:
    """For kernels that read a pixel's inputs again after they wrote some of its channels."""
    shapes = io.x.shape, io.out.shape
    return sliding_lag(*shapes, op.kernel, op.stride, op.dilation, op.pad, writes_early=True) if index == 0 else None


def _early_dense_lag(op: Dense, io: IO, index: int) -> int | None:
    rows = io.x.size // io.x.channels
    return element_lag(np.arange(rows) * io.x.channels, io.out.channels, writes_early=True) if index == 0 else None


def _depthwise_lag(op: Conv2D, io: IO, index: int) -> int | None:
    """With one output a channel, an input channel is read before the output in its place is written."""
    return op.lag(io, index) if io.out.channels == io.x.channels else _early_conv_lag(op, io, index)


ROWS: tuple[Kernel, ...] = (
    Kernel(
        "pointwise", Conv2D, "portable/dense.c.j2",
        arguments=WHOLE_ROWS,
        fits=_fits_pointwise,
        pack=_pack_interleaved,
        numbers=_pixel_numbers,
        lag=_early_conv_lag,
        cycles={"macs": 3.15, "ops": 13.9, "call": 60},
    ),
    Kernel(
        "depthwise", Conv2D, "portable/depthwise_conv_2d.c.j2",
        arguments=RINGED,
        fits=_fits_depthwise,
        pack=_pack_with_padding,
        lag=_depthwise_lag,
        cycles={"macs": 5.9, "ops": 10.3, "call": 60},
    ),
    Kernel(
        "one_pixel", Conv2D, "portable/one_pixel.c.j2",
        fits=_fits_one_pixel,
        pack=_pack_interleaved,
        lag=_early_conv_lag,
        cycles={"macs": 3.2, "ops": 8, "call": 60},
    ),
    Kernel(
        "one_pixel_sums", Conv2D, "portable/one_pixel_sums.c.j2",
        arguments=("in0_h", "in0_pitch", "in0_top"),
        fits=_fits_one_pixel_sums,
        scratch=_sums_scratch,
        pack=_pack_rows_interleaved,
        cycles={"macs": 3.25, "ops": 8, "call": 60},
    ),
    Kernel(
        "grouped_sums", Conv2D, "portable/grouped_sums.c.j2",
        arguments=("in0_h", "in0_pitch", "in0_top"),
        fits=_fits_grouped_sums,
        scratch=_sums_scratch,
        pack=_pack_rows,
        cycles={"macs": 6, "ops": 10.3, "call": 60},
    ),
    Kernel(
        "im2col", Conv2D, "portable/conv_2d.c.j2",
        arguments=RINGED,
        fits=_fits_one_group,
        scratch=lambda op, io: prod(op.kernel) * io.x.channels,
        pack=_pack_interleaved,
        cycles={"macs": 3.3, "ops": 16.2, "call": 60},
    ),
    Kernel(
        "any_conv", Conv2D, "portable/grouped_conv_2d.c.j2",
        arguments=RINGED,
        pack=_pack_with_padding,
        lag=_early_conv_lag,
        work=_taps,
        cycles={"macs": 5, "taps": 4, "checked": 8, "ops": 14, "call": 60},
    ),
    Kernel(
        "dense", Dense, "portable/dense.c.j2",
        arguments=WHOLE_ROWS,
        pack=_pack_interleaved,
        numbers=_pixel_numbers,
        lag=_early_dense_lag,
        cycles={"macs": 3.25, "ops": 12, "call": 60},
    ),
    Kernel(
        "conv_transpose", ConvTranspose2D, "portable/conv_transpose_2d.c.j2",
        arguments=RINGED,
        pack=_pack_in_order,
        numbers=_transpose_numbers,
        cycles={"macs": 8, "ops": 20, "call": 60},
    ),
)  # fmt: skip
