"""Cycle models of the cores: what a basic block costs when it follows another. docs/emulator.md gives the
sources.

All assume memory without wait states, caches that hit, and no interrupts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from tinycompile.simulate.emulator.decode import Block, Instruction, Kind

Code = Sequence[Instruction]
HISTORY = 8
"""Instructions of the block before that may still matter to a block's timing: more than the longest latency
in issue slots.
"""

_MEMORY_ONE = (Kind.LOAD, Kind.STORE)
_MEMORY_MANY = (Kind.LOAD_MANY, Kind.STORE_MANY)
_MEMORY = (*_MEMORY_ONE, *_MEMORY_MANY)
_INTEGER_MAC = (Kind.ACCUMULATE, Kind.LONG_ACCUMULATE)


class Pipeline(Protocol):
    """Prices a block."""

    def cycles(self, before: Block, block: Block) -> int:
        """Cycles of ``block`` when it runs after ``before`` (`NOTHING`: not known), the jump between them
        included.
        """
        ...


def taken(before: Block, block: Block) -> Instruction | None:
    """The branch that led from one block to the other, or None where it fell through."""
    if not before.code or before.end == block.location or not before.code[-1].writes_pc:
        return None
    return before.code[-1]


def starts_unaligned(block: Block) -> bool:
    """Whether the first instruction has 32 bits across a word boundary, which takes two fetches."""
    return block.code[0].size == 4 and block.location % 4 != 0


def is_indirect(branch: Instruction) -> bool:
    return branch.kind not in (Kind.BRANCH, Kind.CALL)


@dataclass(frozen=True)
class CortexM0Plus:
    """Two stages, every instruction alone (Arm DDI 0484C, table 3-1). ``multiply`` is 1 or 32, the vendor's
    choice.
    """

    multiply: int = 1

    def cycles(self, before: Block, block: Block) -> int:
        branch = taken(before, block)
        jump = 1 if branch is not None and branch.kind in (Kind.BRANCH, Kind.INDIRECT) else 0
        return sum(self._alone(i) for i in block.code) + jump

    def _alone(self, i: Instruction) -> int:
        if i.kind is Kind.MULTIPLY:
            return self.multiply
        if i.kind in _MEMORY_ONE:
            return 2
        if i.kind in _MEMORY_MANY:
            return 1 + i.words + (2 if i.writes_pc else 0)
        if i.kind in (Kind.CALL, Kind.BARRIER) or i.name in ("mrs", "msr"):
            return 3
        return 1


@dataclass(frozen=True)
class CortexM4:
    """Three stages, single issue, loads and stores overlap with their neighbours (Arm DDI 0439B, 3.3; DDI
    0337I, 3.3).

    Also the Cortex-M3, whose long multiplies take longer. Where the manual gives a range for a divide or a
    pipeline refill, a typical value stands here.
    """

    costs: Mapping[Kind, int] = field(
        default_factory=lambda: {
            Kind.DIVIDE: 7,
            Kind.FP_ACCUMULATE: 3,
            Kind.FP_DIVIDE: 14,
            Kind.BARRIER: 2,
            Kind.SYSTEM: 2,
        }
    )
    refill: int = 1
    refill_indirect: int = 2
    refill_unaligned: int = 1

    def cycles(self, before: Block, block: Block) -> int:
        branch = taken(before, block)
        previous = before.code[-1] if before.code else None
        total = 0
        if branch is not None:
            total += self.refill_indirect if is_indirect(branch) else self.refill
            if starts_unaligned(block):
                total += self.refill_unaligned
        for i in block.code:
            total += self._after(previous, i)
            previous = i
        return total

    def _after(self, previous: Instruction | None, i: Instruction) -> int:
        if i.kind in _MEMORY:
            return self._access(previous, i)
        if i.kind is Kind.IF_THEN and previous is not None and previous.size == 2:
            return 0  # folded into the 16-bit instruction before it
        waits = previous is not None and previous.is_fp and previous.kind not in _MEMORY and previous.writes & i.reads
        return self.costs.get(i.kind, 1) + (1 if waits else 0)

    def _access(self, previous: Instruction | None, i: Instruction) -> int:
        follows_load = previous is not None and previous.kind is Kind.LOAD and not previous.writes & i.address
        stall = 1 if previous is not None and previous.kind is Kind.ALU and previous.writes & i.address else 0
        if i.kind in _MEMORY_MANY:
            return 1 + i.words + stall
        if follows_load:
            return 1
        if i.kind is Kind.STORE and not i.indexed:
            return 1 + stall
        return 2 + stall


M3_COSTS: Mapping[Kind, int] = {
    Kind.DIVIDE: 7,
    Kind.ACCUMULATE: 2,
    Kind.LONG_MULTIPLY: 4,
    Kind.LONG_ACCUMULATE: 5,
    Kind.BARRIER: 2,
    Kind.SYSTEM: 2,
}


@dataclass(frozen=True)
class InOrder:
    """In-order issue of up to two instructions a cycle, each waiting for its operands: the Cortex-M33 and the
    Cortex-M7.

    ``latency`` is the number of cycles from issue until another instruction can use the result (1 where not
    given); an integer multiply-accumulate hands its result to the next one's accumulator after one cycle.
    ``occupies`` holds up the issue of everything after. ``narrow_pairs``: only 16-bit instructions pair.
    ``slow_bases``: a base that a load moves is ready as late as what it loads. ``limits`` gives how many of a
    resource one cycle has.
    """

    latency: Mapping[Kind, int]
    limits: Mapping[str, int]
    occupies: Mapping[Kind, int] = field(default_factory=dict)
    narrow_pairs: bool = False
    slow_bases: bool = False
    words_per_cycle: int = 1
    many_overhead: int = 1
    refill: int = 1
    refill_indirect: int = 2
    refill_unaligned: int = 0

    def cycles(self, before: Block, block: Block) -> int:
        recent = before.code[-HISTORY:]
        jump = self._refill(before, block)
        return self._issue(recent, jump, block.code) - self._issue(recent, 0, ())

    def _issue(self, first: Code, jump: int, then: Code) -> int:
        """The cycle after the last instruction issued, where ``jump`` cycles pass between two pieces of code."""
        issue = _Issue(self)
        for i in first:
            issue.step(i)
        if jump:
            issue.close(jump)
        for i in then:
            issue.step(i)
        return issue.free

    def _refill(self, before: Block, block: Block) -> int:
        branch = taken(before, block)
        if branch is None:
            return 0
        unaligned = self.refill_unaligned if starts_unaligned(block) else 0
        return unaligned + (self.refill_indirect if is_indirect(branch) else self.refill)

    def busy(self, i: Instruction) -> int:
        """Cycles until anything after ``i`` can issue, if it does not pair."""
        if i.kind in _MEMORY_MANY:
            return self.many_overhead + -(-i.words // self.words_per_cycle)
        return self.occupies.get(i.kind, 1)

    def pair(self, a: Instruction, b: Instruction) -> bool:
        """Whether ``b`` can issue in the same cycle as ``a`` before it."""
        if b.kind in _MEMORY_MANY or self.occupies.get(b.kind, 1) > 1:
            return False
        if self.narrow_pairs and (a.size == 4 or b.size == 4):
            return False
        if a.writes & b.reads or a.writes & b.writes:
            return False
        has = _resources(a)
        return all(has.get(r, 0) + n <= self.limits.get(r, n + 2) for r, n in _resources(b).items())


class _Issue:
    """Where issue stands: in cycle ``now``, with at most one instruction in it so far."""

    def __init__(self, core: InOrder) -> None:
        self._core = core
        self._ready: dict[int, int] = {}
        self._ready_to_add: dict[int, int] = {}
        self._now = 0
        self._alone: Instruction | None = None
        self._used = False

    @property
    def free(self) -> int:
        """The first cycle with nothing in it."""
        return self._now + 1 if self._used else self._now

    def close(self, wait: int = 0) -> None:
        """Nothing more issues in this cycle, nor in ``wait`` cycles after it."""
        self._now, self._alone, self._used = self.free + wait, None, False

    def step(self, i: Instruction) -> None:
        """Issues the next instruction, as soon as its operands and the units allow."""
        ready = max((self._operand(r, i) for r in i.reads), default=0)
        if self._used and (ready > self._now or self._alone is None or not self._core.pair(self._alone, i)):
            self.close()
        self._now = max(self._now, ready)
        self._alone, self._used = (None if self._used else i), True
        busy, latency = self._core.busy(i), self._core.latency.get(i.kind, 1)
        for r in i.writes:
            slow = r in i.results or (self._core.slow_bases and i.kind in (Kind.LOAD, Kind.LOAD_MANY))
            self._ready[r] = self._now + busy + (latency - 1 if slow else 0)
            self._ready_to_add[r] = self._now + busy if slow and i.kind in _INTEGER_MAC else self._ready[r]
        if busy > 1:
            self.close(busy - 1)

    def _operand(self, register: int, i: Instruction) -> int:
        known = self._ready_to_add if register in i.accumulator else self._ready
        return known.get(register, 0)


def _resources(i: Instruction) -> Mapping[str, int]:
    return _needs(i.kind, i.writes_pc, i.is_fp, i.shifted)


@cache
def _needs(kind: Kind, writes_pc: bool, is_fp: bool, shifted: bool) -> Mapping[str, int]:
    """What an instruction needs in the cycle it issues. A store needs the whole load-store unit."""
    uses: dict[str, int] = {}
    if kind in _MEMORY:
        uses["memory"] = 1 if kind in (Kind.LOAD, Kind.LOAD_MANY) else 2
    if kind in (Kind.MULTIPLY, Kind.ACCUMULATE, Kind.LONG_MULTIPLY, Kind.LONG_ACCUMULATE):
        uses["multiply"] = 1
    if writes_pc:
        uses["branch"] = 1
    if is_fp and kind not in _MEMORY:
        uses["fp"] = 1
    if uses:
        uses["special"] = 1  # anything but a plain data-processing instruction
    if shifted:
        uses["shift"] = 1
    return uses


CORTEX_M33 = InOrder(
    latency={
        Kind.LOAD: 2,
        Kind.LOAD_MANY: 2,
        Kind.FP_ALU: 2,
        Kind.FP_MULTIPLY: 2,
        Kind.FP_ACCUMULATE: 3,
        Kind.FP_DIVIDE: 14,
    },
    limits={"special": 1},
    occupies={Kind.DIVIDE: 6, Kind.BARRIER: 2, Kind.SYSTEM: 2},
    narrow_pairs=True,
    slow_bases=True,
    refill_unaligned=1,
)
CORTEX_M7 = InOrder(
    latency={
        Kind.LOAD: 2,
        Kind.LOAD_MANY: 2,
        Kind.MULTIPLY: 2,
        Kind.ACCUMULATE: 2,
        Kind.LONG_MULTIPLY: 2,
        Kind.LONG_ACCUMULATE: 2,
        Kind.FP_ALU: 3,
        Kind.FP_MULTIPLY: 3,
        Kind.FP_ACCUMULATE: 3,
        Kind.FP_DIVIDE: 16,
    },
    limits={"memory": 2, "multiply": 1, "branch": 1, "fp": 1, "shift": 1},
    occupies={Kind.DIVIDE: 8, Kind.BARRIER: 2, Kind.SYSTEM: 2},
    words_per_cycle=2,
    many_overhead=0,
)
