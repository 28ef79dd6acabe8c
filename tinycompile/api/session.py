"""Run a built model in every stage on the same inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinycompile.boards import Board
from tinycompile.codegen.names import bank_symbols
from tinycompile.errors import EmulationFault
from tinycompile.ir import Array
from tinycompile.schedule import Program, View
from tinycompile.simulate.emulator import Emulation, emulate
from tinycompile.simulate.emulator.qemu import emulate_in_qemu

HEX_BYTES = 32
"""Input bytes in one ``db`` command."""


@dataclass(frozen=True)
class Ran:
    """One inference of a firmware image: its outputs (int8 arrays by name) and what it cost."""

    outputs: Mapping[str, Array]
    cost: Emulation


def input_bytes(program: Program, inputs: Mapping[str, Array]) -> bytes:
    """All inputs of one inference, one behind the other, in the graph's order."""
    return b"".join(np.ascontiguousarray(inputs[v.tensor]).tobytes() for v in program.inputs)


def serial_commands(data: bytes) -> list[bytes]:
    """The MLPerf Tiny commands that load ``data``, run once and print the results."""
    chunks = (data[i : i + HEX_BYTES] for i in range(0, len(data), HEX_BYTES))
    loads = [b"db " + chunk.hex().encode() + b"%" for chunk in chunks]
    return [b"name%", b"db load %d%%" % len(data), *loads, b"infer 1 0%", b"results%"]


def run_firmware(
    elf: Path,
    board: Board,
    program: Program,
    inputs: Mapping[str, Array],
    *,
    console: str,
    run: str,
    layers: Sequence[str] = (),
    touched: bool = False,
) -> Ran:
    """One inference of the image in the emulator.

    ``inputs`` are arrays as for ``simulate.reference``; ``run`` is the function to measure (all its calls make up the
    inference), ``layers`` the functions within it. Raises EmulationFault where the firmware faults, hangs or reports
    an error.
    """
    data = input_bytes(program, inputs)
    banks = bank_symbols(len(program.banks))
    watched = banks if touched else ()
    if console == "semihosting":
        files = {"input.bin": data}
        return _finished(program, emulate(elf, board, files=files, roi=run, layers=layers, touched=watched))
    commands = serial_commands(data)
    result = emulate(elf, board, uart_input=commands, roi=run, layers=layers, touched=watched, dump=banks)
    if "e-[" in result.console or "m-results" not in result.console:
        raise EmulationFault(f"the firmware did not answer as the protocol asks: {result.console[-300:]}")
    memory = np.frombuffer(b"".join(result.objects[name] for name in banks), np.uint8)
    return Ran({v.tensor: _at(program, memory, v) for v in program.outputs}, result)


def run_in_qemu(elf: Path, board: Board, program: Program, inputs: Mapping[str, Array], *, run: str) -> Ran:
    """One inference of a semihosting image in QEMU; errors as for ``run_firmware``. Only instructions are counted."""
    return _finished(program, emulate_in_qemu(elf, board, files={"input.bin": input_bytes(program, inputs)}, roi=run))


def _finished(program: Program, result: Emulation) -> Ran:
    """The outputs of a semihosting image that has ended; EmulationFault where it failed."""
    if result.exit_status != 0 or "output.bin" not in result.files:
        raise EmulationFault(f"the firmware ended with status {result.exit_status}: {result.console[-300:]}")
    return Ran(_split(program, result.files["output.bin"]), result)


def _split(program: Program, data: bytes) -> dict[str, Array]:
    """Outputs that were written one behind the other."""
    found, start = {}, 0
    for view in program.outputs:
        tensor = program.graph.tensors[view.tensor]
        part = np.frombuffer(data[start : start + tensor.nbytes], tensor.dtype.value)
        found[view.tensor] = part.reshape(tensor.shape)
        start += tensor.nbytes
    return found


def _at(program: Program, memory: Array, view: View) -> Array:
    """An output where the plan puts it."""
    tensor = program.graph.tensors[view.tensor]
    return memory[view.offset : view.offset + tensor.nbytes].view(tensor.dtype.value).reshape(tensor.shape)
