"""The cores that can be emulated: which Unicorn model runs their code, and which cycle model prices it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from unicorn.arm_const import (
    UC_CPU_ARM_CORTEX_M0,
    UC_CPU_ARM_CORTEX_M3,
    UC_CPU_ARM_CORTEX_M4,
    UC_CPU_ARM_CORTEX_M7,
    UC_CPU_ARM_CORTEX_M33,
)

from tinycompile.simulate.emulator.pipeline import (
    CORTEX_M7,
    CORTEX_M33,
    M3_COSTS,
    CortexM0Plus,
    CortexM4,
    Pipeline,
)


@dataclass(frozen=True)
class Core:
    """A Unicorn CPU model (the M0's executes all of the M0+) and a cycle model."""

    model: int
    pipeline: Pipeline


CORES: Mapping[str, Core] = {
    "cortex-m0plus": Core(UC_CPU_ARM_CORTEX_M0, CortexM0Plus()),
    "cortex-m3": Core(UC_CPU_ARM_CORTEX_M3, CortexM4(M3_COSTS)),
    "cortex-m4": Core(UC_CPU_ARM_CORTEX_M4, CortexM4()),
    "cortex-m7": Core(UC_CPU_ARM_CORTEX_M7, CORTEX_M7),
    "cortex-m33": Core(UC_CPU_ARM_CORTEX_M33, CORTEX_M33),
}
