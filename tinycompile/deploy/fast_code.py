"""Which functions run from a memory without wait states: the busiest layers, for as many bytes as it has.

Start-up code copies them there. On chips whose flash is slower than the core that saves the misses of a small
instruction cache; in emulators, which know no wait states, nothing changes but the jumps between the memories.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tinycompile.deploy.image import Image
from tinycompile.deploy.stack import callees

SECTION = ".fast_code"
"""The section of the functions that are copied."""
_WORD = 4


@dataclass(frozen=True)
class FastCode:
    """The functions that run from ``region``, and the bytes that they take there, long jumps and gaps included."""

    region: str
    bytes: int
    functions: tuple[str, ...]


def chosen(image: Image, heat: Mapping[str, float], room: int, fixed: Collection[str] = frozenset()) -> tuple[str, ...]:
    """The functions to copy, for about ``room`` bytes of them; none of those that are ``fixed`` where they are.

    ``heat`` tells predicted cycles by function. Those with the most cycles per byte come first, each together with
    all that it calls, so that no inner loop crosses from one memory to the other; what does not fit is left out.
    """
    functions = (s for s in image.symbols if s.is_function and s.size and s.name not in fixed)
    sizes = {s.name: -(-s.size // _WORD) * _WORD for s in functions}
    hot = sorted((name for name in heat if sizes.get(name)), key=lambda name: -heat[name] / sizes[name])
    called = callees(image, hot)
    taken: list[str] = []
    for name in hot:
        more = [other for other in (name, *sorted(called[name])) if other in sizes and other not in taken]
        bytes_more = sum(sizes[other] for other in more)
        if bytes_more <= room:
            taken += more
            room -= bytes_more
    return tuple(taken)


def copied(image: Image) -> frozenset[str]:
    """The functions of a linked image that are copied."""
    section = image.section(SECTION)
    return frozenset(s.name for s in image.symbols if s.is_function and section is not None and s.address in section)
