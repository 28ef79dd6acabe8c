"""Thumb-2 assembly as lines of text: what several blocks share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

REGISTERS = tuple(f"r{i}" for i in range(13))
OFFSET = 4095
"""The largest offset of a load or store, and the largest number that an instruction adds."""


def add(to: str, register: str, number: int) -> Iterator[str]:
    """``to = register + number``, in as many instructions as the number (below 2**24) takes."""
    if number % 4096 or (number == 0 and to != register):
        yield f"add {to}, {register}, #{number % 4096}"
        register = to
    if number >= 4096:
        yield f"add {to}, {register}, #{number // 4096 * 4096}"


def lines_for_gcc(lines: Sequence[str], times: int) -> str:
    """Empty lines in place of those that ``.rept``, ``.irp`` or a macro repeats.

    GCC takes each line of inline assembly for an instruction, and no directive for more than one: by that it judges
    how far loads are from the constants that it puts among the code.
    """
    return "\\n" * (len(lines) * times)


def clamp(register: str, low: int, high: int) -> Iterator[str]:
    """A value in int8 to within ``low .. high``."""
    if low > -128:
        yield from (f"cmp {register}, #{low}", "it lt", f"movlt {register}, #{low}")
    if high < 127:
        yield from (f"cmp {register}, #{high}", "it gt", f"movgt {register}, #{high}")
