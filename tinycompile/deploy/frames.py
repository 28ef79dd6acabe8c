"""What a function does to the stack, read off its Thumb instructions: the bytes it takes and where it goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_REGISTER = re.compile(r"[rsdq]\d+|lr|pc|sp|fp|ip|sb|sl")
_RANGE = re.compile(r"([rsd])(\d+)-[rsd](\d+)")
_IMMEDIATE = re.compile(r"#(-?(?:0x[0-9a-f]+|\d+))")
_WIDTH = {"s": 4, "d": 8, "q": 16}
_CONDITIONS = ("eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
_CALLS = frozenset({"bl", *(f"bl{c}" for c in _CONDITIONS)})
_BRANCHES = frozenset({"b", "cbz", "cbnz", *(f"b{c}" for c in _CONDITIONS)}) | _CALLS
#: Mnemonics whose first operand is read, not written.
_READERS = ("str", "vstr", "cmp", "cmn", "tst", "teq", "cbz", "cbnz", "push", "vpush", "msr")

Literals = Callable[[int], "int | None"]


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction; ``mnemonic`` without width suffix, ``operands`` as capstone prints them."""

    address: int
    mnemonic: str
    operands: str

    @property
    def first(self) -> str:
        """The first operand."""
        return self.operands.partition(", ")[0]

    @property
    def rest(self) -> str:
        """The operands after the first."""
        return self.operands.partition(", ")[2]


@dataclass(frozen=True)
class Frame:
    """Bytes a function takes from the stack, addresses it calls or jumps to, and what defies analysis."""

    bytes: int
    calls: frozenset[int]
    trouble: str = ""


def read_frame(instructions: Iterable[Instruction], start: int, end: int, literals: Literals) -> Frame:
    """The frame of the function that lies from ``start`` to ``end``; ``literals`` reads a word of the image."""
    taken, calls, trouble = 0, set[int](), ""
    straight = True  # nothing has branched yet: what is known of registers is known on every path
    registers = _Registers(literals)
    for instruction in instructions:
        lowered = registers.lowered(instruction)
        if lowered is None:
            trouble = f"a frame of unknown size at {instruction.address:#x}"
        taken += lowered or 0
        target = _target(instruction, literals)
        if target is None and _is_indirect(instruction):
            target = registers.jumped_to(instruction) if straight else None
            if target is None:
                trouble = f"a call through a pointer at {instruction.address:#x}"
        if target is not None and _leaves(instruction, target, start, end):
            calls.add(target)
        registers.follow(instruction)
        straight = straight and instruction.mnemonic not in _BRANCHES
    return Frame(taken, frozenset(calls), trouble)


def _leaves(instruction: Instruction, target: int, start: int, end: int) -> bool:
    """Whether a branch ends in another function, or calls its own.

    A ``bl`` into the middle of its own function is a jump: on ARMv6-M no other branch reaches beyond 2 KiB.
    """
    if start < target < end:
        return False
    return target != start or instruction.mnemonic in _CALLS


