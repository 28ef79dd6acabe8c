"""Which kernels exist, for which op on which core: tables of rows, searched in order of preference."""

from __future__ import annotations

from tinycompile.backends.kernel import Kernel
from tinycompile.backends.portable import PORTABLE
from tinycompile.ir import IO, Op

__all__ = ["PORTABLE", "Kernel", "candidates"]


def candidates(op: Op, io: IO, features: frozenset[str] = frozenset()) -> tuple[Kernel, ...]:
    """Every kernel that computes ``op`` on a core with these features, most special first."""
    return tuple(row for row in PORTABLE if isinstance(op, row.op) and row.isa <= features and row.fits(op, io))
