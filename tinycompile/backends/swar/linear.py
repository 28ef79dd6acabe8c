"""Rows for convolutions and dense layers on cores without SIMD.

Weights and inputs go through the 32-bit multiplier in pairs (see ``runtime_c/kernels/swar/tc_dot4.h``). A half of the
product is an int16, so the weights decide at compile time how many products may be added before it is taken apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, WHOLE_ROWS, Kernel
from tinycompile.backends.portable.linear import requantizer_arrays
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

TILE = 4
"""Output pixels that share the weights that are taken apart."""
LARGEST = 255
"""Sum of weights' magnitudes whose products with any int8 values add up within int16: 128 * 255 < 2**15."""


def grouped(io: IO) -> Array:
    """int16[O, groups, 4]: the weights with zeros behind the last."""
    w = io.inputs[1].values
    matrix = w.reshape(w.shape[0], -1).astype(np.int16)
    padded = np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % 4)))
    return padded.reshape(len(matrix), -1, 4)


def magnitudes(io: IO) -> tuple[int, int]:
    """The largest sum of magnitudes in a group of four, and among the pairs that one multiply takes."""
    w = np.abs(grouped(io))
    pairs = w[..., :2] + w[..., 2:]
    return int(w.sum(axis=2).max()), int(pairs.max())


def filter_words(io: IO, bias: Array) -> Array:
    """uint32[O * (1 + groups)]: of each channel its bias, then w2, w3, w0, w1 of each group as bytes, plus 128."""
    moved = np.ascontiguousarray(grouped(io)[..., [2, 3, 0, 1]] + 128).astype(np.uint8, order="C")
    words = moved.view("<u4")[..., 0]
    return np.concatenate([bias.astype(np.int32).view(np.uint32)[:, None], words], axis=1).ravel()


def _groups(io: IO) -> int:
    w = io.inputs[1]
    return -(-w.size // w.shape[0] // 4)


def _inputs(io: IO) -> int:
    """Inputs of an output pixel."""
    w = io.inputs[1]
    return w.size // w.shape[0]


def _fits(op: Conv2D | Dense, io: IO) -> bool:
    """Symmetric weights, and no two of -128 that go into one multiply."""
    return io.inputs[1].zero_point == 0 and magnitudes(io)[1] <= LARGEST


def _fits_pointwise(op: Conv2D, io: IO) -> bool:
    return op.is_pointwise and _fits(op, io)


def _fits_one_group(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and not op.is_pointwise and _fits(op, io)


def _gathered(op: Conv2D | Dense, io: IO) -> bool:
    """Whether inputs are copied together before they are spread: pixels are not, where each is whole words."""
    return not (isinstance(op, Dense) or op.is_pointwise) or io.x.channels % 4 > 0


def _pack(op: Conv2D | Dense, io: IO) -> Mapping[str, Array]:
    p = op.parameters(io)
    return {"filters": filter_words(io, p["bias"]), **requantizer_arrays(p["requantizer"])}


def _flash(op: Conv2D | Dense, io: IO) -> int:
    outputs = io.out.channels
    rq = op.parameters(io)["requantizer"]
    return 4 * outputs * (1 + _groups(io)) + sum(a.nbytes for a in requantizer_arrays(rq).values())


def _scratch(op: Conv2D | Dense, io: IO) -> int:
    """Two words of each group and pixel, four sums, and the inputs of one pixel."""
    return 8 * TILE * _groups(io) + 4 * TILE + (4 * _groups(io) if _gathered(op, io) else 0)


def _numbers(op: Conv2D | Dense, io: IO) -> Mapping[str, Any]:
    stride_h, stride_w = op.stride if isinstance(op, Conv2D) else (1, 1)
    return {
        "groups": _groups(io),
        "dot": "tc_dot4_wide" if magnitudes(io)[0] <= LARGEST else "tc_dot4_narrow",
        "pointwise": isinstance(op, Dense) or op.is_pointwise,
        "gathered": _gathered(op, io),
        "stride_h": stride_h,
        "stride_w": stride_w,
    }


def _work(op: Conv2D | Dense, io: IO) -> Mapping[str, float]:
    """``groups``: of four weights with four pixels; ``inputs`` gathered; ``outputs``."""
    outputs = io.out.channels
    pixels = io.out.size // outputs
    tiles = -(-pixels // TILE)
    return {"groups": tiles * outputs * _groups(io), "inputs": pixels * _inputs(io), "outputs": io.out.size, "call": 1}


CYCLES = {"groups": 16.5, "inputs": 3, "outputs": 20, "call": 60}

ROWS: tuple[Kernel, ...] = (
    Kernel(
        "pointwise_pairs", Conv2D, "swar/conv_2d.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=WHOLE_ROWS,
        sources=("kernels/swar/tc_dot4.h",),
        fits=_fits_pointwise, scratch=_scratch, pack=_pack, numbers=_numbers, work=_work, flash=_flash,
        cycles=CYCLES,
    ),
    Kernel(
        "im2col_pairs", Conv2D, "swar/conv_2d.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=RINGED,
        sources=("kernels/swar/tc_dot4.h",),
        fits=_fits_one_group, scratch=_scratch, pack=_pack, numbers=_numbers, work=_work, flash=_flash,
        cycles=CYCLES,
    ),
    Kernel(
        "dense_pairs", Dense, "swar/conv_2d.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=WHOLE_ROWS,
        sources=("kernels/swar/tc_dot4.h",),
        fits=_fits, scratch=_scratch, pack=_pack, numbers=_numbers, work=_work, flash=_flash,
        cycles=CYCLES,
    ),
)  # fmt: skip
