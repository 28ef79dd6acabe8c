"""Rows for ops that treat every value alike, and pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinycompile.backends.dsp.cortex_m7 import for_m7
from tinycompile.backends.dsp.elementwise_block import ProductBlock, RoundedSumBlock, RoundedTerm, SumBlock, table_loop
from tinycompile.backends.kernel import RINGED, WHOLE_ROWS, Kernel
from tinycompile.backends.portable.elementwise import by_rows, image
from tinycompile.backends.portable.pooling import average_numbers, average_tables
from tinycompile.ir import IO, Op
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool_2d import AveragePool2D
from tinycompile.ops.max_pool_2d import MaxPool2D
from tinycompile.ops.mul import Mul
from tinycompile.ops.sub import Sub
from tinycompile.ops.unary import Unary

DSP = frozenset({"dsp"})
TURN = 8
"""Values of one turn of the loop."""
MOST_SHIFT = 22
"""To the right, at the end of a sum: leaves room for the zero point, shifted to the left."""
MOST_ADDENDS = 256
"""int8 values whose sum fits int16."""


def _are_alike(op: Op, io: IO) -> bool:
    """Two activations, each as large as the output."""
    if len(io.activations) != 2 or not by_rows(op, io):
        return False
    found = image(io)
    return found is not None and all(shape == found[0] for shape in found[1])


def _fits_sum(op: Add | Sub, io: IO) -> bool:
    return io.rounding == "native" and _are_alike(op, io)


def _sum_numbers(op: Add | Sub, io: IO, dual: bool = False) -> Mapping[str, Any]:
    total = op.parameters(io)["sum"]
    first, second = total.multipliers
    return {
        "multipliers": _pair(first, second),
        "block": SumBlock(total.low, total.high, dual, total.shift),
    }


def _fits_rounded_sum(op: Add | Sub, io: IO) -> bool:
    """The larger scale is a half of what both are brought to; the output's must not be far from it."""
    if io.rounding != "tflite" or not _are_alike(op, io):
        return False
    total = op.parameters(io)["sum"]
    terms = zip(total.multipliers[:2], total.shifts[:2], strict=True)
    exact = all(shift < 0 or (shift == 0 and multiplier == 1 << 30) for multiplier, shift in terms)
    return exact and 1 <= -total.shifts[2] <= MOST_SHIFT


def _rounded_sum_numbers(op: Add | Sub, io: IO, dual: bool = False) -> Mapping[str, Any]:
    total = op.parameters(io)["sum"]
    first, second = (RoundedTerm(z, -s) for z, s in zip(total.zero_points[:2], total.shifts[:2], strict=True))
    right, minus = -total.shifts[2], total.signs[1] < 0
    return {
        "half": (1 << right >> 1) + (total.zero_points[2] << right),
        "block": RoundedSumBlock((first, second), minus, right, total.low, total.high, dual),
    }


def _pair(low: int, high: int) -> int:
    """Two int16 as one int32."""
    word = (low & 0xFFFF) | (high & 0xFFFF) << 16
    return word - (1 << 32) if word >> 31 else word


def _whole(op: Mul, io: IO) -> int | None:
    """The operand that is as large as the output where the other is too, or has one value a channel; None: neither."""
    found = image(io)
    if len(io.activations) != 2 or found is None:
        return None
    shape, shapes = found
    for whole, other in ((0, 1), (1, 0)):
        if shapes[whole] == shape and shapes[other] in (shape, (1, 1, 1, shape[3])):
            return whole
    return None


def _fits_product(op: Mul, io: IO) -> bool:
    rq = op.requantizer(io)
    return rq.scheme == "native" and rq.shift[0] == 0 and io.out.channels >= TURN and _whole(op, io) is not None


def _product_numbers(op: Mul, io: IO, dual: bool = False) -> Mapping[str, Any]:
    whole, rq = _whole(op, io), op.requantizer(io)
    assert whole is not None, "it fits"
    zero_points = io.inputs[whole].zero_point, io.inputs[1 - whole].zero_point
    return {
        "whole": whole,
        "other": 1 - whole,
        "each_pixel": io.inputs[1 - whole].size != io.out.size,
        "zero_points": _pair(*zero_points),
        "block": ProductBlock(rq.low, rq.high, dual, any(zero_points), rq.zero_point),
    }


