"""Rows for ops that treat every value alike, and pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

from tinycompile.backends.dsp.elementwise_block import SumBlock
from tinycompile.backends.kernel import RINGED, WHOLE_ROWS, Kernel
from tinycompile.backends.portable.elementwise import by_rows, image
from tinycompile.backends.portable.pooling import average_numbers, average_tables
from tinycompile.ir import IO, Op
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool_2d import AveragePool2D
from tinycompile.ops.max_pool_2d import MaxPool2D
from tinycompile.ops.sub import Sub

DSP = frozenset({"dsp"})
TURN = 8
"""Values of one turn of the loop."""
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
        "multipliers": (first & 0xFFFF) | (second & 0xFFFF) << 16,
        "block": SumBlock(total.low, total.high, dual, total.shift),
    }


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


def _sum(op: type[Add | Sub], name: str, isa: frozenset[str], dual: bool) -> Kernel:
    return Kernel(
        name, op, "dsp/sum_rows.c.j2",
        isa=isa,
        arguments=(*WHOLE_ROWS, "in1_pitch"),
        sources=("include/tc_simd.h",),
        fits=_fits_sum,
        numbers=partial(_sum_numbers, dual=dual),
        work=_row_work,
        cycles={"turns": 45, "left": 14, "rows": 25, "call": 40},
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
    *(_sum(op, "sum_rows_m7", DSP | {"cortex-m7"}, True) for op in (Add, Sub)),
    *(_sum(op, "sum_rows", DSP, False) for op in (Add, Sub)),
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
