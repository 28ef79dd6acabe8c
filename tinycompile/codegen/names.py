"""C identifiers for models, layers and constants."""

from __future__ import annotations

import keyword
import re

WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if inline int long "
    "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
    "asm bool catch class delete explicit export false friend mutable namespace new operator private protected "
    "public template this throw true try typeid typename using virtual main tc"
)
RESERVED = frozenset(WORDS.split())
"""Words that C, C++ or our own runtime has taken."""


def identifier(text: str, fallback: str = "model") -> str:
    """A lower-case C and C++ identifier that resembles ``text``."""
    words = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")
    words = words[:48].strip("_") or fallback
    if words[0].isdigit() or words in RESERVED or keyword.iskeyword(words):
        words = f"m_{words}"
    return words


def snake(camel: str) -> str:
    """``MaxPool2D`` to ``max_pool_2d``."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Z][a-z])", "_", camel)
    return spaced.lower()


def comment_text(text: str) -> str:
    """``text`` as it may stand in a C comment: on one line, and neither ending it nor seeming to begin another."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split()).replace("*/", "* /").replace("/*", "/ *")


def bank_name(index: int) -> str:
    """The pointer to a part of the arena: ``arena``, ``arena1``, and so on."""
    return f"arena{index or ''}"


def bank_symbols(count: int) -> tuple[str, ...]:
    """What the firmware calls the parts of an arena of so many."""
    return tuple(f"tc_{bank_name(index)}" for index in range(count))
