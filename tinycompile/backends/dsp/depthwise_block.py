"""The inner block of the depthwise kernel: some neighbouring outputs of one channel, from rows of int16 pairs.

A row of input lies in memory as words of two columns. Each word is loaded once and meets every output that it is
part of: with two taps (SMLAD), or with one where the window begins or ends in the middle of the word (SMLABT and
its like). All outputs of the block have their sum in a register; the weights of one kernel row are in registers
while the row goes by. Loads stand in groups, because a Cortex-M4 takes an extra cycle for the first of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tinycompile.backends.dsp.dual_issue import ordered
from tinycompile.backends.dsp.thumb import OFFSET, REGISTERS, add, clamp
from tinycompile.ir import Array

MOST_OUTPUTS = 8
OUT, END, OUT_STEP, BAND, NEXT_WORDS, NEXT_OUT, BLOCKS, CONSTANTS, WORDS, OUTPUTS, CHANNELS, STATE = range(0, 48, 4)
"""Where on the stack, behind the constants of a channel, lie: the outputs and the end of the words of the running
loop, bytes from one row of outputs to the next, bytes of words of the whole band, the words and outputs of the next
loop, the loops that are left; the constants, words and outputs of the next channel, the channels that are left."""
HALF, SHIFT, BIAS, MULTIPLIER = -16, -12, -8, -4
"""Where the constants of a channel are that follow its weights; the first two only for ``double`` blocks."""
ZERO = 1 << 20
"""Not on the stack: the zero point of the outputs."""
ALL = 1 << 30
"""More columns than any row has."""
RESIDENT = (OUT, END, MULTIPLIER, OUT_STEP, ZERO, HALF, SHIFT)
"""What spare registers hold, most worthwhile first."""
MOST_WORDS, MOST_GROUP = 3, 5
"""Words of a row that are loaded in one go: as many as there must be registers for, and at most."""


@dataclass(frozen=True)
class Registers:
    """Of the sums, of the weights and words of a row, and of what else stays in one, by its place on the stack."""

    sums: Sequence[str]
    weights: Sequence[str]
    words: Sequence[str]
    kept: Mapping[int, str]


@dataclass(frozen=True)
class Step:
    """One multiply-accumulate, to sum ``out``: the halves that ``name`` says of a word, and of word ``weight``."""

    name: str
    out: int
    weight: int


@dataclass(frozen=True)
class Taps:
    """How the weights of one kernel row lie in words: ``pairs`` holds the first tap of each, ``singles`` the taps at
    the ends that are in none of them.

    The first window starts ``pad`` columns before the first word; what lies before that, or behind ``columns``
    columns, is nowhere and contributes nothing.
    """

    width: int
    stride: int
    pad: int = 0
    columns: int = ALL

    @cached_property
    def pairs(self) -> tuple[int, ...]:
        starts = {(self.pad - output * self.stride) % 2 for output in range(2)}
        return tuple(t for t in range(self.width - 1) if t % 2 in starts)

    @cached_property
    def singles(self) -> tuple[int, ...]:
        """Taps that stand alone somewhere and are in no pair."""
        covered = {t for pair in self.pairs for t in (pair, pair + 1)}
        return tuple(sorted({0, self.width - 1} - covered))

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
        tap = 2 * word - output * self.stride + self.pad
        first, second = 2 * word < self.columns, 2 * word + 1 < self.columns
        if 0 <= tap < self.width - 1 and second:
            return Step("smlad", output, self.pairs.index(tap))
        if 0 <= tap < self.width and first:
            return Step(*self._half("b", tap, output))
        return Step(*self._half("t", 0, output)) if tap == -1 and second else None

    def reach(self, outputs: int) -> bool:
        """Whether each of so many outputs meets some column."""
        return all(any(self.step(word, output) for word in range(self.columns)) for output in range(outputs))

    def alone(self, tap: int) -> Step:
        """What one column contributes to the only output, from the low half of a word, by this tap."""
        return Step(*self._half("b", tap, 0))

    def _half(self, column: str, tap: int, output: int) -> tuple[str, int, int]:
        if tap in self.pairs:
            return f"smla{column}b", output, self.pairs.index(tap)
        if tap - 1 in self.pairs:
            return f"smla{column}t", output, self.pairs.index(tap - 1)
        return f"smla{column}b", output, len(self.pairs) + self.singles.index(tap)


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
    double: bool = False
    """Whether sums are rounded twice, as TensorFlow Lite does; their zero point is then in the constants."""

    @property
    def words(self) -> int:
        """Words of a row that the block reads."""
        columns = (self.outputs - 1) * self.taps.stride + self.taps.width - self.taps.pad
        return -(-min(columns, self.taps.columns) // 2)

    @cached_property
    def steps(self) -> tuple[tuple[Step, ...], ...]:
        """For each word of a row, what it contributes to."""
        return tuple(
            tuple(s for o in range(self.outputs) if (s := self.taps.step(word, o)) is not None)
            for word in range(self.words)
        )

    @property
    def constants(self) -> int:
        """Words on the stack below the state: weights, half a step and shift (``double``), bias, multiplier."""
        return self.height * self.taps.words + (4 if self.double else 2)

    @property
    def state(self) -> int:
        """Bytes from the stack pointer to the state, behind the constants."""
        return 4 * self.constants

    @cached_property
    def registers(self) -> Registers:
        """What lies in which register."""
        used = self.outputs + self.taps.words
        words = REGISTERS[used : used + max(MOST_WORDS, min(self.words, MOST_GROUP))]
        spare = REGISTERS[used + len(words) :]
        resident = [place for place in RESIDENT if place not in self._unused]
        kept = dict(zip(resident, spare, strict=False))
        return Registers(REGISTERS[: self.outputs], REGISTERS[self.outputs : used], words, kept)

    @property
    def _unused(self) -> set[int]:
        """Constants that the last steps have no use for."""
        if self.double:
            return {ZERO}
        return {HALF, SHIFT} if self.zero_point else {HALF, SHIFT, ZERO}

    def prepare(self) -> Iterator[str]:
        """What the loop wants in registers: from the stack, LR apart."""
        for place, register in self.registers.kept.items():
            if place == ZERO:
                yield f"mov {register}, #{self.zero_point}"
            else:
                yield f"ldr {register}, [sp, #{self.state + place}]"

    def assembly(self, label: int) -> Iterator[str]:
        """The block in a loop down the rows, from the words at LR on; all else is on the stack (see ``Nest``)."""
        yield from self.prepare()
        yield ".balign 4"
        yield f"{label}:"
        fresh = set(range(self.outputs))
        for row in range(self.height):
            yield from self._row(row, fresh)
        yield from self._finish()
        yield f"bne {label}b"

    def _row(self, row: int, fresh: set[int]) -> Iterator[str]:
        """One kernel row; the first of all starts the sums (``fresh``) from the bias, which the last of them holds."""
        sums, weights, free = self.registers.sums, self.registers.weights, self.registers.words
        for i, register in enumerate(weights):
            yield f"ldr {register}, [sp, #{4 * (row * self.taps.words + i)}]"
        if fresh:
            yield f"ldr {sums[-1]}, [sp, #{self.state + BIAS}]"
        for first in range(0, self.words, len(free)):
            group = range(first, min(first + len(free), self.words))
            for word in group:
                yield f"ldr {free[word - first]}, [lr, #{row * self.row_bytes + 4 * word}]"
            for word in group:
                for step in self.steps[word]:
                    start = sums[-1] if step.out in fresh else sums[step.out]
                    fresh.discard(step.out)
                    yield f"{step.name} {sums[step.out]}, {free[word - first]}, {weights[step.weight]}, {start}"

    def _finish(self) -> Iterator[str]:
        """Sums to int8, the next turn."""
        sums, kept = self.registers.sums, self.registers.kept
        free = self._freed()
        found = dict(kept)
        places = (MULTIPLIER, ZERO, HALF, SHIFT, OUT, OUT_STEP, END)
        wanted = [p for p in places if p not in found and p not in self._unused]
        late = wanted[len(free) :]
        found |= dict(zip(wanted, free, strict=False))
        if ZERO in wanted:
            yield f"mov {found[ZERO]}, #{self.zero_point}"
        for place in wanted[: len(free)]:
            if place != ZERO:
                yield f"ldr {found[place]}, [sp, #{self.state + place}]"
        zero = f", {found[ZERO]}" if ZERO in found else ""
        for r in sums:
            yield f"{'smmlar' if zero else 'smmulr'} {r}, {r}, {found[MULTIPLIER]}{zero}"
        for i, r in enumerate(sums):
            if self.double:
                yield from self.shifted(r, found[HALF], found[SHIFT])
            yield from self.saturated(r)
            yield f"strb {r}, [{found[OUT]}, #{i * self.out_step}]"
        spent = iter([*sums, found[MULTIPLIER]])
        for place in late:
            found[place] = next(spent)
            yield f"ldr {found[place]}, [sp, #{self.state + place}]"
        yield f"add {found[OUT]}, {found[OUT]}, {found[OUT_STEP]}"
        yield from add("lr", "lr", self.turn_bytes)
        if OUT not in kept:
            yield f"str {found[OUT]}, [sp, #{self.state + OUT}]"
        yield f"cmp lr, {found[END]}"

    def shifted(self, total: str, half: str, shift: str) -> Iterator[str]:
        """The second rounding of a sum, half away from zero."""
        yield from (f"add {total}, {total}, {total}, asr #31", f"add {total}, {total}, {half}")
        yield f"asr {total}, {total}, {shift}"

    def saturated(self, total: str) -> Iterator[str]:
        """A sum to within what outputs may be."""
        yield f"ssat {total}, #8, {total}"
        yield from clamp(total, self.low, self.high)

    def _freed(self) -> list[str]:
        """The registers of words and weights, in the order of their last use in a row."""
        words, weights = self.registers.words, self.registers.weights
        last: dict[str, int] = dict.fromkeys([*words, *weights], -1)
        for word, steps in enumerate(self.steps):
            for step in steps:
                last |= {words[word % len(words)]: word, weights[step.weight]: word}
        return sorted(last, key=lambda register: last[register])


def side_by_side(width: int, outputs: int, height: int, taps: Taps) -> Sequence[Block]:
    """The blocks of a row of ``width`` outputs, ``outputs`` in all but the last. They lie nowhere yet: for counts."""
    sizes = [outputs] * (width // outputs) + [width % outputs] * (width % outputs > 0)
    return [Block(n, height, taps, 0, 0, 0, 0, 0, 0) for n in sizes]


def loads_and_products(blocks: Sequence[Block]) -> tuple[int, int]:
    """Of one kernel row: words and weights that are loaded, and multiply-accumulates."""
    loads = sum(block.words + block.taps.words for block in blocks)
    return loads, sum(len(steps) for block in blocks for steps in block.steps)


@dataclass(frozen=True)
class Nest:
    """All outputs of a band of rows: channel by channel, down the rows in columns of ``block``, and of ``rest``."""

    block: Block
    count: int
    """Blocks beside each other."""
    rest: Block | None
    channel_bytes: int
    """From the words of one channel to those of the next."""
    dual: bool = False
    """Whether in an order for two instructions a cycle."""

    @cached_property
    def assembly(self) -> tuple[str, ...]:
        """Expects in r0 where the first channel's constants end, in r1 its outputs, in r2 its words, in r3 the bytes
        of the band's words, in r4 those from one row of outputs to the next, in r5 the number of channels."""
        return ordered(self._assembly(), self.dual)

    def _assembly(self) -> Iterator[str]:
        yield f"sub sp, sp, #{STATE}"
        for register, place in (
            ("r4", OUT_STEP), ("r3", BAND), ("r0", CONSTANTS), ("r2", WORDS), ("r1", OUTPUTS), ("r5", CHANNELS),
        ):  # fmt: skip
            yield f"str {register}, [sp, #{place}]"
        yield "3:"
        yield from self._channel()
        yield from self.block.assembly(1)
        if self.count > 1:
            yield from self._next_column()
        if self.rest is not None:
            yield from self._load({"lr": NEXT_WORDS, "r1": NEXT_OUT, "r2": BAND})
            yield from self._start()
            yield from self.rest.assembly(2)
        yield f"add sp, sp, #{self.block.state}"
        yield f"ldr r0, [sp, #{CHANNELS}]"
        yield "subs r0, r0, #1"
        yield f"str r0, [sp, #{CHANNELS}]"
        yield "bne 3b"
        yield f"add sp, sp, #{STATE}"

    def _channel(self) -> Iterator[str]:
        """The constants to the stack, the state as it is before the first block."""
        yield f"ldr r12, [sp, #{CONSTANTS}]"
        for first in range(0, self.block.constants, 12):
            count = min(12, self.block.constants - first)
            if count == 1:  # LDMDB of one register has no defined meaning
                yield from ("ldr r0, [r12, #-4]!", "push {r0}")
            else:
                yield from (f"ldmdb r12!, {{r0-r{count - 1}}}", f"push {{r0-r{count - 1}}}")
        yield from add("r12", "r12", 8 * self.block.constants)
        yield from self._load({"lr": WORDS, "r1": OUTPUTS, "r2": BAND})
        yield from add("r6", "lr", self.channel_bytes)
        yield from add("r7", "r1", 1)
        yield from self._store({"r12": CONSTANTS, "r6": WORDS, "r7": OUTPUTS})
        yield from self._start()
        if self.count > 1:
            yield f"mov r0, #{self.count - 1}"
            yield from self._store({"r0": BLOCKS})
        if self.count > 1 or self.rest is not None:
            yield from self._step()

    def _start(self) -> Iterator[str]:
        """A loop down the rows from the words at LR and the outputs at r1 on; r2 holds the bytes of the band."""
        yield "add r3, lr, r2"
        yield from self._store({"r1": OUT, "r3": END})

    def _step(self) -> Iterator[str]:
        """The words and outputs of the column after LR and r1."""
        yield from add("r4", "lr", 2 * self.block.outputs * self.block.taps.stride)
        yield from add("r5", "r1", self.block.outputs * self.block.out_step)
        yield from self._store({"r4": NEXT_WORDS, "r5": NEXT_OUT})

    def _next_column(self) -> Iterator[str]:
        yield from self._load({"r0": BLOCKS, "lr": NEXT_WORDS, "r1": NEXT_OUT, "r2": BAND})
        yield "subs r0, r0, #1"
        yield "bmi 4f"
        yield from self._store({"r0": BLOCKS})
        yield from self._start()
        yield from self._step()
        yield "b 1b"
        yield "4:"

    def _load(self, places: Mapping[str, int]) -> Iterator[str]:
        for register, place in places.items():
            yield f"ldr {register}, [sp, #{self.block.state + place}]"

    def _store(self, places: Mapping[str, int]) -> Iterator[str]:
        for register, place in places.items():
            yield f"str {register}, [sp, #{self.block.state + place}]"


def most_outputs(taps: Taps, out_step: int) -> int:
    """How many sums find a register, beside the weights of a row and some words, and an offset in a store."""
    return max(0, min(MOST_OUTPUTS, len(REGISTERS) - taps.words - MOST_WORDS, OFFSET // out_step + 1))
