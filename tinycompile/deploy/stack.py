"""The deepest the stack can get, read off the instructions of a linked image.

A function's frame is the sum of everything by which it lowers the stack pointer (push, vpush, sub, pre-decremented
stores), each counted once: never too little for compiled code, which sets its frame up outside of loops. The bound of a
function is its frame plus the largest bound among those it calls or jumps to. Recursion, a call through a pointer and a
frame of unknown size have no bound and are errors.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from capstone import CS_ARCH_ARM, CS_MODE_MCLASS, CS_MODE_THUMB, CS_MODE_V8, Cs

from tinycompile.deploy.image import Image, Symbol, read_image
from tinycompile.errors import InternalError

_REGISTERS = re.compile(r"[rsdq]\d+|lr|pc|sp|fp|ip|sb|sl")
_RANGE = re.compile(r"([rsd])(\d+)-[rsd](\d+)")
_IMMEDIATE = re.compile(r"#(-?(?:0x[0-9a-f]+|\d+))")
_PUSH = {"push": 4, "stmdb": 4, "vpush": 8, "vstmdb": 8}
_WIDTH = {"s": 4, "d": 8, "q": 16}
_CONDITIONS = ("eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
_CALLS = frozenset({"bl", *(f"bl{c}" for c in _CONDITIONS)})
_BRANCHES = frozenset({"b", "cbz", "cbnz", *(f"b{c}" for c in _CONDITIONS)}) | _CALLS


@dataclass(frozen=True)
class StackBound:
    """``bytes``: the most stack that the root function and all it calls can use; ``path``: the chain that uses it."""

    bytes: int
    path: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """What one function does to the stack: bytes it takes, addresses it calls or jumps to, what defies analysis."""

    bytes: int
    calls: frozenset[int]
    trouble: str = ""


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction; ``mnemonic`` without width suffix, ``operands`` as capstone prints them."""

    address: int
    size: int
    mnemonic: str
    operands: str


def stack_bound(elf: Path | Image, root: str) -> StackBound:
    """The static stack bound of function ``root`` with everything it calls, in bytes; its own frame included.

    What an exception pushes (32 bytes, 104 with FPU state) comes on top. Raises InternalError for recursion, an
    indirect call or a frame of unknown size, naming the functions.
    """
    image = elf if isinstance(elf, Image) else read_image(elf)
    code = _Code(image)
    return _deepest(code, image.symbol(root).address, {}, ())


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
        """Where the function that starts there ends; assembly without a size ends where the next function starts."""
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
        for section in self.image.segments:
            if section.address <= address < section.address + len(section.data):
                return section.data[address - section.address :][:size]
        return b""

    def is_data(self, address: int) -> bool:
        """Do the mapping symbols of the ELF say that a literal pool or jump table lies there?"""
        at = bisect_right(self.mark_addresses, address)
        return at > 0 and self.marks[at - 1][1] == "$d"

    def instructions(self, address: int) -> Iterator[Instruction]:
        """The instructions of one function. What capstone does not know (MVE, low-overhead loops) is skipped whole: such
        instructions neither move the stack pointer nor call."""
        end = self.end(address)
        while address < end:
            if self.is_data(address):
                address += 2
                continue
            for at, size, mnemonic, operands in self.decoder.disasm_lite(self.raw(address, end - address), address):
                if self.is_data(at):
                    break
                yield Instruction(at, size, mnemonic.partition(".")[0], operands)
                address = at + size
            else:
                if address < end and not self.is_data(address):
                    half = int.from_bytes(self.raw(address, 2), "little")
                    address += 4 if half >> 11 >= 0b11101 else 2

    def frame(self, address: int) -> Frame:
        end = self.end(address)
        taken, calls, trouble = 0, set(), ""
        constants: dict[str, int | None] = {}
        for instruction in self.instructions(address):
            lowered = _lowered(instruction, constants)
            if lowered is None:
                trouble = f"a frame of unknown size at {instruction.address:#x}"
            else:
                taken += lowered
            _track(instruction, constants, self)
            target = _target(instruction, self)
            if target == _UNKNOWN:
                trouble = f"a call through a pointer at {instruction.address:#x}"
            elif target is not None and (instruction.mnemonic in _CALLS or not address <= target < end):
                calls.add(target)
        return Frame(taken, frozenset(calls), trouble)


