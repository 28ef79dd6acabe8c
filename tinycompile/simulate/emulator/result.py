"""What an emulated run tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cost:
    """What a function cost: ``calls``, executed ``instructions``, estimated ``cycles`` (None: no cycle
    model).
    """

    name: str
    calls: int
    instructions: int
    cycles: int | None


@dataclass(frozen=True)
class Touched:
    """How much of an object in RAM a run wrote: ``count`` bytes, the last of them at offset ``high_water`` -
    1.
    """

    count: int
    high_water: int


@dataclass(frozen=True)
class Emulation:
    """One run of a firmware image.

    ``instructions`` and ``cycles`` are those of the measured region (all calls of it, callees included) or,
    without one, of the whole run; ``cycles`` is an estimate, None where the core has no cycle model.
    ``functions`` are self costs in that region, most expensive first; ``layers`` are inclusive costs, in the
    order they were asked for. ``stack_bytes`` is the deepest use of the stack in the whole run, counted from
    the initial stack pointer; ``region_stack_bytes`` that of the measured function and all it calls.
    """

    exit_status: int
    console: str
    files: Mapping[str, bytes]
    instructions: int
    cycles: int | None
    total_instructions: int
    total_cycles: int | None
    functions: tuple[Cost, ...] = ()
    layers: tuple[Cost, ...] = ()
    stack_bytes: int | None = None
    region_stack_bytes: int | None = None
    touched: Mapping[str, Touched] = field(default_factory=dict)
    objects: Mapping[str, bytes] = field(default_factory=dict)
    """The bytes of the objects that the caller asked for, at the end of the run."""
