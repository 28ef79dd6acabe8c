"""Assembly for ops of two inputs that treat every value alike: eight values a turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tinycompile.backends.dsp.dual_issue import ordered
from tinycompile.backends.dsp.thumb import clamp


@dataclass(frozen=True)
class PairBlock:
    """A loop over the values of two inputs: in r0 the outputs, in r1 and r2 the inputs, in r3 the number of turns.

    Pairs of operands are in one register when an op's own instructions begin; r4 and r5 hold its constants.
    """

    low: int
    high: int
    dual: bool
    """Whether in an order for two instructions a cycle."""

    @cached_property
    def assembly(self) -> tuple[str, ...]:
        return ordered(self._assembly(), self.dual)

    def _assembly(self) -> Iterator[str]:
        yield from (".balign 4", "1:")
        yield from ("ldr r7, [r1, #4]", "ldr r6, [r1], #8", "ldr r9, [r2, #4]", "ldr r8, [r2], #8")
        yield from self._word("r6", "r8", 0)
        yield from self._word("r7", "r9", 4)
        yield from ("subs r3, r3, #1", "add r0, r0, #8", "bne 1b")

    def _word(self, a: str, b: str, offset: int) -> Iterator[str]:
        """Four values from a word of each input."""
        yield from (f"pkhbt r10, {a}, {b}, lsl #16", f"pkhtb {a}, {b}, {a}, asr #16")
        yield from (f"sxtb16 {b}, r10", "sxtb16 r10, r10, ror #8", f"sxtb16 r11, {a}", f"sxtb16 {a}, {a}, ror #8")
        values = (b, "r10", "r11", a)
        for value in values:
            yield from self.combine(value)
        for i, value in enumerate(values):
            yield from self.finish(value)
            yield from clamp(value, self.low, self.high)
            yield f"strb {value}, [r0, #{offset + i}]"

    def combine(self, value: str) -> Iterator[str]:
        """A pair of operands to their sum or product."""
        raise NotImplementedError

    def finish(self, value: str) -> Iterator[str]:
        """That to int8."""
        raise NotImplementedError


@dataclass(frozen=True)
class SumBlock(PairBlock):
    """Both operands times their multipliers (r4), plus a constant (r5), shifted."""

    shift: int

    def combine(self, value: str) -> Iterator[str]:
        yield f"smlad {value}, {value}, r4, r5"

    def finish(self, value: str) -> Iterator[str]:
        yield f"ssat {value}, #8, {value}" + (f", asr #{self.shift}" if self.shift else "")


@dataclass(frozen=True)
class ProductBlock(PairBlock):
    """Both operands less their zero points (a pair in r5), multiplied; that times the multiplier (r4)."""

    zero_points: bool
    """Whether one of the operands has a zero point."""
    zero_point: int
    """Of the outputs."""

    def _assembly(self) -> Iterator[str]:
        yield f"mov r12, #{self.zero_point}"
        yield from super()._assembly()

    def combine(self, value: str) -> Iterator[str]:
        if self.zero_points:
            yield f"ssub16 {value}, {value}, r5"
        yield f"smulbt {value}, {value}, {value}"

    def finish(self, value: str) -> Iterator[str]:
        yield f"smmlar {value}, {value}, r4, r12"
        yield f"ssat {value}, #8, {value}"


def table_loop(dual: bool) -> tuple[str, ...]:
    """Look-ups of eight bytes a turn: in r0 the outputs, in r1 the inputs, in r2 the table, in r3 the turns."""
    lines = [".balign 4", "1:", "ldr r5, [r1, #4]", "ldr r4, [r1], #8"]
    bytes_of = {"r4": ("r6", "r7", "r8", "r4"), "r5": ("r9", "r10", "r11", "r5")}
    for word, (a, b, c, d) in bytes_of.items():
        lines += [
            f"uxtb {a}, {word}",
            f"ubfx {b}, {word}, #8, #8",
            f"ubfx {c}, {word}, #16, #8",
            f"lsr {d}, {word}, #24",
        ]
    values = [register for registers in bytes_of.values() for register in registers]
    lines += [f"ldrb {register}, [r2, {register}]" for register in values]
    lines += [f"strb {register}, [r0, #{i}]" for i, register in enumerate(values)]
    lines += ["subs r3, r3, #1", "add r0, r0, #8", "bne 1b"]
    return ordered(lines, dual)


@dataclass(frozen=True)
class RoundedTerm:
    """One operand of TensorFlow Lite's sum: its difference from the zero point, times 2**19 or a multiplier."""

    zero_point: int
    right: int
    """Bits to the right after the high multiply; 0: there is none, the multiplier being a half."""


@dataclass(frozen=True)
class RoundedSumBlock:
    """TensorFlow Lite's sum of two inputs, four values a turn: in r0 the outputs, in r1 and r2 the inputs, in r3 the
    number of turns; in r4 and r5 the multipliers of the operands, in r7 that of the sum, in r9 half a step of the
    output's shift with the zero point in front.

    SMMULR of twice a number is the doubling high multiply; all numbers here leave room for the doubling. Half a step
    less one for negative numbers, then the shift: that rounds halves away from zero.
    """

    terms: tuple[RoundedTerm, RoundedTerm]
    minus: bool
    """Whether the second operand is subtracted."""
    right: int
    low: int
    high: int
    dual: bool

    @cached_property
    def assembly(self) -> tuple[str, ...]:
        return ordered(self._assembly(), self.dual)

    def _assembly(self) -> Iterator[str]:
        yield from (".balign 4", "1:", "ldr r6, [r1], #4", "ldr r8, [r2], #4")
        for lane in range(4):
            first, second = ("r10", "r11") if lane % 2 == 0 else ("r12", "lr")
            yield from self._term(first, "r6", lane, self.terms[0], "r4")
            yield from self._term(second, "r8", lane, self.terms[1], "r5")
            yield f"{'sub' if self.minus else 'add'} {first}, {first}, {second}"
            yield f"lsl {first}, {first}, #1"
            yield f"smmulr {first}, {first}, r7"
            yield f"add {first}, {first}, {first}, asr #31"
            yield f"add {first}, {first}, r9"
            yield f"ssat {first}, #8, {first}, asr #{self.right}"
            yield from clamp(first, self.low, self.high)
            yield f"strb {first}, [r0, #{lane}]"
        yield from ("subs r3, r3, #1", "add r0, r0, #4", "bne 1b")

    @staticmethod
    def _term(to: str, word: str, lane: int, term: RoundedTerm, multiplier: str) -> Iterator[str]:
        """A byte of a word as TensorFlow Lite scales it before the sum."""
        left = 21 if term.right else 19
        yield f"sbfx {to}, {word}, #{8 * lane}, #8"
        if term.zero_point:
            yield f"sub {to}, {to}, #{term.zero_point}"
        yield f"lsl {to}, {to}, #{left}"
        if term.right:
            yield f"smmulr {to}, {to}, {multiplier}"
            yield f"add {to}, {to}, {to}, asr #31"
            yield f"add {to}, {to}, #{1 << term.right >> 1}"
            yield f"asr {to}, {to}, #{term.right}"