_UNKNOWN = -1
#: No frame is aligned to more than 64 bytes; clearing more bits is arithmetic on something else than sp.
_FRAME_ALIGN_BITS = 6


def _lowered(i: Instruction, constants: Mapping[str, int | None]) -> int | None:
    """Bytes by which an instruction lowers the stack pointer, or prepares to; None where that cannot be known."""
    first, _, rest = i.operands.partition(", ")
    if i.mnemonic in _PUSH and (i.mnemonic.endswith("push") or first == "sp!"):
        return _list_bytes(i.operands if i.mnemonic.endswith("push") else rest)
    if rest.endswith("]!") and "[sp, #-" in rest:
        return -_immediate(rest)
    if i.mnemonic == "bfc" and rest.startswith("#0"):  # an over-aligned frame: sp rounded down; else arithmetic
        bits = _immediate(rest.partition(", ")[2])
        return max(0, (1 << bits) - 8) if bits <= _FRAME_ALIGN_BITS else 0
    if i.mnemonic in ("sub", "subs", "subw"):
        if first == "sp" and not rest.startswith(("r", "s", "f")):  # sub sp, #n
            return _immediate(rest)
        if rest.startswith("sp, #"):  # sub sp, sp, #n, or of the copy that becomes sp
            return _immediate(rest)
        if first == "sp" and "#" not in rest:
            return constants.get(rest.rpartition(", ")[2])
    if i.mnemonic == "add" and first == "sp" and "#" not in rest:
        value = constants.get(rest.rpartition(", ")[2])
        return None if value is None else max(0, -_signed(value))
    if i.mnemonic == "mov" and first == "sp" and constants.get(rest, 0) == _UNKNOWN:
        return None
    return 0


def _track(i: Instruction, constants: dict[str, int | None], code: _Code) -> None:
    """Follow registers that hold a constant, as frames above the reach of an immediate need, or a computed pointer."""
    first, _, rest = i.operands.partition(", ")
    if i.mnemonic == "ldr" and rest.startswith("[pc"):
        pc = (i.address + 4) & ~3
        constants[first] = code.word(pc + _immediate(rest)) if "#" in rest else code.word(pc)
    elif i.mnemonic in ("mov", "movs", "movw") and rest.startswith("#"):
        constants[first] = _immediate(rest)
    elif i.mnemonic == "movt" and constants.get(first) is not None:
        constants[first] = (constants[first] or 0) & 0xFFFF | _immediate(rest) << 16
    elif i.mnemonic in ("rsbs", "negs", "rsb") and constants.get(rest.partition(", ")[0]) is not None:
        constants[first] = -(constants[rest.partition(", ")[0]] or 0)
    elif i.mnemonic in ("lsls", "lsl") and constants.get(rest.partition(", ")[0]) is not None and "#" in rest:
        constants[first] = (constants[rest.partition(", ")[0]] or 0) << _immediate(rest)
    elif i.mnemonic in ("sub", "subs") and "#" not in rest and first != "sp":
        constants[first] = _UNKNOWN
    elif _REGISTERS.fullmatch(first):
        constants.pop(first, None)


def _target(i: Instruction, code: _Code) -> int | None:
    """Where a call or jump goes; None for other instructions and returns, _UNKNOWN through a pointer."""
    if i.mnemonic in ("blx", "bx") and not i.operands.startswith("#"):
        return None if i.mnemonic == "bx" and i.operands == "lr" else _UNKNOWN
    if i.mnemonic == "ldr" and i.operands.startswith("pc, [pc, #"):  # a linker's long branch
        literal = code.word(((i.address + 4) & ~3) + _immediate(i.operands))
        return _UNKNOWN if literal is None else literal & ~1
    return _immediate(i.operands) & ~1 if i.mnemonic in _BRANCHES else None


def _immediate(text: str) -> int:
    match = _IMMEDIATE.search(text)
    return int(match[1], 0) if match else 0


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _list_bytes(text: str) -> int:
    """Bytes of a register list such as {r4, r5, lr} or {d8-d15}."""
    expanded = _RANGE.sub(lambda m: ", ".join(f"{m[1]}{n}" for n in range(int(m[2]), int(m[3]) + 1)), text)
    return sum(_WIDTH.get(r[0], 4) if r[1:].isdigit() else 4 for r in _REGISTERS.findall(expanded))
