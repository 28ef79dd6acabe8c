"""The deepest the stack can get, read off the instructions of a linked image.

A function's frame is the sum of everything by which it lowers the stack pointer (push, vpush, sub,
pre-decremented stores), each counted once: never too little for compiled code, which sets its frame up outside
of loops. The bound of a function is its frame plus the largest bound among those it calls or jumps to.
Recursion, a call through a pointer and a frame of unknown size have no bound and are errors.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from capstone import CS_ARCH_ARM, CS_MODE_MCLASS, CS_MODE_THUMB, CS_MODE_V8, Cs

from tinycompile.deploy.frames import Frame, Instruction, read_frame
from tinycompile.deploy.image import Image, Symbol, read_image
from tinycompile.errors import InternalError


@dataclass(frozen=True)
class StackBound:
    """The most stack, in ``bytes``, that a function and all it calls can use; ``path``: the chain that does."""

    bytes: int
    path: tuple[str, ...]


def stack_bound(elf: Path, root: str) -> StackBound:
    """The static stack bound of function ``root`` with everything it calls, in bytes; its own frame included.

    What an exception pushes (32 bytes, 104 with FPU state) comes on top. Raises InternalError for recursion,
    an indirect call or a frame of unknown size, naming the functions.
    """
    return stack_bounds(read_image(elf), (root,))[root]


def stack_bounds(image: Image, roots: Sequence[str]) -> Mapping[str, StackBound]:
    """``stack_bound`` of several functions of one image, by name."""
    code = _Code(image)
    known: dict[int, StackBound] = {}
    return {root: _deepest(code, image.symbol(root).address, known, ()) for root in roots}


def callees(image: Image, names: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """The functions of an image that each of ``names`` calls or jumps to, directly or not."""
    code = _Code(image)
    found = {}
    for name in names:
        start = image.symbol(name).address
        reached, waiting = {start}, [start]
        while waiting:
            new = code.frame(waiting.pop()).calls - reached
            reached |= new
            waiting += new
        found[name] = frozenset(code.name(address) for address in reached - {start})
    return found


def _deepest(code: _Code, address: int, known: dict[int, StackBound], path: tuple[int, ...]) -> StackBound:
    if address in known:
        return known[address]
    if address in path:
        names = " -> ".join(code.name(a) for a in (*path[path.index(address) :], address))
        raise InternalError(f"the stack has no bound: recursion {names}")
    frame = code.frame(address)
    if frame.trouble:
        raise InternalError(f"the stack has no bound: {code.name(address)} has {frame.trouble}")
    worst = StackBound(0, ())
    for target in sorted(frame.calls):
        bound = _deepest(code, target, known, (*path, address))
        worst = max(worst, bound, key=lambda b: b.bytes)
    known[address] = StackBound(frame.bytes + worst.bytes, (code.name(address), *worst.path))
    return known[address]


class _Code:
    """The functions of an image, decoded on demand."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.functions: dict[int, Symbol] = {}
        for symbol in image.symbols:
            if symbol.is_function:
                self.functions.setdefault(symbol.address, symbol)
        self.starts = sorted(self.functions)
        self.marks = [(s.address, s.name[:2]) for s in image.symbols if s.name[:2] in ("$t", "$d")]
        self.mark_addresses = [address for address, _ in self.marks]

    @cached_property
    def decoder(self) -> Cs:
        return Cs(CS_ARCH_ARM, CS_MODE_THUMB | CS_MODE_MCLASS | CS_MODE_V8)

    def name(self, address: int) -> str:
        symbol = self.functions.get(address)
        return symbol.name if symbol is not None else f"{address:#x}"

    def end(self, address: int) -> int:
        """Where the function that starts there ends; without a size, where the next function starts."""
        symbol = self.functions.get(address)
        if symbol is not None and symbol.size:
            return address + symbol.size
        after = bisect_right(self.starts, address)
        if after < len(self.starts):
            return self.starts[after]
        return next(s.address + s.size for s in self.image.sections if s.address <= address < s.address + s.size)

    def word(self, address: int) -> int | None:
        """The literal at that address, None where the image has none."""
        raw = self.raw(address, 4)
        return int.from_bytes(raw, "little") if len(raw) == 4 else None

    def raw(self, address: int, size: int) -> bytes:
        for segment in self.image.segments:
            if segment.runs_at <= address < segment.runs_at + len(segment.data):
                return segment.data[address - segment.runs_at :][:size]
        return b""

    def is_data(self, address: int) -> bool:
        """Do the mapping symbols of the ELF say that a literal pool or jump table lies there?"""
        at = bisect_right(self.mark_addresses, address)
        return at > 0 and self.marks[at - 1][1] == "$d"

    def instructions(self, address: int) -> Iterator[Instruction]:
        """The instructions of one function.

        What capstone does not know (MVE, low-overhead loops) is skipped whole: it neither moves sp nor calls.
        """
        end = self.end(address)
        while address < end:
            if self.is_data(address):
                address += 2
                continue
            for at, size, mnemonic, operands in self.decoder.disasm_lite(self.raw(address, end - address), address):
                if self.is_data(at):
                    break
                yield Instruction(at, mnemonic.partition(".")[0], operands)
                address = at + size
            else:
                if address < end and not self.is_data(address):
                    half = int.from_bytes(self.raw(address, 2), "little")
                    address += 4 if half >> 11 >= 0b11101 else 2

    def frame(self, address: int) -> Frame:
        return read_frame(self.instructions(address), address, self.end(address), self.word)
