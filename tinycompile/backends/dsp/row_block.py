"""The depthwise kernel for one row of outputs: all channels in one piece of assembly.

Four channels at a time, their rows are brought to int16 in scratch (``planes``), then each channel is computed.
A channel has one row of outputs only, so nothing of it is worth keeping: the weights of a kernel row are loaded from
flash together with its words, and the kernel's rows go by from the last to the first, so that the very last load (the
first word of all) moves the pointer on. What the instructions of a loop share lies on the stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tinycompile.backends.dsp.depthwise_block import Block, Registers, Taps
from tinycompile.backends.dsp.dual_issue import ordered
from tinycompile.backends.dsp.planes import PlaneRows
from tinycompile.backends.dsp.thumb import OFFSET, REGISTERS, add

MOST_OUTPUTS = 8
PLACES, LIST, COUNT, GROUP, WORDS, END, OUT, LIMIT, STOP, REPEAT = range(0, 40, 4)
"""Where on the stack lie: the words of the first row that is there, the list of such rows and their number, the first
channel of the group; the words of its first channel and the end of its last one's, the outputs of the next channel,
the first channel that is in no group any more; the end of a loop over blocks, outputs that are left to a channel."""
STATE = 40
ZERO = 1 << 20
"""Not on the stack: the zero point of the outputs."""
MULTIPLIER, HALF, SHIFT = ((1 << 21) + 4 * i for i in range(3))
"""Among the constants of a channel; the last two only for sums that are rounded twice. The bias follows them."""
RESIDENT = (OUT, END, ZERO)
"""What spare registers hold, most worthwhile first."""
FREE = REGISTERS[:12]
CONSTANTS, INPUTS = "r12", "lr"
"""The registers of the constants, and of the words of a row."""
LEAST_WORDS, LEAST_TOGETHER = 3, 5
"""Registers for words of a row; for those and the weights, which hold at the end what sums become int8 with."""
MOST_INDEX = 255
"""What a load or store can add to its base on the way."""


@dataclass(frozen=True)
class Move:
    """How far the pointers to words and outputs move behind a block, and the place of the words at which to stop."""

    words: int
    outputs: int
    constants: int
    until: int | None
    label: int


@dataclass(frozen=True)
class RowNest:
    """One row of outputs: ``count`` times ``block`` beside each other, then ``rest``, for each channel of a group of
    planes; ``repeat`` channels of outputs for each of the input."""

    block: Block
    count: int
    rest: Block | None
    channel_bytes: int
    """From the words of one channel to those of the next."""
    repeat: int
    rows: PlaneRows | None
    """What brings rows to scratch, for one group after the other; without it there is one group, and it is there."""
    zero_point: int
    """Of the inputs."""
    may_be_empty: bool
    """Whether some row of outputs reads padding alone."""
    dual: bool = False
    """Whether in an order for two instructions a cycle."""

    @cached_property
    def assembly(self) -> tuple[str, ...]:
        """Expects in r0 .. r7 what lies on the stack from ``PLACES`` to ``LIMIT``, in r12 the constants."""
        return ordered(self._assembly(), self.dual)

    def _assembly(self) -> Iterator[str]:
        yield "push {r0-r9}"
        if self.rows is not None:
            yield from ("3:", f"ldm sp, {{r0, r2, r3, {INPUTS}}}")
            if self.may_be_empty:
                yield from ("cmp r3, #0", "beq 6f")
            yield from self.rows.listed("r0", "r1", "r2", "r3", INPUTS, self.zero_point)
            yield from ("6:", f"add {INPUTS}, {INPUTS}, #4", f"str {INPUTS}, [sp, #{GROUP}]")
        yield f"ldr {INPUTS}, [sp, #{WORDS}]"
        for place, register in self._kept.items():
            yield self._fetch(place, register)
        if self.repeat > 1:
            yield from (f"mov r0, #{self.repeat}", f"str r0, [sp, #{REPEAT}]")
        yield from (".balign 4", "4:")
        yield from self._channel()
        if OUT in self._kept:
            yield f"str {self._kept[OUT]}, [sp, #{OUT}]"
        if self.rows is not None:
            yield from (f"ldr r0, [sp, #{GROUP}]", f"ldr r1, [sp, #{LIMIT}]", "cmp r0, r1", "bne 3b")
        yield f"add sp, sp, #{STATE}"

    @property
    def _kept(self) -> Mapping[int, str]:
        """What lies in a register that no block has another use for."""
        blocks = [self.block] + ([self.rest] if self.rest else [])
        spare = set.intersection(*(set(FREE) - _used(block) for block in blocks)) - ({"r0"} if self._is_long else set())
        places = [p for p in RESIDENT if p != ZERO or (self.block.zero_point and not self.block.double)]
        return dict(zip(places, sorted(spare, key=FREE.index), strict=False))

    @property
    def _is_long(self) -> bool:
        """Whether instructions between the blocks take a register."""
        return self.count > 1 or self.repeat > 1

    def _channel(self) -> Iterator[str]:
        """All blocks of a channel; those beside each other in a loop."""
        block, rest = self.block, self.rest
        on = Move(
            2 * block.outputs * block.taps.stride, block.outputs * block.out_step, 0,
            STOP if self.count > 1 else None, 5,
        )  # fmt: skip
        if self.count > 1:
            yield from add("r0", INPUTS, self.count * on.words)
            yield from (f"str r0, [sp, #{STOP}]", ".balign 4", "5:")
        if rest or self.count > 1:
            yield from self._block(block, on)
        if rest or self.count == 1:
            yield from self._block(rest or block, self._last(on, self.count if rest else 0))
        else:
            yield from self._close(self._last(on, self.count))
        if self.repeat > 1:
            yield from (f"ldr r0, [sp, #{REPEAT}]", "subs r0, r0, #1", f"str r0, [sp, #{REPEAT}]", "bne 4b")
            yield from (f"mov r0, #{self.repeat}", f"str r0, [sp, #{REPEAT}]")
            yield from _moved(INPUTS, self.channel_bytes)
            yield from self._until(END, 4)

    def _last(self, on: Move, count: int) -> Move:
        """To the next channel, after ``count`` moves to the next block."""
        words = self.channel_bytes if self.repeat == 1 else 0
        constants = 4 * (_head(self.block) + self.block.height * self.block.taps.words)
        until = END if self.repeat == 1 else None
        return Move(words - count * on.words, 1 - count * on.outputs, constants, until, 4)

    def _close(self, move: Move) -> Iterator[str]:
        """The pointers moved, where no block does it."""
        yield from _moved(INPUTS, move.words)
        yield from _moved(CONSTANTS, move.constants)
        out = self._kept.get(OUT, "r0")
        if OUT not in self._kept:
            yield f"ldr {out}, [sp, #{OUT}]"
        yield from _moved(out, move.outputs)
        if OUT not in self._kept:
            yield f"str {out}, [sp, #{OUT}]"
        if move.until is not None:
            yield from self._until(move.until, move.label)

    def _until(self, place: int, label: int) -> Iterator[str]:
        end = self._kept.get(place, "r0")
        if place not in self._kept:
            yield f"ldr {end}, [sp, #{place}]"
        yield from (f"cmp {INPUTS}, {end}", f"bne {label}b")

    def _block(self, block: Block, move: Move) -> Iterator[str]:
        registers = row_registers(block)
        yield from _sums(block, registers, move.words)
        yield from self._finish(block, registers, move)

    def _finish(self, block: Block, registers: Registers, move: Move) -> Iterator[str]:
        """Sums to int8, pointers moved."""
        places = [MULTIPLIER, HALF, SHIFT] if block.double else [MULTIPLIER]
        places += [ZERO] if block.zero_point and not block.double else []
        places += [OUT] if move.until is None else [OUT, move.until]
        found = dict(self._kept)
        free = iter(_freed(block, registers))
        found |= {p: next(free) for p in places if p not in found}
        fetched = [p for p in places if p not in self._kept]
        for place in sorted(fetched, key=lambda p: (p != ZERO, p < ZERO, -p)):
            index = move.constants if place == MULTIPLIER and move.constants <= MOST_INDEX else 0
            yield self._fetch(place, found[place], index)
        if move.constants > MOST_INDEX:
            yield from _moved(CONSTANTS, move.constants)
        zero = f", {found[ZERO]}" if ZERO in places else ""
        for r in registers.sums:
            yield f"{'smmlar' if zero else 'smmulr'} {r}, {r}, {found[MULTIPLIER]}{zero}"
        for i, r in reversed(tuple(enumerate(registers.sums))):
            if block.double:
                yield from block.shifted(r, found[HALF], found[SHIFT])
            yield from block.saturated(r)
            offset = (
                f"], #{move.outputs}" if i == 0 and abs(move.outputs) <= MOST_INDEX else f", #{i * block.out_step}]"
            )
            yield f"strb {r}, [{found[OUT]}{offset}"
        if abs(move.outputs) > MOST_INDEX:
            yield from _moved(found[OUT], move.outputs)
        if OUT not in self._kept:
            yield f"str {found[OUT]}, [sp, #{OUT}]"
        if move.until is not None:
            yield from (f"cmp {INPUTS}, {found[move.until]}", f"bne {move.label}b")

    def _fetch(self, place: int, register: str, index: int = 0) -> str:
        if place == ZERO:
            return f"mov {register}, #{self.block.zero_point}"
        if place < ZERO:
            return f"ldr {register}, [sp, #{place}]"
        return f"ldr {register}, [{CONSTANTS}" + (f"], #{index}" if index else f", #{place - MULTIPLIER}]")


def _sums(block: Block, registers: Registers, move: int) -> Iterator[str]:
    """The sums, from the last kernel row to the first, words from right to left; the words' pointer moved."""
    bias = registers.sums[0]
    fresh = set(range(block.outputs))
    words = [i for i, steps in enumerate(block.steps) if steps]
    room = len(registers.words)
    for row in reversed(range(block.height)):
        for i, register in enumerate(registers.weights):
            yield f"ldr {register}, [{CONSTANTS}, #{4 * (_head(block) + row * block.taps.words + i)}]"
        if fresh:
            yield f"ldr {bias}, [{CONSTANTS}, #{4 * (_head(block) - 1)}]"
        for first in reversed(range(0, len(words), room)):
            group = dict(zip(reversed(words[first : first + room]), registers.words, strict=False))
            for word, register in group.items():
                moves = row == 0 and word == 0 and abs(move) <= MOST_INDEX
                place = f"], #{move}" if moves else f", #{row * block.row_bytes + 4 * word}]"
                yield f"ldr {register}, [{INPUTS}{place}"
            for word, register in group.items():
                for step in reversed(block.steps[word]):
                    total = registers.sums[step.out]
                    start = bias if step.out in fresh else total
                    fresh.discard(step.out)
                    yield f"{step.name} {total}, {register}, {registers.weights[step.weight]}, {start}"
    if abs(move) > MOST_INDEX:
        yield from _moved(INPUTS, move)


