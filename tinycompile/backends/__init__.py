"""Which kernels exist, for which op on which core: tables of rows, searched in order of preference."""

from __future__ import annotations

from tinycompile.backends.compact import COMPACT, SHARED
from tinycompile.backends.dsp import DSP
from tinycompile.backends.kernel import Kernel
from tinycompile.backends.mve import MVE
from tinycompile.backends.portable import PORTABLE
from tinycompile.backends.swar import SWAR
from tinycompile.ir import IO, Op

__all__ = ["ALL", "COMPACT", "DSP", "EVERYTHING", "MVE", "PORTABLE", "SHARED", "SWAR", "Kernel", "candidates"]

ALL: tuple[Kernel, ...] = (*COMPACT, *MVE, *DSP, *SWAR, *PORTABLE)
"""Every kernel, most special first."""

EVERYTHING = frozenset().union(*(row.isa for row in ALL))
"""What a core would have that ran all of them, as the host does with C in place of special instructions."""


def candidates(op: Op, io: IO, features: frozenset[str] = frozenset()) -> tuple[Kernel, ...]:
    """Every kernel that computes ``op`` on a core with these features (``Board.abilities``), most special first."""
    return tuple(row for row in ALL if isinstance(op, row.op) and row.isa <= features and row.fits(op, io))
