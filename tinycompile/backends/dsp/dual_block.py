"""Blocks of four filters by two pixels on a Cortex-M7, which multiplies and does something else in each cycle.

Each register is loaded again as soon as it is free: a block begins with its first operands loaded, by the end of the
block before it, so the stream has ``AHEAD`` words behind the last block's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tinycompile.backends.dsp.dual_issue import dual_issue
from tinycompile.backends.dsp.ending import SUMS, Ending
from tinycompile.backends.dsp.thumb import lines_for_gcc

AHEAD = 5
"""Words of the stream that are loaded ahead: the start values and the first word of weights."""


@dataclass(frozen=True)
class DualBlock:
    """``plan``: pairs of inputs = once + times * unroll. Without an ending it is for sums that are left in registers.

    Registers: r0 pairs of inputs, r1 stream, sums as in ``Ending``.
    """

    pairs: int
    plan: Mapping[str, int]
    mixed: bool
    ending: Ending | None

    @property
    def assembly(self) -> tuple[str, ...]:
        return tuple(self._assembly())

    def _assembly(self) -> Iterator[str]:
        once, unroll, times = (self.plan[name] for name in ("once", "unroll", "times"))
        if times:
            yield from (f"movw r4, #{8 * self.pairs}", "add r4, r0", "push {r0, r4}")
        stream = _Stream()
        yield from dual_issue((*self._begin(stream), *stream.moved()))
        yield from (".p2align 2", "1:")
        if times:
            yield from self._steps(once, first=True, more=True)
            yield from (f"add r0, r0, #{8 * once}", ".p2align 2", "2:")
            yield from self._steps(unroll - 1, first=False, more=True)
            yield from dual_issue(self._turn(8 * unroll))
            yield "bne 2b"
            yield from self._end(())
        else:
            yield from self._steps(once - 1, first=True, more=True)
            stream = _Stream()
            yield from self._end(self._step(8 * (once - 1), first=once == 1, more=False, stream=stream), stream)
        if times:
            yield "add sp, #8"

    def _begin(self, stream: _Stream) -> Iterator[str]:
        """Loads the first operands."""
        yield from (stream.load(SUMS[2 * f + 1]) for f in range(4))
        yield from (stream.load("r4"), "ldr r2, [r0]", "ldr r3, [r0, #4]")

    def _end(self, before: Iterator[str] | tuple[()], stream: _Stream | None = None) -> Iterator[str]:
        """After the last pairs, or with them: to outputs, and on to the next block."""
        if self.ending is None:
            yield from before
            return
        lines = list(before)
        stream = stream or _Stream(-1)
        lines += self.ending.lines(stream.at, loaded=stream.at < 0)
        following = _Stream(stream.at + 4)
        lines += self._begin(following)
        lines += following.moved()
        lines.append(f"cmp r1, {self.ending.last}")
        yield from dual_issue(lines)
        yield "bne 1b"

    def _steps(self, count: int, *, first: bool, more: bool) -> Iterator[str]:
        if first and count:
            yield from self._step(0, first=True, more=more)
        if count > first:
            yield f".irp at, {', '.join(str(8 * i) for i in range(first, count))}"
            step = list(self._step("\\\\at", first=False, more=more))
            yield from (*step, ".endr")
            yield lines_for_gcc(step, count - first)

    def _step(self, at: int | str, *, first: bool, more: bool, stream: _Stream | None = None) -> Iterator[str]:
        """A pair of inputs. Mixed filters first meet the pixels as they are, then the first filter of them alone."""
        load = stream.load if stream else _next
        if self.mixed:
            yield from self._pixels(1, "r4", first, (load("r5"),))
            yield "sxtb16 r4, r4"
            yield from self._pixels(0, "r4", first)
            yield from (load("r4"),) if more else ()
            yield from self._pixels(3, "r5", first)
            yield "sxtb16 r5, r5"
        else:
            yield from self._pixels(0, "r4", first, (load("r5"),))
            yield load("r4")
            yield from self._pixels(1, "r5", first)
            yield load("r5")
            yield from self._pixels(2, "r4", first)
            yield from (load("r4"),) if more else ()
        yield from self._pixels(
            2 if self.mixed else 3, "r5", first, *((f"ldr r{2 + j}, [r0, #{at} + {8 + 4 * j}]",) * more for j in (0, 1))
        )

    def _turn(self, bytes_: int) -> Iterator[str]:
        """The last pair of a turn, which tells whether it was the last one of all. What is loaded then lies behind."""
        lines = list(self._step(-8, first=False, more=True))
        place = lines.index(_next("r4"), 0 if self.mixed else lines.index(_next("r4")) + 1)
        yield from (f"add r0, r0, #{bytes_}", *lines[:place], "ldr r4, [sp, #4]", "cmp r0, r4", *lines[place:])

    def _pixels(self, f: int, word: str, first: bool, *then: tuple[str, ...]) -> Iterator[str]:
        """A filter by both pixels; ``then``: after each of them."""
        for j in (0, 1):
            yield f"smlad {SUMS[2 * f + j]}, {word}, r{2 + j}, {SUMS[2 * f + (1 if first else j)]}"
            yield from then[j] if j < len(then) else ()


class _Stream:
    """Loads relative to where r1 is, ``at`` words before the next one, which it has to be moved by."""

    def __init__(self, at: int = 0) -> None:
        self.at = at

    def load(self, register: str) -> str:
        self.at += 1
        return f"ldr {register}, [r1, #{4 * self.at - 4}]"

    def moved(self) -> tuple[str]:
        return (f"add r1, r1, #{4 * self.at}",)


def _next(register: str) -> str:
    return f"ldr {register}, [r1], #4"
