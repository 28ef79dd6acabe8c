"""A kernel: one way to compute one op on cores that can execute it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tinycompile.ir import IO, Array, Op

WHOLE_ROWS = ("out_h", "out_w", "out_pitch", "in0_pitch")
"""Arguments of a kernel that reads the input's rows where it writes the output's."""
WINDOW = ("out_h", "out_w", "out_pitch", "in0_h", "in0_w", "in0_pitch", "pad_top", "pad_left")
"""Arguments of a kernel that looks around each pixel, at what may lie outside the input."""
RING = ("in0_turn", "in0_ring")
"""Arguments of a kernel that finds several rows of its input in a ring."""
RINGED = (*WINDOW, *RING)


def _always(op: Any, io: IO) -> bool:
    return True


def _no_scratch(op: Any, io: IO) -> int:
    return 0


def _no_arrays(op: Op, io: IO) -> Mapping[str, Array]:
    return {}


def counted(op: Any, io: IO) -> dict[str, float]:
    """What the op counts, whatever the kernel (see ``ir.Features``), and its output's rows and pixels."""
    features, shape = op.features(io), io.out.shape
    rows = shape[1] if len(shape) == 4 else 1
    pixels = io.out.size // io.out.channels if shape else 1
    counts = {"macs": features.macs, "ops": features.ops, "stores": features.stores}
    return {**counts, "pixels": pixels, "rows": rows, "call": 1}


def constant_bytes(op: Any, io: IO) -> int:
    """Bytes of the constants as they are, and of a multiplier for each output channel where weights have one."""
    constants = [t for t in io.inputs if t.data is not None]
    scales = max((len(t.quant.scale) for t in constants if t.quant), default=1)
    return sum(t.nbytes for t in constants) + (4 * scales if scales > 1 else 0)


def _no_numbers(op: Op, io: IO) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Kernel:
    """One row of a backend's table.

    ``arguments`` are the C parameters after the pointers, from the vocabulary ``out_h out_w out_pitch``,
    ``in0_h in0_w in0_pitch`` (``in1_`` and so on; numbered over the activation inputs), ``pad_top pad_left``:
    what changes from one window of the op to another. All else is a constant of the generated function.
    ``in0_turn in0_ring`` are for kernels that read several rows at a time: from row ``in0_turn`` on, rows lie
    ``in0_ring`` elements lower than their pitch says (0 where the rows are in no ring, a literal in the call).
    ``in0_top in0_left`` (and ``out_top`` and so on) are where windows begin in the whole tensor.
    ``in0_first in0_last`` are for kernels that take in rows a few at a time (``Op.fold``): 1 where the call gets
    the first or the last of them; scratch keeps what lies between. Such a kernel has these or ``in0_top``.
    """

    name: str
    op: type[Op]
    template: str
    """Path below codegen_templates, e.g. ``portable/max_pool_2d.c.j2``."""
    isa: frozenset[str] = frozenset()
    """What the core must have or be: ``dsp``, ``mve``; the name of a core (``cortex-m7``) for code that is scheduled
    for its pipeline."""
    arguments: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Headers below runtime_c that the generated C includes."""
    fits: Callable[[Any, IO], bool] = _always
    scratch: Callable[[Any, IO], int] = _no_scratch
    """Bytes of working memory; the planner places them like any buffer, 4-aligned."""
    pack: Callable[[Any, IO], Mapping[str, Array]] = _no_arrays
    """Constant arrays for flash, by the name that the template uses; NumPy dtypes become C types."""
    numbers: Callable[[Any, IO], Mapping[str, Any]] = _no_numbers
    """Further finished numbers for the template."""
    lag: Callable[[Any, IO, int], int | None] | None = None
    """Where the kernel overlaps better (or worse) than its op promises."""
    work: Callable[[Any, IO], Mapping[str, float]] = counted
    """How often one call runs each of its parts (a block of its inner loop, an output, a row, the call itself), by
    name: what predicted cycles are linear in."""
    flash: Callable[[Any, IO], int] = constant_bytes
    """Bytes that ``pack`` will take, told without packing."""
    together: int = 1
    """Rows of the output that it makes together: a call of fewer costs no less."""
    cycles: Mapping[str, float] = field(kw_only=True)
    """On a Cortex-M4, for parts of ``work``: what ``cost`` uses, scaled, on cores that it has no fitted table of."""

    @cached_property
    def key(self) -> str:
        """Backend, op and name, which no other kernel has."""
        return f"{self.template.split('/')[0]} {self.op.__name__} {self.name}"
