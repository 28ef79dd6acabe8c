"""Compare two stages' outputs to the last bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinycompile.errors import Mismatch
from tinycompile.ir import Array


def compare(left: Mapping[str, Array], right: Mapping[str, Array], *, names: tuple[str, str]) -> None:
    """Raise Mismatch at the first tensor, index and pair of values that differ; ``names`` are the stages'."""
    for tensor, a in left.items():
        b = right[tensor]
        if a.shape != b.shape or a.dtype != b.dtype:
            raise Mismatch(f"{names[0]} has {a.dtype}{a.shape}, {names[1]} has {b.dtype}{b.shape}", where=tensor)
        different = np.argwhere(a != b)
        if different.size:
            at = tuple(int(i) for i in different[0])
            raise Mismatch(
                f"{names[0]} and {names[1]} differ in {len(different)} of {a.size} values, "
                f"first at {at}: {a[at]} and {b[at]}",
                where=tensor,
                hint="this is a bug in tinycompile: please report it with the model",
            )