def row_registers(block: Block) -> Registers:
    """What lies in which register; as many for words as there are, up to all words of a row."""
    used = block.outputs + block.taps.words
    least = max(LEAST_WORDS, LEAST_TOGETHER - block.taps.words)
    many = max(least, min(sum(bool(steps) for steps in block.steps), len(FREE) - used))
    return Registers(FREE[: block.outputs], FREE[block.outputs : used], FREE[used : used + many], {})


def most_row_outputs(taps: Taps, out_step: int) -> int:
    """How many sums find a register beside weights and words, and an offset in a store."""
    rest = len(FREE) - max(taps.words + LEAST_WORDS, LEAST_TOGETHER)
    return max(0, min(MOST_OUTPUTS, rest, OFFSET // out_step + 1))


def row_cycles(block: Block) -> int:
    """What a block takes about, for a choice among sizes: in each row loads, one more for each group of them, and
    products; three instructions an output, and what comes once."""
    words = sum(bool(steps) for steps in block.steps)
    groups = -(-words // len(row_registers(block).words))
    row = block.taps.words + words + groups + sum(map(len, block.steps))
    return block.height * row + 3 * block.outputs + 11


def _used(block: Block) -> set[str]:
    registers = row_registers(block)
    return {*registers.sums, *registers.weights, *registers.words}


def _freed(block: Block, registers: Registers) -> Sequence[str]:
    """The registers of words and weights, in the order of their last use in a row."""
    last: dict[str, int] = dict.fromkeys([*registers.words, *registers.weights], -1)
    words = [i for i, steps in enumerate(block.steps) if steps]
    room = len(registers.words)
    order = [w for first in reversed(range(0, len(words), room)) for w in reversed(words[first : first + room])]
    for first in reversed(range(0, len(words), room)):
        group = zip(reversed(words[first : first + room]), registers.words, strict=False)
        for word, register in group:
            now = order.index(word)
            last |= {register: now} | {registers.weights[step.weight]: now for step in block.steps[word]}
    return sorted(last, key=lambda register: last[register])


def _head(block: Block) -> int:
    """Words of a channel's constants before its weights."""
    return 4 if block.double else 2


def _moved(register: str, number: int) -> Iterator[str]:
    """``register += number``, which may be negative."""
    if number < 0:
        yield from (line.replace("add", "sub") for line in add(register, register, -number))
    elif number > 0:
        yield from add(register, register, number)
