"""One meaning: reference, arena, host and emulator must give the same bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from tinycompile.api.compile import Compiled
from tinycompile.api.session import Ran, run_firmware, run_in_qemu
from tinycompile.codegen.names import bank_symbols
from tinycompile.data import Samples
from tinycompile.deploy import Firmware, Toolchain, build_firmware
from tinycompile.ir import Array, DType, Graph
from tinycompile.progress import Progress
from tinycompile.simulate import Host, PushedHost, arena, compare, reference
from tinycompile.simulate.emulator import Emulation
from tinycompile.simulate.emulator.qemu import qemu_version

Inputs = Mapping[str, Array]
PORTIONS = (1, 0, 3)
"""How a streamed input is pushed: a row, a row that is written in place, three rows, and again."""


@dataclass(frozen=True)
class Verification:
    """Which stages ran and agreed on how many inputs, and the cost that the emulator saw (None: not emulated)."""

    stages: tuple[str, ...]
    samples: int
    emulation: Emulation | None = None
    arena_touched: int | None = None
    """Highest byte of the arena that was written, plus one."""
    banks_touched: tuple[int, ...] = ()
    """The same for each bank, from its own start."""


def verification_inputs(graph: Graph, samples: Samples | None, count: int) -> list[Inputs]:
    """``count`` inputs: the first calibration samples, then noise over the full range of the input types."""
    found: list[Inputs] = list(samples.spread((count + 1) // 2).encoded(graph)) if samples and count else []
    rng = np.random.default_rng(0)
    while len(found) < count:
        found.append({name: _noise(rng, graph, name) for name in graph.inputs})
    return found


def _noise(rng: np.random.Generator, graph: Graph, name: str) -> Array:
    tensor = graph.tensors[name]
    info = np.iinfo(tensor.dtype.value) if tensor.dtype is not DType.FLOAT32 else np.iinfo(np.int8)
    return rng.integers(info.min, info.max + 1, tensor.shape).astype(tensor.dtype.value)


def verify_stages(
    compiled: Compiled,
    host: Path,
    firmware: Firmware,
    inputs: Sequence[Inputs],
    *,
    emulated: int = 1,
    toolchain: Toolchain | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Run every stage on every input and compare; the emulator, which is slow, runs the first ``emulated`` ones.

    Boards whose core is not emulated here run in QEMU where that is installed, as a semihosting image.

    Raises Mismatch at the first difference, EmulationFault where the firmware does what the chip forbids.
    """
    progress, program, sources = progress or Progress(), compiled.program, compiled.sources
    if not inputs:
        return Verification((), 0)
    with progress.stage("run reference and arena"):
        expected = [reference(compiled.graph, x) for x in inputs]
        for x, y in zip(inputs, expected, strict=True):
            compare(y, arena(program, x), names=("reference", "arena"))
    with progress.stage("run host"):
        starts = [bank.start for bank in program.banks]
        size = _arena_bytes(compiled, firmware)
        library = Host(host, compiled.graph, run=sources.run, arena_bytes=size, banks=starts)
        for x, y in zip(inputs, expected, strict=True):
            compare(y, library(x), names=("reference", "host"))
        if sources.push is not None:
            pushing = PushedHost(host, program, name=sources.name, arena_bytes=size)
            for x, y in zip(inputs, expected, strict=True):
                compare(y, pushing.infer(x, cycle(PORTIONS)), names=("reference", "host, rows pushed"))
    if not emulated or (compiled.board.emulator is None and not _has_qemu(compiled)):
        return Verification(("reference", "arena", "host"), len(inputs))
    if compiled.board.emulator is None:
        with progress.stage("run QEMU"):
            ran = _run_qemu(compiled, inputs[0], toolchain, weights_in_ram=firmware.needs.weights > 0)
        compare(expected[0], ran.outputs, names=("reference", "QEMU"))
        return Verification(("reference", "arena", "host", "qemu"), len(inputs), ran.cost)
    runs: list[Emulation] = []
    for x, y in zip(inputs[:emulated], expected, strict=False):
        with progress.stage("run emulator"):
            ran = run_firmware(
                firmware.elf, compiled.board, program, x,
                console=firmware.console, run=sources.entry, layers=tuple(sources.layers), touched=not runs,
            )  # fmt: skip
        compare(y, ran.outputs, names=("reference", "emulator"))
        runs.append(ran.cost)
    touched = tuple(runs[0].touched[name].high_water for name in bank_symbols(len(program.banks)))
    highest = max((b.start + high for b, high in zip(program.banks, touched, strict=True) if high), default=0)
    return Verification(("reference", "arena", "host", "emulator"), len(inputs), runs[0], highest, touched)


def _has_qemu(compiled: Compiled) -> bool:
    return compiled.board.qemu is not None and qemu_version() is not None


def _run_qemu(compiled: Compiled, inputs: Inputs, toolchain: Toolchain | None, *, weights_in_ram: bool) -> Ran:
    """One inference of a semihosting image that is built for the purpose."""
    with tempfile.TemporaryDirectory() as folder:
        image = build_firmware(
            compiled.sources, compiled.board, Path(folder),
            console="semihosting", heat=compiled.heat, weights_in_ram=weights_in_ram, toolchain=toolchain,
            optimize=compiled.optimize,
        )  # fmt: skip
        return run_in_qemu(image.elf, compiled.board, compiled.program, inputs, run=compiled.sources.entry)


def _arena_bytes(compiled: Compiled, firmware: Firmware) -> int:
    """The arena as the C declares it, which in checked builds has a guard behind the plan."""
    last = compiled.program.banks[-1]
    declared = firmware.symbols.get(bank_symbols(len(compiled.program.banks))[-1], 0)
    return last.start + max(last.size, declared)
