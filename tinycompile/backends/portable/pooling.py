"""Rows for pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, Kernel, counted
from tinycompile.ir import IO, Array
from tinycompile.numerics import Requantizer
from tinycompile.ops.average_pool_2d import AveragePool2D
from tinycompile.ops.max_pool_2d import MaxPool2D


def _requantizers(op: AveragePool2D, io: IO) -> dict[int, Requantizer]:
    found: dict[int, Requantizer] = op.parameters(io)["requantizers"]
    return found


def average_tables(op: AveragePool2D, io: IO) -> Mapping[str, Array]:
    """A multiplier and a shift for every (rows, columns) that count, where more than one size occurs."""
    sizes = _requantizers(op, io)
    if len(sizes) == 1 or op.is_raw_mean(io):
        return {}
    multiplier, shift = np.zeros(op.kernel, np.int32), np.zeros(op.kernel, np.int8)
    for rows in range(op.kernel[0]):
        for columns in range(op.kernel[1]):
            rq = op.requantizer(io, (rows + 1) * (columns + 1))
            multiplier[rows, columns], shift[rows, columns] = rq.multiplier[0], rq.shift[0]
    return {"multiplier": multiplier, "shift": shift} if shift.any() else {"multiplier": multiplier}


def average_numbers(op: AveragePool2D, io: IO) -> Mapping[str, Any]:
    sizes = _requantizers(op, io)
    return {
        "requantizer": next(iter(sizes.values())),
        "single": next(iter(sizes)) if len(sizes) == 1 else 0,
        "row_limit": op.pad.bottom - op.uncounted[0],
        "column_limit": op.pad.right - op.uncounted[1],
    }


def pool_work(op: AveragePool2D | MaxPool2D, io: IO) -> Mapping[str, float]:
    """What the op counts, and the rows of windows that are looked through, for each channel by itself."""
    return {**counted(op, io), "lines": io.out.size * op.kernel[0]}


ROWS: tuple[Kernel, ...] = (
    Kernel(
        "average_pool", AveragePool2D, "portable/average_pool_2d.c.j2",
        arguments=RINGED,
        pack=average_tables,
        numbers=average_numbers,
        cycles={"ops": 3.4, "stores": 8.4, "call": 60},
    ),
    Kernel(
        "average_pool_sums", AveragePool2D, "portable/average_pool_sums.c.j2",
        arguments=("in0_h", "in0_w", "in0_pitch", "in0_first", "in0_last"),
        fits=lambda op, io: op.fold(io) is not None,
        scratch=lambda op, io: 4 * io.x.channels,
        numbers=average_numbers,
        cycles={"ops": 4, "stores": 18, "call": 60},
    ),
    Kernel(
        "max_pool", MaxPool2D, "portable/max_pool_2d.c.j2",
        arguments=RINGED,
        work=pool_work,
        cycles={"ops": 3.4, "stores": 2, "call": 60},
    ),
    Kernel(
        "max_pool_rows", MaxPool2D, "portable/max_pool_rows.c.j2",
        arguments=("in0_h", "in0_w", "in0_pitch", "in0_first", "in0_last"),
        fits=lambda op, io: op.fold(io) is not None,
        scratch=lambda op, io: 4 * io.x.channels,
        cycles={"ops": 5, "stores": 5, "call": 60},
    ),
)  # fmt: skip
