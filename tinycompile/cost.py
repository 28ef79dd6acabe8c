"""Predicted cycles of a kernel call on a core, before anything is built.

The prediction is linear in what the kernel counts (``Kernel.work``): cycles = sum of count * weight. The weights of
each kernel on each core are fitted to what the emulator counts, by ``benchmarks/cycle_model.py``, which writes them
to ``backends/cycles.json`` and measures how good they are. On a Cortex-M55, which has no cycle model, an instruction
counts as a cycle. Predictions rank kernels and stages; reports give the emulated figure beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

from tinycompile.backends import Kernel
from tinycompile.ir import IO, Op, Rounding

TABLE = Path(__file__).parent / "backends" / "cycles.json"
CORES: Mapping[str, float] = {
    "cortex-m0plus": 2.7,
    "cortex-m3": 1.05,
    "cortex-m4": 1.0,
    "cortex-m7": 0.43,
    "cortex-m33": 0.77,
    "cortex-m55": 0.6,
    "cortex-m85": 0.5,
}
"""Cycles of compiled C relative to the Cortex-M4, for kernels that the table lacks on a core."""
ALIKE: Mapping[str, str] = {"cortex-m85": "cortex-m55"}
"""Cores that borrow the weights of another one."""

Weights = Mapping[str, float]


def kernel_cycles(op: Op, io: IO, kernel: Kernel, core: str) -> int:
    """Predicted cycles of one call of ``kernel`` for ``op`` on ``core`` (a name in ``CORES``)."""
    counts = kernel.work(op, io)
    return round(sum(weight * counts[name] for name, weight in weights(kernel, io.rounding, core).items()))


def weights(kernel: Kernel, rounding: Rounding, core: str) -> Weights:
    """Cycles on ``core`` of each part of the kernel's work: fitted, or else scaled from its own for the Cortex-M4."""
    fitted = _fitted().get(ALIKE.get(core, core), {}).get(f"{kernel.key} {rounding}")
    return fitted if fitted is not None else _scaled(kernel.key, tuple(kernel.cycles.items()), CORES[core])


@lru_cache(maxsize=1)
def _fitted() -> Mapping[str, Mapping[str, Weights]]:
    """By core, and kernel and rounding; empty where nothing was fitted yet."""
    found: dict[str, dict[str, Weights]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


@cache
def _scaled(key: str, cycles: tuple[tuple[str, float], ...], factor: float) -> Weights:
    return {name: weight * factor for name, weight in cycles}