def _product_work(op: Mul, io: IO) -> Mapping[str, float]:
    """Turns of the loop, values that are left in each row or pixel, rows or pixels."""
    if all(t.size == io.out.size for t in io.inputs):
        return _row_work(op, io)
    pixels, channels = io.out.size // io.out.channels, io.out.channels
    return {"turns": pixels * (channels // TURN), "left": pixels * (channels % TURN), "rows": pixels, "call": 1}


def _row_work(op: Op, io: IO) -> Mapping[str, float]:
    """Turns of the loop, values that are left in each row, rows."""
    height, width = io.out.hw if len(io.out.shape) == 4 and io.out.shape[0] == 1 else (1, io.out.size)
    size = width * io.out.channels if len(io.out.shape) == 4 and io.out.shape[0] == 1 else io.out.size
    return {"turns": height * (size // TURN), "left": height * (size % TURN), "rows": height, "call": 1}


def _pool_work(op: AveragePool2D | MaxPool2D, io: IO) -> Mapping[str, float]:
    """Words and single values that are taken in, outputs, pixels of the output."""
    channels, pixels, taps = io.x.channels, prod(io.out.hw), prod(op.kernel)
    return {
        "words": pixels * taps * (channels // 4),
        "left": pixels * taps * (channels % 4),
        "windows": pixels * (channels // 4) * op.kernel[0],
        "outputs": pixels * channels,
        "pixels": pixels,
        "call": 1,
    }


def _sum(op: type[Add | Sub]) -> Kernel:
    return Kernel(
        "sum_rows", op, "dsp/sum_rows.c.j2",
        isa=DSP,
        arguments=(*WHOLE_ROWS, "in1_pitch"),
        sources=("include/tc_simd.h",),
        fits=_fits_sum,
        numbers=_sum_numbers,
        work=_row_work,
        cycles={"turns": 45, "left": 14, "rows": 25, "call": 40},
    )  # fmt: skip


def _rounded_sum(op: type[Add | Sub]) -> Kernel:
    """Its turns take four values, so that those of eight cost twice as much."""
    return replace(
        _sum(op), name="rounded_sum_rows", template="dsp/rounded_sum_rows.c.j2",
        fits=_fits_rounded_sum,
        numbers=_rounded_sum_numbers,
        cycles={"turns": 140, "left": 30, "rows": 25, "call": 40},
    )  # fmt: skip


PRODUCT = Kernel(
    "product_rows", Mul, "dsp/product_rows.c.j2",
    isa=DSP,
    arguments=(*WHOLE_ROWS, "in1_pitch"),
    sources=("include/tc_simd.h",),
    fits=_fits_product,
    numbers=_product_numbers,
    work=_product_work,
    cycles={"turns": 63, "left": 14, "rows": 25, "call": 40},
)  # fmt: skip


def _table_numbers(op: Unary, io: IO, dual: bool = False) -> Mapping[str, Any]:
    return {"assembly": table_loop(dual)}


TABLE = Kernel(
    "table_rows", Unary, "dsp/table_rows.c.j2",
    isa=DSP,
    arguments=WHOLE_ROWS,
    sources=("include/tc_simd.h",),
    pack=lambda op, io: {"table": np.roll(op.table(io), 128)},
    flash=lambda op, io: 256,
    numbers=_table_numbers,
    work=_row_work,
    cycles={"turns": 32, "left": 7, "rows": 20, "call": 30},
)  # fmt: skip

AVERAGE = Kernel(
    "average_pool", AveragePool2D, "dsp/average_pool_2d.c.j2",
    isa=DSP,
    arguments=RINGED,
    sources=("include/tc_simd.h", "kernels/dsp/tc_lanes.h"),
    fits=lambda op, io: io.x.channels >= 4 and op.kernel[1] <= MOST_ADDENDS,
    pack=average_tables,
    numbers=lambda op, io: {**average_numbers(op, io), "most": MOST_ADDENDS},
    work=_pool_work,
    cycles={"words": 5, "left": 4, "windows": 12, "outputs": 10, "pixels": 20, "call": 60},
)  # fmt: skip

ROWS: tuple[Kernel, ...] = (
    *(for_m7(_sum(op), _sum_numbers) for op in (Add, Sub)),
    *(_sum(op) for op in (Add, Sub)),
    *(for_m7(_rounded_sum(op), _rounded_sum_numbers) for op in (Add, Sub)),
    *(_rounded_sum(op) for op in (Add, Sub)),
    for_m7(PRODUCT, _product_numbers),
    PRODUCT,
    for_m7(TABLE, _table_numbers),
    TABLE,
    AVERAGE,
    replace(
        AVERAGE, name="average_pool_sums", template="dsp/average_pool_sums.c.j2",
        arguments=("in0_h", "in0_w", "in0_pitch", "in0_first", "in0_last"),
        fits=lambda op, io: io.x.channels >= 4 and io.x.hw[1] <= MOST_ADDENDS and op.fold(io) is not None,
        scratch=lambda op, io: 4 * io.x.channels,
    ),
    Kernel(
        "max_pool", MaxPool2D, "dsp/max_pool_2d.c.j2",
        isa=DSP,
        arguments=RINGED,
        sources=("include/tc_simd.h", "kernels/dsp/tc_lanes.h"),
        fits=lambda op, io: io.x.channels >= 4,
        work=_pool_work,
        cycles={"words": 5, "left": 4, "windows": 12, "outputs": 1, "pixels": 20, "call": 60},
    ),
)  # fmt: skip
