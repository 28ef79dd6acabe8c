"""Assembly that brings rows of four channels from NHWC int8 to int16, from a list of where those rows are.

Values lose their zero point on the way, which costs nothing (SXTAB16 instead of SXTB16): so padding is zero, and where
a product with it is left out, the sum is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tinycompile.backends.dsp.planes import MOST_UNROLLED, Pixels
from tinycompile.backends.dsp.thumb import OFFSET, add

PIXELS = ("r4", "r5", "r6", "r7", "r8", "r9")
SPARE, ZERO = "r10", "r11"
TURN = (0, 1), (2, 3), (4, 5)
"""The pixels of a turn of the loop over a long row, two a word."""
MOST_TURNS = 255
MOST_INDEX = 255
"""What a load or store can add to its base on the way."""


@dataclass(frozen=True)
class RowPlanes:
    """Rows of ``width`` pixels, ``step`` bytes apart, to column ``left`` on of rows of ``pitch`` int16 elements.

    What else is in those rows is left as it is.
    """

    left: int
    width: int
    pitch: int
    step: int

    @property
    def is_wanted(self) -> bool:
        """Whether there are pixels, and offsets that instructions can hold."""
        furthest = 6 * self.pitch + 2 * self.left + 4 * MOST_UNROLLED
        return self.width > 0 and furthest <= OFFSET and self.width <= MOST_TURNS * len(PIXELS)

    def assembly(self, to: str, pixels: str, rows: str, count: str, channel: str, zero_point: int) -> Iterator[str]:
        """Expects in ``to`` the first row of scratch, in ``rows`` a list of ``count`` pointers to pixels, in
        ``channel`` what to add to those; takes register ``pixels`` and r4 to r11."""
        less = -zero_point
        yield f"mov {ZERO}, #{less * 0x10001}" if less >= 0 else f"mvn {ZERO}, #{(-less - 1) * 0x10001}"
        yield from (".balign 4", "1:", f"ldr {pixels}, [{rows}], #4", f"add {pixels}, {pixels}, {channel}")
        words, first = self._words(), 4 * (self.left // 2)
        is_short = len(words) <= MOST_UNROLLED
        if is_short:
            yield from self._put(words, pixels, to, first)
        else:
            yield from self._long(words, pixels, to, first, count)
        yield from add(to, to, 8 * self.pitch - (0 if is_short else 4 * len(TURN) * self._turns))
        yield f"subs {count}, {count}, #1"
        yield "bne 1b"

    @property
    def _turns(self) -> int:
        return (self.width - self.left % 2) // len(PIXELS)

    def _words(self) -> list[Pixels]:
        """The pixels that share a word; None where there is none."""
        start = -(self.left % 2)
        columns = [x if 0 <= x < self.width else None for x in range(start, self.width + 1)]
        return [(columns[i], columns[i + 1]) for i in range(0, len(columns) - 1, 2)]

    def _long(self, words: Sequence[Pixels], source: str, target: str, first: int, count: str) -> Iterator[str]:
        """Six pixels at a time, in a loop whose turns are counted in the upper half of ``count``."""
        head, turns = self.left % 2, self._turns
        if head:
            yield from self._put(words[:1], source, target, first)
            yield from add(source, source, self.step)
        yield f"sub {count}, {count}, #{turns << 16}"
        yield from (".balign 4", "2:")
        yield from self._put(TURN, source, target, first + 4 * head, len(PIXELS) * self.step)
        yield from (f"add {target}, {target}, #{4 * len(TURN)}", f"adds {count}, {count}, #65536", "bmi 2b")
        base = head + len(PIXELS) * turns
        tail = [tuple(None if x is None else x - base for x in word) for word in words[head + len(TURN) * turns :]]
        yield from self._put(tail, source, target, first + 4 * head)

    def _put(self, words: Sequence[Pixels], source: str, target: str, offset: int, advance: int = 0) -> Iterator[str]:
        """Words of each of the four rows, as many at a time as pixels find a register."""
        ends = [0]
        for i in range(1, len(words) + 1):
            if i == len(words) or _count(words[ends[-1] : i + 1]) > len(PIXELS):
                ends.append(i)
        for start, end in pairwise(ends):
            names = iter(PIXELS)
            held = {x: next(names) for word in words[start:end] for x in word if x is not None}
            for pixel in sorted(held, reverse=True):
                far, near = pixel * self.step // (OFFSET + 1) * (OFFSET + 1), pixel * self.step % (OFFSET + 1)
                if far:
                    yield f"add {SPARE}, {source}, #{far}"
                moves = advance and pixel == 0 and advance <= MOST_INDEX
                base = SPARE if far else source
                yield f"ldr {held[pixel]}, [{base}" + (f"], #{advance}" if moves else f", #{near}]")
            if advance > MOST_INDEX:
                yield from add(source, source, advance)
            spare = SPARE
            for i, (first, second) in enumerate(words[start:end]):
                place = offset + 4 * (start + i)
                if first is not None and second is not None:
                    yield from self._pair(held[first], held[second], spare, target, place)
                elif first is not None:
                    yield from self._half(held[first], spare, target, place)
                elif second is not None:
                    yield from self._half(held[second], spare, target, place + 2)
                # by turns another register than before, for cores that begin with a word before they end the last one
                spare = held[second] if spare == SPARE and second is not None else SPARE

    def _pair(self, a: str, b: str, spare: str, target: str, offset: int) -> Iterator[str]:
        """The bytes of two pixels as int16 pairs, stores between what they do not wait for."""
        yield f"pkhbt {spare}, {a}, {b}, lsl #16"
        yield f"pkhtb {a}, {b}, {a}, asr #16"
        yield f"sxtab16 {b}, {ZERO}, {spare}"
        yield f"sxtab16 {spare}, {ZERO}, {spare}, ror #8"
        yield f"str {b}, [{target}, #{offset}]"
        yield f"sxtab16 {b}, {ZERO}, {a}"
        yield f"str {spare}, [{target}, #{offset + 2 * self.pitch}]"
        yield f"sxtab16 {a}, {ZERO}, {a}, ror #8"
        yield f"str {b}, [{target}, #{offset + 4 * self.pitch}]"
        yield f"str {a}, [{target}, #{offset + 6 * self.pitch}]"

    def _half(self, a: str, spare: str, target: str, offset: int) -> Iterator[str]:
        """The bytes of one pixel as int16, beside another column that stays as it is."""
        for channel in reversed(range(4)):
            to = spare if channel else a
            yield f"sxtab {to}, {ZERO}, {a}" + (f", ror #{8 * channel}" if channel else "")
            yield f"strh {to}, [{target}, #{offset + 2 * channel * self.pitch}]"


def _count(words: Sequence[Pixels]) -> int:
    return sum(x is not None for word in words for x in word)
