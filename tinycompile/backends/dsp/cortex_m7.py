"""Rows for a Cortex-M7, which has the instructions of a Cortex-M4 and issues two of them in a cycle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tinycompile.backends.kernel import Kernel


def for_m7(row: Kernel, numbers: Callable[..., Mapping[str, Any]]) -> Kernel:
    """The same, with the numbers that are told so (``dual=True``), in an order for two instructions a cycle."""
    cycles = {name: 0.8 * cycles for name, cycles in row.cycles.items()}
    numbers = partial(numbers, dual=True)
    return replace(row, name=f"{row.name}_m7", isa=row.isa | {"cortex-m7"}, numbers=numbers, cycles=cycles)
