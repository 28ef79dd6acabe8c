"""The parameters with which MVE kernels turn sums into outputs, four lanes at a time."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array
from tinycompile.numerics import Requantizer


def parameters(bias: Array, rq: Requantizer) -> Array:
    """int32[vectors, O]: what each output needs, in the order in which kernels read vectors of it."""
    multiplier, shift = np.broadcast_to(rq.multiplier, len(bias)), np.broadcast_to(rq.shift, len(bias))
    if rq.scheme == "native":
        found = [bias, multiplier]
    elif rq.scheme == "single":  # a shift counts from bit 31 of the product, the instruction from its high word
        found = [bias, multiplier, shift + 1]
    else:
        lefts = [np.maximum(shift, 0)] if left(rq) else []
        found = [bias, *lefts, multiplier, np.minimum(shift, 0)]
    return np.stack(found).astype(np.int32)


def vectors(rq: Requantizer) -> int:
    """How many parameters an output has."""
    return {"native": 2, "single": 3, "double": 3 + left(rq)}[rq.scheme]


def left(rq: Requantizer) -> int:
    """Native: the shift of all sums to the left. Double: 1 where some sum has one of its own."""
    return int(rq.shift[0]) if rq.scheme == "native" else int(rq.scheme == "double" and rq.shift.max() > 0)


def is_exact(rq: Requantizer) -> bool:
    """Whether MVE has the scheme: one rounding only where all products fall by bits beyond the high word."""
    return rq.scheme != "single" or int(rq.shift.max()) <= -2


def as_bytes(words: Array) -> Array:
    """int8: int32 values as they lie in memory."""
    return np.ascontiguousarray(words).astype("<i4").view(np.int8).ravel()
