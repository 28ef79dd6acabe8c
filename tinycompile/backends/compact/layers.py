"""What all rows of shared code have in common."""

from __future__ import annotations

SHARED = frozenset({"compact"})
"""What such kernels ask of a core. No board has it: the schedule adds it where code is to be small."""


def initialiser(*values: object) -> str:
    """A struct or an array in C."""
    return "{ " + ", ".join(map(str, values)) + " }"
