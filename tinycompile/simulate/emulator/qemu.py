"""The same image in QEMU, where it is installed: the only way to run the M55 here, and a second opinion on
the others.

QEMU has the MPS boards alone. It has no cycle model, so costs are instructions.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from tinycompile.boards import Board
from tinycompile.errors import EmulationFault, ToolchainError, UsageError
from tinycompile.simulate.emulator.attribution import NO_SYMBOL
from tinycompile.simulate.emulator.image import Image, Symbol, read_image
from tinycompile.simulate.emulator.peripherals import PROMPT
from tinycompile.simulate.emulator.result import Cost, Emulation

_LISTED = re.compile(rb"0x([0-9a-f]+):  ([0-9a-f]{4}(?: [0-9a-f]{4})*) ")


@cache
def qemu_version() -> tuple[int, int] | None:
    """The version of ``qemu-system-arm`` on the path, or None where there is none."""
    if shutil.which("qemu-system-arm") is None:
        return None
    said = subprocess.run(["qemu-system-arm", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version (\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else None


def emulate_in_qemu(
    elf: Path,
    board: Board,
    *,
    files: Mapping[str, bytes] = {},
    uart_input: Sequence[bytes] = (),
    roi: str | None = None,
    count: bool = True,
    timeout_s: float = 600.0,
) -> Emulation:
    """Runs ``elf`` on QEMU's model of ``board``, as `emulate` does, without cycles, layers, stack and touched
    bytes.

    With ``count`` instructions are counted exactly from QEMU's log of executed blocks, at some million a
    second; without, they are 0. Raises `ToolchainError` where QEMU is missing, `UsageError` for a board it
    does not have or an unknown symbol, `EmulationFault` for a run that crashes or takes longer than
    ``timeout_s`` seconds.
    """
    if qemu_version() is None:
        raise ToolchainError("qemu-system-arm is missing", hint="apt install qemu-system-arm")
    if board.qemu is None:
        raise UsageError(f"QEMU has no model of {board.name}", hint="choose one of the mps boards")
    image = read_image(elf)
    if roi is not None and roi not in image.symbols:
        raise UsageError(f"has no symbol {roi!r}", where=str(elf), hint="is the function inlined or unused?")
    start = image.symbols[roi].address if roi is not None else None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        trace = Trace(image, start)
        status, console = _Session(folder, elf, board, trace if count else None).run(uart_input, timeout_s)
        written = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    inside, total = trace.instructions()
    return Emulation(
        exit_status=status,
        console=console.decode("utf-8", "replace"),
        files=written,
        instructions=inside,
        cycles=None,
        total_instructions=total,
        total_cycles=None,
        functions=trace.functions(),
    )


@dataclass
class _Block:
    """One translation: its place, its instructions, whether it ends in a call (bl, blx), how often it ran inside
    and outside the region, and was called.
    """

    address: int
    end: int
    instructions: int
    ends_in_call: bool
    function: Symbol | None
    inside: int = 0
    outside: int = 0
    calls: int = 0

    def is_called_from(self, before: _Block | None) -> bool:
        starts = self.function is not None and self.function.address == self.address
        return starts and (before is None or before.function != self.function)


class Trace:
    """Counts from QEMU's log: listings of blocks as they are translated, and one line for each time a block
    runs.

    With ``roi`` only what runs between an entry of that address and its return counts as inside, else
    everything does. Calls put return addresses on a stack, jumps do not: a function that is jumped to at the end of
    another (a tail call) returns where that would.
    """

    def __init__(self, image: Image, roi: int | None = None) -> None:
        self._image, self._roi = image, roi
        self._blocks: list[_Block] = []

    def read(self, lines: Iterable[bytes]) -> None:
        """Reads a log to its end."""
        translated: dict[bytes, _Block] = {}
        listing: list[tuple[int, bytes]] = []
        inside, depth = self._roi is None, 0
        returns: list[int] = []
        before: _Block | None = None
        for line in lines:
            if line.startswith(b"Trace"):
                key = line[9:29]  # where the host keeps the translation
                if listing:
                    translated[key] = self._block(listing)
                    listing = []
                block = translated[key]
                if returns and block.address == returns[-1]:
                    returns.pop()
                    inside = inside and (self._roi is None or len(returns) >= depth)
                elif before is not None and before.ends_in_call:
                    returns.append(before.end)
                if not inside and block.address == self._roi:
                    inside, depth = True, len(returns)
                if inside:
                    block.inside += 1
                    block.calls += block.is_called_from(before)
                else:
                    block.outside += 1
                before = block
            elif match := _LISTED.match(line):
                listing.append((int(match[1], 16), match[2]))

    def _block(self, listing: Sequence[tuple[int, bytes]]) -> _Block:
        address = listing[0][0]
        code = [int(half, 16) for _, text in listing for half in text.split()]
        function = self._image.function_at(address)
        count, last = _thumb_instructions(code)
        block = _Block(address, address + 2 * len(code), count, _is_call(code[last:]), function)
        self._blocks.append(block)
        return block

    def instructions(self) -> tuple[int, int]:
        """Instructions executed inside the measured region, and in all."""
        inside = sum(b.instructions * b.inside for b in self._blocks)
        return inside, inside + sum(b.instructions * b.outside for b in self._blocks)

    def functions(self) -> tuple[Cost, ...]:
        """Self costs in the region, most instructions first."""
        sums: dict[str, list[int]] = {}
        for block in self._blocks:
            if block.inside:
                cost = sums.setdefault(block.function.name if block.function else NO_SYMBOL, [0, 0])
                cost[0] += block.calls
                cost[1] += block.inside * block.instructions
        costs = [Cost(name, calls, count, None) for name, (calls, count) in sums.items()]
        return tuple(sorted(costs, key=lambda c: (-c.instructions, c.name)))


def _thumb_instructions(code: Sequence[int]) -> tuple[int, int]:
    """How many instructions these halfwords hold, and where the last begins. QEMU's listing does not know MVE and
    splits what it does not know.
    """
    at = count = last = 0
    while at < len(code):
        last = at
        at += 2 if code[at] >> 11 >= 0b11101 else 1
        count += 1
    return count, last


def _is_call(code: Sequence[int]) -> bool:
    """Whether the halfwords of an instruction are bl or blx (encodings T1, Armv7-M Architecture Reference Manual)."""
    if len(code) == 1:
        return code[0] & 0xFF87 == 0x4780
    return code[0] & 0xF800 == 0xF000 and code[1] & 0xD000 == 0xD000


class _Session:
    """One QEMU process, its console and its log."""

    def __init__(self, folder: Path, elf: Path, board: Board, trace: Trace | None) -> None:
        self._folder, self._trace = folder, trace
        self._command = [
            "qemu-system-arm",
            *("-M", str(board.qemu), "-kernel", str(elf.resolve()), "-display", "none", "-monitor", "none"),
            *("-serial", "stdio", "-semihosting-config", "enable=on,target=native"),
        ]
        self._log = folder / ".log"
        if trace is not None:
            os.mkfifo(self._log)
            self._command += ["-d", "exec,nochain,in_asm", "-D", str(self._log)]
        self._late = False

    def run(self, commands: Sequence[bytes], timeout_s: float) -> tuple[int, bytes]:
        """The exit status and what was printed; 0 after the last answer where there were commands."""
        process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        timer = threading.Timer(timeout_s, self._expire, [process])
        reader = threading.Thread(target=self._read_log, daemon=True)
        timer.start()
        reader.start()
        try:
            output, answered = self._talk(process, commands)
            status = process.wait()
            self._release(reader)
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            self._log.unlink(missing_ok=True)
        if self._late:
            raise EmulationFault(f"the firmware runs longer than {timeout_s:g} s in QEMU", hint=_last(output))
        if status < 0 and not answered:
            raise EmulationFault(f"QEMU was ended by signal {-status}", hint=_last(output))
        return (0 if answered else status), output

    def _expire(self, process: subprocess.Popen[bytes]) -> None:
        self._late = True
        process.kill()

    def _release(self, reader: threading.Thread) -> None:
        """A QEMU that failed early never opened the log; without a writer its reader would wait for ever."""
        with suppress(OSError):  # there is no reader any more
            os.close(os.open(self._log, os.O_WRONLY | os.O_NONBLOCK))
        reader.join()

    def _read_log(self) -> None:
        if self._trace is not None:
            with self._log.open("rb") as log:
                self._trace.read(log)

    def _talk(self, process: subprocess.Popen[bytes], commands: Sequence[bytes]) -> tuple[bytes, bool]:
        """Sends a command after each prompt; ends QEMU after the last answer."""
        source, sink = _pipe(process.stdout), _pipe(process.stdin)
        output = bytearray()
        given = 0
        while chunk := source.read(4096):
            output += chunk
            if commands and output.count(PROMPT) > given:
                if given == len(commands):
                    process.kill()
                    return bytes(output), True
                sink.write(commands[given])
                given += 1
        return bytes(output), False


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _last(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return f"the last words were: {' / '.join(lines[-3:])}" if lines else ""
