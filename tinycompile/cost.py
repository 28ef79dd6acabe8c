"""Predicted cycles of a kernel call on a core, before anything is built.

The prediction is linear in what the kernel counts (``Kernel.work``): cycles = sum of count * weight. A kernel's
weights (``Kernel.cycles``) are those of a Cortex-M4; ``CORES`` scales them. Predictions rank kernels and stages;
reports give the emulated figure beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinycompile.backends import Kernel
from tinycompile.ir import IO, Op

CORES: Mapping[str, float] = {
    "cortex-m0plus": 2.7,
    "cortex-m3": 1.05,
    "cortex-m4": 1.0,
    "cortex-m7": 0.43,
    "cortex-m33": 0.77,
    "cortex-m55": 0.6,
    "cortex-m85": 0.5,
}
"""Cycles of compiled portable C relative to the Cortex-M4; from ``benchmarks/cycle_model.py``."""


def kernel_cycles(op: Op, io: IO, kernel: Kernel, core: str) -> int:
    """Predicted cycles of one call of ``kernel`` for ``op`` on ``core`` (a name in ``CORES``)."""
    counts = kernel.work(op, io)
    return round(CORES[core] * sum(weight * counts[name] for name, weight in kernel.cycles.items()))
