"""Rows for ops that treat every value alike and share their code: two operands under broadcasting, look-up tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinycompile.backends.compact.layers import SHARED, initialiser
from tinycompile.backends.kernel import WHOLE_ROWS, Kernel
from tinycompile.backends.portable.elementwise import by_rows, row_numbers
from tinycompile.backends.portable.operands import constants
from tinycompile.ir import IO
from tinycompile.ops.add import Add
from tinycompile.ops.mul import Mul
from tinycompile.ops.sub import Sub
from tinycompile.ops.unary import Unary
from tinycompile.ops.weighted_sum import NativeSum, Sum

SOURCES = ("kernels/compact/tc_compact.h", "kernels/compact/tc_compact_elementwise.h")
Fields = dict[str, int | str]


def _sum(op: Sum, io: IO) -> tuple[str, Fields]:
    """The function of a sum, and what its struct says of the arithmetic."""
    total = op.parameters(io)["sum"]
    if isinstance(total, NativeSum):
        numbers = {"multiplier": total.multipliers, "shift": (total.shift,), "range": (0, total.low, total.high)}
        return "sum_native", {**_arrays(numbers), "constant": total.constant}
    *zero_points, out = total.zero_points
    numbers = {"multiplier": total.multipliers, "shift": total.shifts, "zero_point": tuple(zero_points)}
    return "sum_double", {**_arrays({**numbers, "range": (out, total.low, total.high)}), "sign": total.signs[1]}


def _product(op: Mul, io: IO) -> tuple[str, Fields]:
    """The function of a product, and what its struct says of the arithmetic."""
    rq = op.requantizer(io)
    scale = {"multiplier": (int(rq.multiplier[0]),), "shift": (int(rq.shift[0]),)}
    zero_points = {"zero_point": tuple(t.zero_point for t in io.inputs)}
    return f"product_{rq.scheme}", _arrays({**scale, **zero_points, "range": (rq.zero_point, rq.low, rq.high)})


def _arrays(numbers: Mapping[str, tuple[int, ...]]) -> Fields:
    return {name: initialiser(*values) for name, values in numbers.items()}


def _numbers(op: Sum | Mul, io: IO) -> Mapping[str, Any]:
    """``fields`` of the struct ``tc_compact_binary``; the ``function``; the ``constant`` operand, if there is one."""
    n = row_numbers(op, io)
    steps = [initialiser(int(bool(o.row)), o.column, o.channel) for o in n["operands"]]
    fields: Fields = {"channels": n["channels"], "steps": initialiser(*steps)}
    second = n["operands"][1]
    if second.constant and second.row:
        fields["in1_pitch"] = second.row
    function, arithmetic = _product(op, io) if isinstance(op, Mul) else _sum(op, io)
    return {"fields": {**fields, **arithmetic}, "function": function, "constant": second.constant}


def _fits(op: Sum | Mul, io: IO) -> bool:
    return io.inputs[0].data is None and by_rows(op, io)


def _rows_of(op: type[Sum] | type[Mul]) -> tuple[Kernel, ...]:
    """The kernels of one op: the second operand an activation or a constant."""
    cycles = {"ops": 16.0, "call": 40.0}
    return (
        Kernel(
            "rows", op, "compact/binary.c.j2",
            isa=SHARED, sources=SOURCES, arguments=(*WHOLE_ROWS, "in1_pitch"),
            fits=lambda op, io: len(io.activations) == 2 and _fits(op, io), pack=constants, numbers=_numbers,
            cycles=cycles,
        ),
        Kernel(
            "rows_constant", op, "compact/binary.c.j2",
            isa=SHARED, sources=SOURCES, arguments=WHOLE_ROWS,
            fits=lambda op, io: len(io.activations) == 1 and _fits(op, io), pack=constants, numbers=_numbers,
            cycles=cycles,
        ),
    )  # fmt: skip


ROWS: tuple[Kernel, ...] = (
    *(kernel for op in (Add, Sub, Mul) for kernel in _rows_of(op)),
    Kernel(
        "table", Unary, "compact/table.c.j2",
        isa=SHARED, sources=SOURCES, arguments=WHOLE_ROWS,
        pack=lambda op, io: {"table": op.table(io)},
        flash=lambda op, io: 256,
        cycles={"ops": 5.3, "call": 40},
    ),
)  # fmt: skip
