"""Native requantisation without a long multiply: constants of each channel, and a shift that holds for all.

The output is (sum * M + C) >> 32 with C = bias * M + 2**31 + (zero point - low) * 2**32, clamped to 0 .. high - low,
plus low. With M = Mh * 2**s + Ml and C alike, it equals (sum * Mh + ((sum * Ml + Cl) >> s) + Ch) >> (32 - s), exactly.
Which s keeps every product in a word follows from the largest sum; where none does, sum * Ml is made in two steps
(256 * a + b, where b is the low byte).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinycompile.ir import Array
from tinycompile.numerics import Int, Requantizer

SHORTEST, LONGEST = 9, 23
"""Shifts that are tried; at the longest, 255 * Ml + Cl still fits in 32 bits without sign."""


@dataclass(frozen=True, eq=False)
class Scale:
    """``words``: uint32[O, 4], Ml, Mh, Cl, Ch of each channel; ``kind``: whether sum * Ml is one product."""

    kind: Literal["SHORT", "LONG"]
    shift: int
    words: Array


def native_scale(rq: Requantizer, bias: Array, largest: Int) -> Scale | None:
    """The scale of sums of at most ``largest`` (int64[O]) in magnitude; None for other schemes, or where words are
    too small for it."""
    if rq.scheme != "native" or int(rq.shift[0]):
        return None
    m = [int(v) for v in np.broadcast_to(rq.multiplier, bias.shape)]
    c = [int(b) * v + (1 << 31) + ((rq.zero_point - rq.low) << 32) for b, v in zip(bias, m, strict=True)]
    bounds = [int(v) for v in largest]
    for kind, fits in (("SHORT", _fits_short), ("LONG", _fits_long)):
        for s in range(SHORTEST, LONGEST + 1):
            if all(_fits_sum(*v, s) and fits(v[0], v[2], s) for v in zip(m, c, bounds, strict=True)):
                return Scale("SHORT" if kind == "SHORT" else "LONG", s, _words(m, c, s))
    return None


def _fits_sum(m: int, c: int, bound: int, s: int) -> bool:
    """Whether the last sum before the last shift is an int32."""
    return bound * abs(m) + abs(c) < 1 << (31 + s)


def _fits_short(m: int, bound: int, s: int) -> bool:
    return bound * (m % (1 << s)) + (1 << s) < 1 << 31


def _fits_long(m: int, bound: int, s: int) -> bool:
    return (bound // 256 + 2) * (m % (1 << s)) + (1 << s) < 1 << 31


def _words(m: list[int], c: list[int], s: int) -> Array:
    rows = [(v % (1 << s), v >> s, k % (1 << s), k >> s) for v, k in zip(m, c, strict=True)]
    return np.array([[v % (1 << 32) for v in row] for row in rows], np.uint32)
