"""Inputs that may be activations or constants: what the templates call them, and what goes to flash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinycompile.ir import IO, Array, Op


@dataclass(frozen=True)
class Source:
    """Where a template finds one input: a pointer argument, or a constant array; the other is empty."""

    pointer: str
    constant: str


def sources(io: IO) -> tuple[Source, ...]:
    """One for each input; pointer arguments count activations only."""
    pointers = iter(range(len(io.inputs)))
    return tuple(
        Source(f"in{next(pointers)}", "") if t.data is None else Source("", f"input{i}")
        for i, t in enumerate(io.inputs)
    )


def constants(op: Op, io: IO) -> Mapping[str, Array]:
    """Constant inputs as they are."""
    return {f"input{i}": t.data for i, t in enumerate(io.inputs) if t.data is not None}
