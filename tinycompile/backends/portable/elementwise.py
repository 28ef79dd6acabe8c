"""Rows for ops that treat every value alike."""

from tinycompile.backends.kernel import Kernel
from tinycompile.ops.unary import Unary

ROWS: tuple[Kernel, ...] = (
    Kernel(
        "table", Unary, "portable/unary.c.j2",
        arguments=("out_h", "out_w", "out_pitch", "in0_pitch"),
        pack=lambda op, io: {"table": op.table(io)},
        cycles={"ops": 5, "call": 30},
    ),
)  # fmt: skip
