"""The inner block of the depthwise kernel: some neighbouring outputs of one channel, from rows of int16 pairs.

A row of input lies in memory as words of two columns. Each word is loaded once and meets every output that it is
part of: with two taps (SMLAD), or with one where the window begins or ends in the middle of the word (SMLABT and
its like). All outputs of the block have their sum in a register; the weights of one kernel row are in registers
while the row goes by. Loads stand in groups, because a Cortex-M4 takes an extra cycle for the first of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from tinycompile.ir import Array

REGISTERS = tuple(f"r{i}" for i in range(13))
"""For the sums, the weights and the words; LR holds the position in the rows."""
MOST_OUTPUTS = 8
OFFSET = 4095
"""The largest offset of a load or store, and the largest number that an instruction adds."""
MOST_WORDS = 3
"""Words of a row that are loaded in one go."""


@dataclass(frozen=True)
class Step:
    """One multiply-accumulate, to sum ``out``: the halves that ``name`` says of a word, and of word ``weight``."""

    name: str
    out: int
    weight: int


@dataclass(frozen=True)
class Taps:
    """How the weights of one kernel row lie in words: ``pairs`` holds the first tap of each, ``single`` a last tap
    that is in none of them."""

    width: int
    stride: int

    @cached_property
    def pairs(self) -> tuple[int, ...]:
        starts = {(-output * self.stride) % 2 for output in range(2)}
        return tuple(t for t in range(self.width - 1) if t % 2 in starts)

    @cached_property
    def singles(self) -> tuple[int, ...]:
        """Taps that stand alone somewhere and are in no pair."""
        covered = {t for pair in self.pairs for t in (pair, pair + 1)}
        return tuple(t for t in (0, self.width - 1) if t not in covered)[:1]

    @property
    def words(self) -> int:
        return len(self.pairs) + len(self.singles)

    def pack(self, rows: Array) -> Array:
        """int16 weights (..., kernel width) to int32 words (..., words)."""
        first = rows[..., [*self.pairs, *self.singles]].astype("int64") & 0xFFFF
        second = rows[..., [t + 1 for t in self.pairs] + list(self.singles)].astype("int64") & 0xFFFF
        return (first | second << 16).astype("uint32").view("int32")

    def step(self, word: int, output: int) -> Step | None:
        """What columns ``2 * word`` and the next contribute to an output, if anything."""
        tap = 2 * word - output * self.stride
        if 0 <= tap < self.width - 1:
            return Step("smlad", output, self.pairs.index(tap))
        if tap == self.width - 1:
            return Step(*self._half("b", tap, output))
        return Step(*self._half("t", 0, output)) if tap == -1 else None

    def _half(self, column: str, tap: int, output: int) -> tuple[str, int, int]:
        if tap in self.pairs:
            return f"smla{column}b", output, self.pairs.index(tap)
        if tap - 1 in self.pairs:
            return f"smla{column}t", output, self.pairs.index(tap - 1)
        return f"smla{column}b", output, len(self.pairs)


@dataclass(frozen=True)
class Block:
    """``outputs`` neighbours of one row, over a kernel of ``height`` rows that lie ``row_bytes`` apart."""

    outputs: int
    height: int
    taps: Taps
    row_bytes: int
    turn_bytes: int
    """From the words of one row of outputs to those of the next."""
    out_step: int
    """Bytes from one output to the next."""
    zero_point: int
    low: int
    high: int

    @property
    def words(self) -> int:
        """Words of a row that the block reads."""
        return -(-((self.outputs - 1) * self.taps.stride + self.taps.width) // 2)

    @cached_property
    def steps(self) -> tuple[tuple[Step, ...], ...]:
        """For each word of a row, what it contributes to."""
        return tuple(
            tuple(s for o in range(self.outputs) if (s := self.taps.step(word, o)) is not None)
            for word in range(self.words)
        )

    @property
    def constants(self) -> int:
        """Words on the stack below the state: weights, bias, multiplier."""
        return self.height * self.taps.words + 2

    @cached_property
    def assembly(self) -> tuple[str, ...]:
        """The block in a loop down the rows. Expects in r0 where the channel's constants end, in r1 the outputs, in
        r2 the words, in r3 the words of the row after the last, in r4 bytes from one row of outputs to the next.

        Constants and state go to the stack for the time of the loop, which needs all other registers.
        """
        return tuple(self._assembly())

    def _assembly(self) -> Iterator[str]:
        yield "mov lr, r2"
        yield "push {r1, r3, r4}"
        for first in range(0, self.constants, 12):
            count = min(12, self.constants - first)
            registers = f"{{r1-r{count}}}" if count > 1 else "{r1}"
            yield from (f"ldmdb r0!, {registers}", f"push {registers}")
        sums, weights, free = self._registers()
        yield ".balign 4"
        yield "1:"
        fresh = set(range(self.outputs))
        yield from self._row("0", sums, weights, free, fresh)
        if self.height > 1:  # the assembler repeats them: a string in C has at most 4095 characters
            yield f".irp row, {', '.join(str(row) for row in range(1, self.height))}"
            yield from self._row(r"\\row", sums, weights, free, fresh)
            yield ".endr"
        yield from self._finish(sums, [*free, *weights])
        yield f"add sp, sp, #{4 * self.constants + 12}"

    def _registers(self) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
        used = self.outputs + self.taps.words
        return REGISTERS[: self.outputs], REGISTERS[self.outputs : used], REGISTERS[used : used + MOST_WORDS]

    def _row(
        self, row: str, sums: Sequence[str], weights: Sequence[str], free: Sequence[str], fresh: set[int]
    ) -> Iterator[str]:
        """One kernel row; the first of all starts the sums (``fresh``) from the bias, which the last of them holds."""
        for i, register in enumerate(weights):
            yield f"ldr {register}, [sp, #{row}*{4 * self.taps.words}+{4 * i}]"
        if fresh:
            yield f"ldr {sums[-1]}, [sp, #{4 * self.constants - 8}]"
        for first in range(0, self.words, len(free)):
            group = range(first, min(first + len(free), self.words))
            for word in group:
                yield f"ldr {free[word - first]}, [lr, #{row}*{self.row_bytes}+{4 * word}]"
            for word in group:
                for step in self.steps[word]:
                    start = sums[-1] if step.out in fresh else sums[step.out]
                    fresh.discard(step.out)
                    yield f"{step.name} {sums[step.out]}, {free[word - first]}, {weights[step.weight]}, {start}"

    def _finish(self, sums: Sequence[str], free: Sequence[str]) -> Iterator[str]:
        """Sums to int8, the next turn."""
        multiplier, out, step, *more = free
        zero = more[0] if more else step
        loads = {multiplier: 4 * self.constants - 4, out: 4 * self.constants, step: 4 * self.constants + 8}
        for register, offset in loads.items():
            if register != zero:
                yield f"ldr {register}, [sp, #{offset}]"
        if self.zero_point:
            yield f"mov {zero}, #{self.zero_point}"
        for r in sums:
            yield f"smmlar {r}, {r}, {multiplier}, {zero}" if self.zero_point else f"smmulr {r}, {r}, {multiplier}"
        for i, r in enumerate(sums):
            yield f"ssat {r}, #8, {r}"
            yield from self._clamp(r)
            yield f"strb {r}, [{out}, #{i * self.out_step}]"
        if step == zero:
            yield f"ldr {step}, [sp, #{loads[step]}]"
        yield f"ldr {multiplier}, [sp, #{4 * self.constants + 4}]"
        yield f"add {out}, {out}, {step}"
        yield f"add lr, lr, #{self.turn_bytes}"
        yield f"str {out}, [sp, #{4 * self.constants}]"
        yield f"cmp lr, {multiplier}"
        yield "bne 1b"

    def _clamp(self, register: str) -> Iterator[str]:
        if self.low > -128:
            yield from (f"cmp {register}, #{self.low}", "it lt", f"movlt {register}, #{self.low}")
        if self.high < 127:
            yield from (f"cmp {register}, #{self.high}", "it gt", f"movgt {register}, #{self.high}")


def most_outputs(taps: Taps, out_step: int) -> int:
    """How many sums find a register, beside the weights of a row and some words, and an offset in a store."""
    return max(0, min(MOST_OUTPUTS, len(REGISTERS) - taps.words - MOST_WORDS, OFFSET // out_step + 1))