class _Registers:
    """What is known of registers along the instructions: constants, for frames beyond an immediate, and copies of
    the stack pointer, which compilers round down and put back where a local needs more than 8-byte alignment."""

    def __init__(self, literals: Literals) -> None:
        self.literals = literals
        self.constants: dict[str, int] = {}
        self.copies: set[str] = set()
        self.differences: set[str] = set()

    def lowered(self, i: Instruction) -> int | None:
        """Bytes by which the stack pointer, or a copy that will replace it, is lowered; None: cannot be known."""
        if i.mnemonic in ("push", "vpush"):
            return _list_bytes(i.operands)
        if i.mnemonic in ("stmdb", "vstmdb") and i.first == "sp!":
            return _list_bytes(i.rest)
        if "[sp, #-" in i.rest and i.rest.endswith("]!"):
            return -_immediate(i.rest)
        if i.first in self.copies and i.rest.startswith(("#0", f"{i.first}, #")):
            if i.mnemonic == "bfc":
                return (1 << _immediate(i.rest.partition(", ")[2])) - 8
            if i.mnemonic == "lsls":
                return (1 << _immediate(i.rest)) - 8
        if i.first == "sp" or i.rest.startswith("sp, #"):
            return self._moved(i)
        return 0

    def _moved(self, i: Instruction) -> int | None:
        if i.mnemonic in ("sub", "subs", "subw"):
            operands = i.rest.split(", ")
            amount = operands[-1]
            if operands[0] not in ("sp", amount):
                return 0  # sp = frame pointer - n, on the way out
            return _immediate(amount) if amount.startswith("#") else self.constants.get(amount)
        if i.mnemonic == "add" and i.first == "sp" and "#" not in i.rest:
            value = self.constants.get(i.rest.split(", ")[-1])
            return None if value is None else max(0, -_signed(value))
        if i.mnemonic == "mov" and i.rest in self.differences:
            return None  # an array of variable length
        return 0

    def jumped_to(self, i: Instruction) -> int | None:
        """Where a jump through a register leads, if that is known: a linker's way to a function that is far away."""
        value = self.constants.get(i.operands) if i.mnemonic == "bx" else None
        return None if value is None else value & ~1

    def follow(self, i: Instruction) -> None:
        """Take note of what the instruction writes."""
        if i.mnemonic.startswith(_READERS) or not _REGISTER.fullmatch(i.first):
            return
        value = self._value(i)
        rounds = i.mnemonic in ("bfc", "lsrs", "lsls") and i.first in self.copies
        copies = rounds or (i.mnemonic in ("mov", "sub", "subs") and i.rest.startswith("sp"))
        self._note(self.copies, i.first, copies)
        self._note(self.differences, i.first, i.mnemonic in ("sub", "subs") and "#" not in i.rest)
        if value is None:
            self.constants.pop(i.first, None)
        else:
            self.constants[i.first] = value & 0xFFFFFFFF

    @staticmethod
    def _note(known: set[str], register: str, holds: bool) -> None:
        (known.add if holds else known.discard)(register)

    def _value(self, i: Instruction) -> int | None:
        """The constant that an instruction leaves in its first operand, None where it leaves none."""
        if i.mnemonic == "ldr" and i.rest.startswith("[pc"):
            return self.literals(((i.address + 4) & ~3) + _immediate(i.rest))
        if i.mnemonic in ("mov", "movs", "movw") and i.rest.startswith("#"):
            return _immediate(i.rest)
        source = self.constants.get(i.first if i.mnemonic == "movt" else i.rest.partition(", ")[0])
        if source is None:
            return None
        if i.mnemonic == "movt":
            return (source & 0xFFFF) | _immediate(i.rest) << 16
        if i.mnemonic in ("rsbs", "rsb", "negs"):
            return -source
        if i.mnemonic in ("lsls", "lsl") and "#" in i.rest:
            return source << _immediate(i.rest)
        return source if i.mnemonic == "mov" and i.rest.isalnum() else None


def _is_indirect(i: Instruction) -> bool:
    return (i.mnemonic == "blx" and not i.operands.startswith("#")) or (i.mnemonic == "bx" and i.operands != "lr")


def _target(i: Instruction, literals: Literals) -> int | None:
    """The address that a call or jump names; None for other instructions and for returns."""
    if i.mnemonic == "ldr" and i.operands.startswith("pc, [pc, #"):  # a linker's long branch
        literal = literals(((i.address + 4) & ~3) + _immediate(i.operands))
        return None if literal is None else literal & ~1
    return _immediate(i.operands) & ~1 if i.mnemonic in _BRANCHES else None


def _immediate(text: str) -> int:
    match = _IMMEDIATE.search(text)
    return int(match[1], 0) if match else 0


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _list_bytes(text: str) -> int:
    """Bytes of a register list such as {r4, r5, lr} or {d8-d15}."""
    expanded = _RANGE.sub(lambda m: ", ".join(f"{m[1]}{n}" for n in range(int(m[2]), int(m[3]) + 1)), text)
    return sum(_WIDTH.get(r[0], 4) if r[1:].isdigit() else 4 for r in _REGISTER.findall(expanded))
