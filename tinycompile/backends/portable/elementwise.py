"""Rows for ops that treat every value alike: look-up tables, and two operands under broadcasting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

from tinycompile.backends.kernel import WHOLE_ROWS, Kernel
from tinycompile.backends.portable.operands import Source, constants, sources
from tinycompile.ir import IO, Op, Shape
from tinycompile.ops.add import Add
from tinycompile.ops.broadcast import Broadcast, aligned
from tinycompile.ops.min_max import Max, Min
from tinycompile.ops.mul import Mul
from tinycompile.ops.prelu import PRelu
from tinycompile.ops.sub import Sub
from tinycompile.ops.unary import Unary

KINDS: Mapping[type[Op], str] = {
    Add: "sum", Sub: "sum", Mul: "product", Min: "minimum", Max: "maximum", PRelu: "prelu",
}  # fmt: skip

CYCLES: Mapping[type[Op], float] = {Add: 12.0, Sub: 14.3, Mul: 13.0, Min: 15.0, Max: 15.0, PRelu: 16.0}
"""Cycles an operation on a Cortex-M4, as emulated (clang -O2)."""


@dataclass(frozen=True)
class RowOperand(Source):
    """How a row kernel walks one operand: element steps a row (C text, empty: none), a column and a channel."""

    row: str
    column: int
    channel: int


@dataclass(frozen=True)
class StridedOperand(Source):
    """Where a strided kernel finds one operand: ``offset`` is the index as C text over the loops' counters."""

    offset: str


@dataclass(frozen=True)
class StridedLoop:
    """One loop of a strided kernel."""

    index: str
    extent: int


def kind(op: Op, io: IO) -> str:
    """Which arithmetic of the template ``portable/_binary.c.j2`` the op uses."""
    name = KINDS[type(op)]
    return f"{io.rounding}_{name}" if name == "sum" else name


def image(io: IO) -> tuple[Shape, list[Shape]] | None:
    """Output and inputs as NHWC with batch 1, where broadcasting can be told in rows, columns and channels.

    Outputs that are not images count as one row of (size / channels) columns, as in ``schedule.program.View``.
    """
    out = io.out.shape
    shapes = [aligned(t.shape, len(out)) for t in io.inputs]
    if len(out) == 4 and out[0] == 1:
        return out, shapes
    flat = [_one_row(shape, out) for shape in shapes]
    if any(shape is None for shape in flat):
        return None
    return _as_one_row(out), [shape for shape in flat if shape is not None]


def _as_one_row(shape: Shape) -> Shape:
    return (1, 1, prod(shape[:-1]), shape[-1]) if shape else (1, 1, 1, 1)


def _one_row(shape: Shape, out: Shape) -> Shape | None:
    """``shape`` as one row, if its leading axes are all repeated or all whole."""
    row = _as_one_row(shape)
    return row if row[2] in (1, prod(out[:-1])) else None


def by_rows(op: Op, io: IO) -> bool:
    """Whether the row kernels apply."""
    return image(io) is not None


def row_numbers(op: Op, io: IO) -> Mapping[str, Any]:
    """Operands of the row template."""
    found = image(io)
    assert found is not None, "by_rows() was asked first"
    out, shapes = found
    operands = []
    for source, (_, height, width, channels) in zip(sources(io), shapes, strict=True):
        pitch = f"{source.pointer}_pitch" if source.pointer else str(width * channels)
        row, column = pitch if height > 1 else "", channels if width > 1 else 0
        operands.append(RowOperand(source.pointer, source.constant, row, column, int(channels > 1)))
    return {
        "kind": kind(op, io),
        "operands": operands,
        "channels": out[3],
        "flat": all(shape[2:] == out[2:] for shape in shapes),
        "unused": [f"{o.pointer}_pitch" for o in operands if o.pointer and not o.row],
    }


def strided_numbers(op: Op, io: IO) -> Mapping[str, Any]:
    """Loops and operands of the strided template: neighbouring axes that repeat alike share one loop."""
    out = io.out.shape
    shapes = [aligned(t.shape, len(out)) for t in io.inputs]
    axes = [i for i in range(len(out)) if out[i] > 1] or [len(out) - 1]
    groups = [list(g) for _, g in groupby(axes, key=lambda i: tuple(shape[i] > 1 for shape in shapes))]
    loops = [StridedLoop(f"i{n}", prod(out[i] for i in group)) for n, group in enumerate(groups)]
    operands = []
    for source, shape in zip(sources(io), shapes, strict=True):
        terms = []
        for loop, group in zip(loops, groups, strict=True):
            step = prod(shape[group[-1] + 1 :])
            if shape[group[-1]] > 1:
                terms.append(f"{loop.index} * {step}" if step > 1 else loop.index)
        operands.append(StridedOperand(source.pointer, source.constant, " + ".join(terms) or "0"))
    return {"kind": kind(op, io), "operands": operands, "loops": loops}


def rows_of(op: type[Broadcast]) -> tuple[Kernel, ...]:
    """The kernels of one binary op: by rows with one or two activations, and for any broadcasting."""
    cycles, more = {"ops": CYCLES[op], "call": 40.0}, {"ops": CYCLES[op] + 3, "call": 40.0}
    rows, strided = "portable/binary_rows.c.j2", "portable/binary_strided.c.j2"
    return (
        Kernel(
            "rows", op, rows, arguments=(*WHOLE_ROWS, "in1_pitch"), pack=constants, numbers=row_numbers, cycles=cycles,
            fits=lambda op, io: by_rows(op, io) and len(io.activations) == 2,
        ),
        Kernel(
            "rows_constant", op, rows, arguments=WHOLE_ROWS, pack=constants, numbers=row_numbers, cycles=cycles,
            fits=lambda op, io: by_rows(op, io) and len(io.activations) == 1,
        ),
        Kernel("strided", op, strided, pack=constants, numbers=strided_numbers, cycles=more),
    )  # fmt: skip


ROWS: tuple[Kernel, ...] = (
    Kernel(
        "table", Unary, "portable/unary.c.j2",
        arguments=WHOLE_ROWS,
        pack=lambda op, io: {"table": op.table(io)},
        cycles={"ops": 5.3, "call": 30},
    ),
    *(kernel for op in (Add, Sub, Mul, Min, Max, PRelu) for kernel in rows_of(op)),
)  # fmt: skip
