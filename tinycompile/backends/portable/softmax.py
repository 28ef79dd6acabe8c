"""Rows for ops that look at whole rows: softmax, its logarithm, arg max."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from tinycompile.backends.kernel import Kernel
from tinycompile.ir import IO
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.softmax import LOG_DROP, LogSoftmax, Softmax


def arg_max_numbers(op: ArgMax, io: IO) -> Mapping[str, Any]:
    """Extents before, on and behind the axis."""
    shape = io.x.shape
    return {"outer": prod(shape[: op.axis]), "length": shape[op.axis], "step": prod(shape[op.axis + 1 :])}


ROWS: tuple[Kernel, ...] = (
    Kernel(
        "softmax_tflite", Softmax, "portable/softmax_tflite.c.j2",
        sources=("include/tc_softmax.h",),
        fits=lambda op, io: op.is_tflite(io),
        pack=lambda op, io: {"exponentials": op.ratio(io).exponentials},
        cycles={"ops": 9, "call": 300},
    ),
    Kernel(
        "softmax", Softmax, "portable/softmax.c.j2",
        fits=lambda op, io: not op.is_tflite(io),
        pack=lambda op, io: {"exponentials": op.ratio(io).table},
        cycles={"ops": 10, "call": 60},
    ),
    Kernel(
        "log_softmax", LogSoftmax, "portable/log_softmax.c.j2",
        pack=lambda op, io: {"exponentials": op.ratio(io).table, "logs": op.ratio(io).logs},
        numbers=lambda op, io: {"drop": LOG_DROP},
        cycles={"ops": 7, "call": 80},
    ),
    Kernel("arg_max", ArgMax, "portable/arg_max.c.j2", numbers=arg_max_numbers, cycles={"ops": 3.3, "call": 30}),
)  # fmt: skip
