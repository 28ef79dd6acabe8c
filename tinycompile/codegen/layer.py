"""A layer: one C function of the generated code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tinycompile.backends import Kernel
from tinycompile.ir import IO, Array, Op


@dataclass(frozen=True)
class Layer:
    """One C function: an op of the graph, computed by one kernel, for whatever windows the program asks."""

    symbol: str
    op: Op
    io: IO
    kernel: Kernel
    fixed: Mapping[str, int] = field(default_factory=dict)
    """Those of the kernel's arguments that are the same in all calls."""

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """The constants it keeps in flash, by the template's names."""
        return self.kernel.pack(self.op, self.io)

    def array_name(self, name: str) -> str:
        """C identifier of one of its constants."""
        return f"{self.symbol}_{name}"
