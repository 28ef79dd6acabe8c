"""Assembly that brings rows of four channels from NHWC int8 to int16, one channel beside the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tinycompile.backends.dsp.dual_issue import dual_issue
from tinycompile.backends.dsp.thumb import OFFSET, add

Pixels = tuple[int | None, ...]
"""The two pixels that share a word."""
MOST_UNROLLED = 8
"""Words of a row that need no loop."""


@dataclass(frozen=True)
class PlaneRows:
    """Rows of ``width`` pixels, ``step`` bytes apart, from column ``left`` of rows of ``pitch`` int16 elements on.

    What else is in their first and last word becomes the zero point.
    """

    left: int
    width: int
    pitch: int
    step: int
    dual: bool = False
    """Whether in an order for two instructions a cycle."""

    @property
    def first(self) -> int:
        """The element of a row where its first word lies."""
        return self.left // 2 * 2

    @property
    def is_wanted(self) -> bool:
        """Whether there are pixels, and offsets that instructions can hold."""
        return self.width > 0 and max(6 * self.pitch + 4 * MOST_UNROLLED, 4 * self.step) <= OFFSET

    @cached_property
    def assembly(self) -> tuple[str, ...]:
        """Expects in r0 the first word of the first row, in r1 its pixels, in r2 bytes from one row of pixels to the
        next, in r3 the number of rows, in r4 the zero point four times."""
        return dual_issue(tuple(self._assembly())) if self.dual else tuple(self._assembly())

    def _assembly(self) -> Iterator[str]:
        yield "1:"
        words = self._words()
        if len(words) <= MOST_UNROLLED and (self.width - 1) * self.step <= OFFSET:
            for i in range(0, len(words), 2):
                yield from self._put(words[i : i + 2], "r1", "r0", 4 * i)
        else:
            yield from self._long(words)
        yield "subs r3, r3, #1"
        yield from add("r0", "r0", 8 * self.pitch)
        yield "add r1, r1, r2"
        yield "bne 1b"

    def _words(self) -> list[Pixels]:
        """The pixels that share a word; None is the zero point."""
        start = -(self.left % 2)
        columns = [x if 0 <= x < self.width else None for x in range(start, self.width + 1)]
        return [(columns[i], columns[i + 1]) for i in range(0, len(columns) - 1, 2)]

    def _long(self, words: list[Pixels]) -> Iterator[str]:
        """Four pixels at a time, in a loop."""
        head = self.left % 2
        turns = (self.width - head) // 4
        yield from ("mov r11, r1", "mov r12, r0")
        if head:
            yield from self._put(words[:1], "r11", "r12", 0)
            yield from (*add("r11", "r11", self.step), "add r12, r12, #4")
        yield f"mov r10, #{turns}"
        yield from (".balign 4", "2:")
        yield from self._put([(0, 1), (2, 3)], "r11", "r12", 0, advance=4 * self.step)
        yield from ("subs r10, r10, #1", "add r12, r12, #8", "bne 2b")
        base = head + 4 * turns
        tail = [tuple(None if x is None else x - base for x in word) for word in words[head + 2 * turns :]]
        yield from self._put(tail, "r11", "r12", 0)

    def _put(self, words: list[Pixels], source: str, target: str, offset: int, advance: int = 0) -> Iterator[str]:
        """Up to two words of each of the four rows."""
        names = [["r5", "r6"], ["r7", "r8"]]
        for pixels, registers in zip(words, names, strict=False):
            for i, pixel in enumerate(pixels):
                if pixel is None:
                    registers[i] = "r4"
                else:
                    yield f"ldr {registers[i]}, [{source}, #{pixel * self.step}]"
        if advance:
            yield from add(source, source, advance)
        for i in range(len(words)):
            yield from self._spread(names[i][0], names[i][1], target, offset + 4 * i)

    def _spread(self, a: str, b: str, target: str, offset: int) -> Iterator[str]:
        """The bytes of two pixels as int16 pairs, stores between what they do not wait for."""
        high = b if a == "r4" else a
        yield f"pkhbt r9, {a}, {b}, lsl #16"
        yield f"pkhtb {high}, {b}, {a}, asr #16"
        yield "sxtb16 lr, r9"
        yield "sxtb16 r9, r9, ror #8"
        yield f"str lr, [{target}, #{offset}]"
        yield f"sxtb16 lr, {high}"
        yield f"str r9, [{target}, #{offset + 2 * self.pitch}]"
        yield f"sxtb16 {high}, {high}, ror #8"
        yield f"str lr, [{target}, #{offset + 4 * self.pitch}]"
        yield f"str {high}, [{target}, #{offset + 6 * self.pitch}]"
