"""How a block of four filters ends: sums to outputs, one word of four for each pixel.

Every second filter arrives as 256 times its sum. The high word of that times its multiplier, not rounded, plus 128, has
the output in its upper bytes, exactly as rounding would give it: 16 bits of saturation leave it in byte 1, where it
belongs. The first filters are rounded and saturated to bytes 0 and 2. Flags choose bytes of the one and of the other
(SEL), so that nothing is moved but halves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinycompile.backends.dsp.dual_issue import ordered

SUMS = ("r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")
OUTPUTS, END, ADDEND = range(0, 12, 4)
"""Where on the stack lie: the outputs, the end of the stream, what second filters add to the high word."""
SECOND = ("mov r5, #0xff00ff00", "uadd8 r5, r5, r5")
"""Flags for SEL: bytes 1 and 3 are those of its first operand."""


@dataclass(frozen=True)
class Ending:
    """Of a block for ``pixels`` (1 or 2) of ``channels``. Sums of filter f at pixel j are in SUMS[pixels * f + j].

    Registers: r1 the multipliers; r2 .. r5 are free.
    """

    pixels: int
    channels: int
    zero_point: int
    low: int
    high: int
    mixed: bool
    """Whether the second of two sums has yet to lose the first one."""
    times_256: bool
    """Whether second sums are 256 times what they stand for."""
    narrow: bool
    """Whether outputs that are not yet saturated fit in int16."""
    loops: bool
    """Whether r0 has to be loaded again, from the top of the stack, which has two words more."""
    dual: bool
    """Whether the order has to suit a Cortex-M7."""

    @property
    def _raised(self) -> int:
        """The zero point for sums that saturation at 127 is to clamp at ``high``."""
        return self.zero_point + 127 - self.high

    @property
    def addend(self) -> int:
        """What second filters add to the high word."""
        return 256 * self._raised + 128

    @property
    def _outputs(self) -> str:
        """The register for where outputs go: a low one, which makes code short, unless r2 is needed or loaded early."""
        return "r2" if self.times_256 and not self.dual else self._sum(2, 0)

    @property
    def last(self) -> str:
        """The register that has the end of the stream."""
        return "r5" if self.dual else "r11"

    @property
    def assembly(self) -> tuple[str, ...]:
        """The lines, to where outputs and the stream have moved on and flags tell whether it has ended."""
        return ordered((*self.lines(), f"cmp r1, {self.last}"), self.dual)

    def lines(self, at: int | None = None, *, loaded: bool = False) -> Iterator[str]:
        """Outputs stored and moved on; r1 moves over the multipliers, or, where they are ``at`` words behind it, not.

        ``loaded``: r4 has the first multiplier.
        """
        base = 8 if self.loops else 0
        yield f"mov r2, #{self._raised}"
        yield self._multiplier("r5", 2, at)
        if not loaded:
            yield self._multiplier("r4", 0, at)
        if self.times_256:
            yield f"ldr r3, [sp, #{base + ADDEND}]"
        yield from self._parted()
        yield from self._firsts()
        yield from (self._multiplier("r5", 3, at), self._multiplier("r4", 1, at))
        yield f"ldr {self._outputs}, [sp, #{base + OUTPUTS}]"
        if not self.dual:
            yield f"ldr {self.last}, [sp, #{base + END}]"
        if self.loops:
            yield "ldr r0, [sp]"
        yield from self._seconds()
        yield from self._clamped()
        if self.dual:
            yield f"ldr {self.last}, [sp, #{base + END}]"
        for j in self._last_first:
            yield f"str {self._sum(0, j)}, [{self._outputs}" + (f", #{self.channels}]" if j else "], #4")
        yield f"str {self._outputs}, [sp, #{base + OUTPUTS}]"

    @staticmethod
    def _multiplier(register: str, f: int, at: int | None) -> str:
        """Loads one of four; r1 moves with the first one, and with the second one on to the end."""
        if at is not None:
            return f"ldr {register}, [r1, #{4 * (at + f)}]"
        return f"ldr {register}, [r1" + ("], #4", "], #12", ", #8]", ", #8]")[f]

    @property
    def _last_first(self) -> Sequence[int]:
        """Pixels; registers of the last one are the first to be loaded for the next block."""
        return range(self.pixels - 1, -1, -1)

    def _sum(self, f: int, j: int) -> str:
        return SUMS[self.pixels * f + j]

    def _parted(self) -> Iterator[str]:
        """Second sums without first ones."""
        for f in (0, 2) if self.mixed else ():
            for j in self._last_first:
                yield f"sub {self._sum(f + 1, j)}, {self._sum(f + 1, j)}, {self._sum(f, j)}"

    def _firsts(self) -> Iterator[str]:
        """Outputs of the first and third filter to halves."""
        for j in self._last_first:
            for f, multiplier in ((0, "r4"), (2, "r5")):
                yield f"smmlar {self._sum(f, j)}, {self._sum(f, j)}, {multiplier}, r2"
        for j in self._last_first:
            here, other = self._sum(0, j), self._sum(2, j)
            if self.narrow:
                yield from (f"pkhbt {here}, {here}, {other}, lsl #16", f"ssat16 {here}, #8, {here}")
            else:
                yield from (f"ssat {here}, #8, {here}", f"ssat {other}, #8, {other}")
                yield f"pkhbt {here}, {here}, {other}, lsl #16"

    def _seconds(self) -> Iterator[str]:
        """Outputs of the second and fourth filter to bytes 1 and 3, and all four to a word."""
        for j in self._last_first:
            for f, multiplier in ((1, "r4"), (3, "r5")):
                name, addend = ("smmla", "r3") if self.times_256 else ("smmlar", "r2")
                yield f"{name} {self._sum(f, j)}, {self._sum(f, j)}, {multiplier}, {addend}"
        for j in self._last_first:
            for here in (self._sum(1, j), self._sum(3, j)):
                if self.times_256:
                    yield f"ssat {here}, #16, {here}"
                else:
                    yield from (f"ssat {here}, #8, {here}", f"lsl {here}, {here}, #8")
        for j in self._last_first:
            second = self._sum(1, j)
            yield f"pkhbt {second}, {second}, {self._sum(3, j)}, lsl #16"
            yield f"sel {self._sum(0, j)}, {second}, {self._sum(0, j)}"

    def _clamped(self) -> Iterator[str]:
        """From -128 .. 127, the upper end of which is ``high``: down, to where saturation clamps at ``low``, and up.

        Steps beyond 127 need unsigned saturation, which is for outputs within 127 of each other.
        """
        down = 255 - (self.high - self.low)
        if down == 0:
            return
        words = [self._sum(0, j) for j in self._last_first]
        unsigned = down > 127
        up = self.low if unsigned else self.low + 128
        yield f"mov r4, {_bytes(down)}"
        if up:
            yield f"mov r5, {_bytes(up)}"
        for word in words:
            if unsigned:
                yield f"eor {word}, {word}, {_bytes(128)}"
            yield f"{'uqsub8' if unsigned else 'qsub8'} {word}, {word}, r4"
            if up:
                yield f"qadd8 {word}, {word}, r5"


def _bytes(value: int) -> str:
    """Four times the same byte."""
    return f"#{value % 256 * 0x01010101:#x}"
