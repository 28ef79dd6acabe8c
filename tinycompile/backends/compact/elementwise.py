"""Rows for sums and differences that share their code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinycompile.backends.compact.layers import SHARED, initialiser
from tinycompile.backends.kernel import WHOLE_ROWS, Kernel
from tinycompile.backends.portable.elementwise import by_rows, row_numbers
from tinycompile.backends.portable.operands import constants
from tinycompile.ir import IO
from tinycompile.ops.add import Add
from tinycompile.ops.sub import Sub
from tinycompile.ops.weighted_sum import NativeSum, Sum, TfliteSum

SOURCES = ("kernels/compact/tc_compact.h", "kernels/compact/tc_compact_sum.h")


def _arithmetic(total: NativeSum | TfliteSum) -> Mapping[str, Any]:
    """The fields of ``tc_compact_sum`` that say what is computed."""
    if isinstance(total, NativeSum):
        numbers = {"multiplier": total.multipliers, "shift": (total.shift,), "range": (0, total.low, total.high)}
        return {"constant": total.constant, **_texts(numbers)}
    *zero_points, out = total.zero_points
    numbers = {"multiplier": total.multipliers, "shift": total.shifts, "zero_point": tuple(zero_points)}
    return {"sign": total.signs[1], **_texts({**numbers, "range": (out, total.low, total.high)})}


def _texts(numbers: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    return {name: initialiser(*values) for name, values in numbers.items()}


def _numbers(op: Sum, io: IO) -> Mapping[str, Any]:
    """``fields`` of the struct ``tc_compact_sum``; the ``constant`` operand's name, if it is one; the ``scheme``."""
    n = row_numbers(op, io)
    steps = [initialiser(int(bool(o.row)), o.column, o.channel) for o in n["operands"]]
    fields = {"channels": n["channels"], "steps": initialiser(*steps)}
    second = n["operands"][1]
    if second.constant and second.row:
        fields["in1_pitch"] = second.row
    total = op.parameters(io)["sum"]
    scheme = "native" if isinstance(total, NativeSum) else "double"
    return {"fields": {**fields, **_arithmetic(total)}, "constant": second.constant, "scheme": scheme}


def _fits(op: Sum, io: IO) -> bool:
    return io.inputs[0].data is None and by_rows(op, io)


def _rows_of(op: type[Sum]) -> tuple[Kernel, ...]:
    """The kernels of one op: the second operand an activation or a constant."""
    cycles = {"ops": 16.0, "call": 40.0}
    return (
        Kernel(
            "rows", op, "compact/sum.c.j2",
            isa=SHARED, sources=SOURCES, arguments=(*WHOLE_ROWS, "in1_pitch"),
            fits=lambda op, io: len(io.activations) == 2 and _fits(op, io), pack=constants, numbers=_numbers,
            cycles=cycles,
        ),
        Kernel(
            "rows_constant", op, "compact/sum.c.j2",
            isa=SHARED, sources=SOURCES, arguments=WHOLE_ROWS,
            fits=lambda op, io: len(io.activations) == 1 and _fits(op, io), pack=constants, numbers=_numbers,
            cycles=cycles,
        ),
    )  # fmt: skip


ROWS: tuple[Kernel, ...] = (*_rows_of(Add), *_rows_of(Sub))
