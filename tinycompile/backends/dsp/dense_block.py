"""The inner block of dense layers: some filters by the inputs of one pixel, as they lie there.

Four inputs are one word, which SXTB16 makes two pairs of int16. A word of the stream has the weights of two filters
for a pair of inputs, mixed (256 times the second one's plus the first one's: ``filters.py``), or of one filter. The
more filters share a pair the better; eight leave two registers for weights. Inputs need no alignment, and nothing
behind them is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from tinycompile.backends.dsp.dual_issue import dual_issue, ordered
from tinycompile.backends.dsp.thumb import lines_for_gcc

SUMS = ("r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")
MOST_FILTERS = len(SUMS)
INPUTS, OUTPUTS, END, LAST = range(0, 16, 4)
"""Where on the stack lie: the inputs, the outputs, the end of the stream, the inputs behind the loop."""
PIPELINED = (4, 6)
"""Filters whose sums leave two pairs of registers to load weights to."""


@dataclass(frozen=True)
class Range:
    """Of outputs, whose zero point is added by the block."""

    zero_point: int
    low: int
    high: int


@dataclass(frozen=True)
class DenseBlock:
    """``blocks`` times ``filters`` (even) filters, the last of which is left out where ``odd``, by ``inputs`` inputs.

    Registers: r0 inputs, r1 stream, r2 outputs, one byte before them; r3 the end of the stream. Without a range, for
    sums that are requantised elsewhere, r2 points to int32 for them.
    """

    filters: int
    blocks: int
    inputs: int
    mixed: bool
    moved: bool
    """Whether second filters of mixed ones have offsets in the stream, each behind the multipliers of the two."""
    dual: bool
    """Whether a multiplication and another instruction issue in one cycle."""
    most: int
    """Words of inputs that the code is unrolled for."""
    range: Range | None
    odd: bool = False

    @property
    def words(self) -> int:
        """Of the stream for a pair of inputs."""
        return self.filters // 2 if self.mixed else self.filters

    @cached_property
    def assembly(self) -> tuple[str, ...]:
        return tuple(self._assembly())

    def _assembly(self) -> Iterator[str]:
        pipelined = self.dual and self.mixed and self.filters in PIPELINED and self.inputs >= 4
        times, each, rest = self.plan(ahead=pipelined)
        turn = tuple(self._turn(["\\\\" + name for name in "abcdpx"]) if pipelined else self._step())
        yield lines_for_gcc(turn, each + rest)
        if pipelined:
            yield from (".macro tc_turn a, b, c, d, p, x", *turn, ".endm")
        if times:
            yield from (f"movw r4, #{4 * (times * each + pipelined)}", "add r4, r0, r4")
        yield from ("push {r0, r2, r3, r4, r7}", ".balign 4", "1:", f"ldm r1!, {{{', '.join(self._sums)}}}")
        yield from self._pipelined(times, each, rest) if pipelined else self._grouped(times, each, rest)
        yield from self._left()
        yield from ordered(self._to_outputs() if self.range else self._to_sums(), self.dual)
        yield "pop {r0, r2, r3, r4, r7}"
        if pipelined:
            yield ".purgem tc_turn"

    @property
    def _sums(self) -> Sequence[str]:
        return SUMS[: self.filters]

    def plan(self, ahead: bool) -> tuple[int, int, int]:
        """Words of inputs = times * each + rest; ``ahead``: the last one is not in the loop, where each is even."""
        words = self.inputs // 4
        if words <= self.most:
            return 0, 0, words
        loops = [((words - ahead) // each, each) for each in range(1 + ahead, self.most, 1 + ahead)]
        found = [(t, e, words - t * e) for t, e in loops if words - t * e + e <= self.most]
        return min(found, key=lambda plan: (plan[0], plan[1] + plan[2]))

    def _grouped(self, times: int, each: int, rest: int) -> Iterator[str]:
        """Loads in groups, which is cheapest on cores that issue one instruction a cycle."""
        if times:
            yield from (".balign 4", "2:", f".rept {each}", *self._step(), ".endr")
            yield from (f"ldr r4, [sp, #{LAST}]", "cmp r0, r4", "bne 2b")
        if rest:
            yield from (f".rept {rest}", *self._step(), ".endr")

    def _step(self) -> Iterator[str]:
        """Four inputs."""
        yield "ldr r2, [r0], #4"
        extend = ("sxtb16 r3, r2", "sxtb16 r2, r2, ror #8")
        yield from self._products(("r3", "r2"), extend)

    def _products(self, pairs: Sequence[str], extend: Sequence[str]) -> Iterator[str]:
        """The next words of the stream by these pairs of inputs, which exist after ``extend``."""
        free = ("r4", "r5", *SUMS[self.filters :])
        count = len(pairs) * self.words
        for first in range(0, count, len(free)):
            registers = free[: count - first]
            yield from _next_words(registers)
            yield from extend if first == 0 else ()
            for i, register in (*[*enumerate(registers)][1:], (0, registers[0])):
                yield from self._word((first + i) % self.words, register, pairs[(first + i) // self.words])

    def _word(self, i: int, word: str, pair: str) -> Iterator[str]:
        """Word ``i`` of the stream by its pair of inputs."""
        if self.mixed:
            yield from (self._multiply(2 * i + 1, word, pair), f"sxtb16 {word}, {word}")
            yield self._multiply(2 * i, word, pair)
        else:
            yield self._multiply(i, word, pair)

    @staticmethod
    def _multiply(f: int, word: str, pair: str) -> str:
        return f"smlad {SUMS[f]}, {word}, {pair}, {SUMS[f]}"

    def _pipelined(self, times: int, each: int, rest: int) -> Iterator[str]:
        """Each turn loads what the next one begins with. It takes its registers in another order, so turns go in
        twos."""
        weights, pairs = ("r4", "r5", "r12", "lr"), ("r3", "r2")
        other = (*weights[2:], *weights[:2]) if self.filters % 4 else weights
        turns = ((*weights, *pairs), (*other, *pairs[::-1]))
        yield from dual_issue(("ldr r2, [r0], #4", "sxtb16 r3, r2"))
        yield "ldrd r4, r5, [r1], #8"
        if times:
            yield from (".balign 4", "2:", f".rept {each // 2}", *(f"tc_turn {', '.join(turn)}" for turn in turns))
            yield from (".endr", f"ldr r12, [sp, #{LAST}]", "cmp r0, r12", "bne 2b")
        yield from (f"tc_turn {', '.join(turns[i % 2])}" for i in range(rest - 1))
        yield from self._turn(turns[(rest - 1) % 2], last=True)

    def _turn(self, registers: Sequence[str], last: bool = False) -> Iterator[str]:
        """Four inputs, by two words of the stream at a time. ``registers``: the first two words; two for the next ones;
        a pair of inputs; all four as they are, which become the other pair."""
        *words, pair, inputs = registers
        for at in range(0, self.filters, 2):
            now, then = (words[:2], words[2:]) if at % 4 == 0 else (words[2:], words[:2])
            ends = at + 2 == self.filters
            if not (last and ends):
                yield f"ldrd {then[0]}, {then[1]}, [r1], #8"
            if ends and self.filters == 4 and not last:
                yield f"ldr {pair}, [r0], #4"
            (a, b, c), (d, e, f) = (
                self._word((at + i) % self.words, now[i], (pair, inputs)[(at + i) // self.words]) for i in (0, 1)
            )
            yield from (a, d, b, c, e, f)
            if at == 0:
                yield f"sxtb16 {inputs}, {inputs}, ror #8"
            elif not ends and not last:
                yield f"ldr {pair}, [r0], #4"
            if ends and not last:
                yield f"sxtb16 {inputs}, {pair}"

    def _left(self) -> Iterator[str]:
        """The last one to three inputs: the first and the last of two or three; the odd one."""
        left = self.inputs % 4
        if left >= 2:
            yield from ("ldrsb r2, [r0]", f"ldrsb r3, [r0, #{left - 1}]")
            yield from self._products(("r2",), ("pkhbt r2, r2, r3, lsl #16",))
        if left % 2:
            yield f"ldrsb r2, [r0, #{left // 2}]"
            yield from self._products(("r2",), ())

    def _part(self, f: int, offset: str = "") -> Iterator[str]:
        """The sums of filters ``f`` and the next one apart."""
        first, second = SUMS[f : f + 2]
        if self.mixed:
            yield f"sub {second}, {second}, {first}"
            yield f"add {second}, {offset}, {second}, asr #8" if offset else f"asr {second}, {second}, #8"

    def _to_sums(self) -> Iterator[str]:
        yield f"ldr r2, [sp, #{OUTPUTS}]"
        for f in range(0, self.filters, 2):
            if self.moved:
                yield f"ldr r4, [r1, #{6 * f + 8}]"
            yield from self._part(f, "r4" if self.moved else "")
        yield f"stm r2, {{{', '.join(self._sums)}}}"

    def _to_outputs(self) -> Iterator[str]:
        """The range moved up to end at 127, where SSAT clamps, and then moved to begin at 0, where USAT does."""
        assert self.range is not None
        yield from (f"mov r3, #{self.range.zero_point + 127 - self.range.high}", f"ldr r2, [sp, #{OUTPUTS}]")
        free: list[str] = ["r4", "r5", "r0", *SUMS[self.filters :]]
        size = 3 if self.moved else 2
        done = 0
        while done < self.filters:
            twos = min(len(free) // size, (self.filters - done) // 2)
            yield from _next_words(free[: size * twos])
            for i in range(twos):
                yield from self._two_outputs(done + 2 * i, free[size * i : size * (i + 1)])
            free += SUMS[done : done + 2 * twos]
            done += 2 * twos
        if self.blocks > 1:
            yield from (f"str r2, [sp, #{OUTPUTS}]", f"ldr r4, [sp, #{END}]", f"ldr r0, [sp, #{INPUTS}]")
            yield from ("cmp r1, r4", "bne 1b")

    def _two_outputs(self, f: int, constants: Sequence[str]) -> Iterator[str]:
        yield from self._part(f, *constants[2:])
        for g, multiplier in zip((f, f + 1), constants[:2], strict=True):
            if self.odd and g == self.filters - 1:
                return
            yield f"smmlar {SUMS[g]}, {SUMS[g]}, {multiplier}, r3"
            yield from self._clamped(SUMS[g])
            moves = "!" if g == self.filters - 1 else ""
            yield f"strb {SUMS[g]}, [r2, #{g + 1}]{moves}"

    def _clamped(self, register: str) -> Iterator[str]:
        assert self.range is not None
        low, high = self.range.low, self.range.high
        yield f"ssat {register}, #8, {register}"
        if (low, high) != (-128, 127):
            yield f"sub {register}, {register}, #{127 - high + low}"
            yield from (f"usat {register}, #8, {register}", f"add {register}, {register}, #{low}")


def _next_words(registers: Sequence[str]) -> Iterator[str]:
    """Of the stream. A load from a register that the one before it has moved may have to wait: it is moved last, with
    the first of these words, which is therefore used last."""
    yield from (f"ldr {register}, [r1, #{4 * i}]" for i, register in enumerate(registers) if i)
    yield f"ldr {registers[0]}, [r1], #{4 * len(registers)}"
