"""The entry point: an image and a board in, an `Emulation` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinycompile.boards import Board
from tinycompile.errors import UsageError
from tinycompile.simulate.emulator.attribution import Attribution
from tinycompile.simulate.emulator.cores import CORES
from tinycompile.simulate.emulator.image import Image, Symbol, read_image
from tinycompile.simulate.emulator.isa import instruction_set
from tinycompile.simulate.emulator.machine import Machine, paint
from tinycompile.simulate.emulator.pricing import Prices
from tinycompile.simulate.emulator.result import Emulation, Touched

MAX_INSTRUCTIONS = 20_000_000_000
STACK_BOTTOM = ("tc_stack_bottom", "__stack_limit", "__StackLimit")


def emulate(
    elf: Path,
    board: Board,
    *,
    files: Mapping[str, bytes] = {},
    uart_input: Sequence[bytes] = (),
    roi: str | None = None,
    layers: Sequence[str] = (),
    touched: Sequence[str] = (),
    dump: Sequence[str] = (),
    max_instructions: int = MAX_INSTRUCTIONS,
    timeout_s: float = 600.0,
) -> Emulation:
    """Runs ``elf`` on ``board`` from reset until it exits, or until it has answered all of ``uart_input``.

    ``files`` are what semihosting finds, by name; what the firmware writes is in the result. ``uart_input``
    are commands in the serial protocol, each sent after the firmware's ``m-ready``. ``roi`` is the function
    whose calls are measured, ``layers`` are functions within it to price inclusively, ``touched`` are objects
    in RAM whose written bytes are counted exactly, which takes a second run, ``dump`` objects whose bytes
    at the end are wanted. Raises `EmulationFault` for what
    the chip forbids, and for a run beyond ``max_instructions`` or ``timeout_s`` seconds; `UsageError` for an
    unknown core or symbol; `ToolchainError` where the block hook cannot be built.
    """
    core = CORES.get(board.emulator or "")
    if core is None:
        raise UsageError(
            f"{board.name} ({board.core}) cannot be emulated here",
            hint=f"cores: {', '.join(CORES)}" + ("; it runs in QEMU" if board.qemu else ""),
        )
    image = read_image(elf)
    prices = Prices(image, instruction_set(board.core, board.features), core.pipeline)
    region = _symbol(image, roi).address if roi is not None else None
    watched = [_symbol(image, name).address for name in layers]
    objects = {name: _symbol(image, name) for name in touched}
    bottom = _stack_bottom(image, board)

    def run(flip: int) -> tuple[Machine, int]:
        machine = Machine(
            image,
            board,
            core,
            prices,
            files=files,
            commands=uart_input,
            region=region,
            watched=watched,
            painted=[(symbol.address, symbol.size) for symbol in objects.values()],
            stack_bottom=bottom,
            flip=flip,
        )
        return machine, machine.run(max_instructions, timeout_s)

    machine, status = run(0)
    if objects and not machine.has_reached_main:
        raise UsageError(
            "cannot tell touched bytes: the start-up code never calls main",
            where=str(elf),
            hint="build without inlining main",
        )
    others = [machine, run(0xFF)[0]] if objects else [machine]
    attribution = Attribution(machine.profile, image, has_roi=roi is not None)
    total, inside = attribution.total(), attribution.region()
    uart = machine.bus.uart
    said = bytes(machine.semihosting.console) + (bytes(uart.output) if uart else b"")
    return Emulation(
        exit_status=status,
        console=said.decode("utf-8", "replace"),
        files={name: bytes(data) for name, data in machine.semihosting.files.items()},
        instructions=inside[0],
        cycles=inside[1],
        total_instructions=total[0],
        total_cycles=total[1],
        functions=attribution.functions(),
        layers=tuple(attribution.inclusive(i + (roi is not None), name) for i, name in enumerate(layers)),
        stack_bytes=machine.stack_bytes(),
        region_stack_bytes=machine.region_stack_bytes if roi is not None else None,
        touched={name: _touched(others, symbol) for name, symbol in objects.items()},
        objects={s.name: machine.memory(s.address, s.size) for s in (_symbol(image, name) for name in dump)},
    )


def _symbol(image: Image, name: str) -> Symbol:
    if name not in image.symbols:
        raise UsageError(f"has no symbol {name!r}", where=str(image.path), hint="is the function inlined or unused?")
    return image.symbols[name]


def _stack_bottom(image: Image, board: Board) -> int:
    """Below this the stack must not grow: a linker symbol, else the end of the last object in RAM."""
    for name in STACK_BOTTOM:
        if name in image.symbols:
            return image.symbols[name].address
    objects = [
        s.address + s.size for s in image.symbols.values() if not s.is_code and s.address in board.ram and s.size
    ]
    return max(objects, default=board.ram.origin)


def _touched(runs: Sequence[Machine], symbol: Symbol) -> Touched:
    """A byte is touched where it differs from what was painted: in one of two runs, of opposite paint, it
    must.
    """
    written = np.zeros(symbol.size, np.bool_)
    for machine in runs:
        now = np.frombuffer(machine.memory(symbol.address, symbol.size), np.uint8)
        written |= now != np.frombuffer(paint(symbol.size, machine.flip), np.uint8)
    last = np.flatnonzero(written)
    return Touched(int(written.sum()), int(last[-1]) + 1 if len(last) else 0)
