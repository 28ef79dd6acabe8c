"""Rows for sums of two tensors: 4 lanes of 32 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tinycompile.backends.kernel import WHOLE_ROWS, Kernel
from tinycompile.backends.portable.elementwise import by_rows, row_numbers
from tinycompile.backends.portable.operands import constants
from tinycompile.ir import IO
from tinycompile.ops.add import Add
from tinycompile.ops.sub import Sub

Sum = Add | Sub


def _fits(activations: int) -> Callable[[Sum, IO], bool]:
    def fits(op: Sum, io: IO) -> bool:
        """Native sums of operands with the output's columns and channels."""
        native = io.rounding == "native" and len(io.activations) == activations
        return native and by_rows(op, io) and bool(row_numbers(op, io)["flat"])

    return fits


def _work(op: Sum, io: IO) -> Mapping[str, float]:
    """Blocks of 4 lanes, rows."""
    rows = io.out.shape[1] if len(io.out.shape) == 4 else 1
    return {"blocks": rows * -(-io.out.size // (4 * rows)), "rows": rows, "call": 1}


ROWS: tuple[Kernel, ...] = tuple(
    Kernel(
        name, op, "mve/sum_rows.c.j2", frozenset({"mve"}), arguments,
        fits=_fits(activations),
        pack=constants, numbers=row_numbers, work=_work,
        cycles={"blocks": 13.3, "rows": 35, "call": 60},
    )
    for op in (Add, Sub)
    for name, activations, arguments in (
        ("mve_rows", 2, (*WHOLE_ROWS, "in1_pitch")),
        ("mve_rows_constant", 1, WHOLE_ROWS),
    )
)  # fmt: skip
