"""Weights in groups of four, so that products of a group, or of pairs in it, add up within int16.

Where a group's weights are too large for all four products together, its inner block takes two at a time (narrow), or
the group has smaller weights and the filter a list of what is missing (fixes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import IO, Array

LARGEST = 255
"""Sum of weights' magnitudes whose products with any int8 values add up within int16: 128 * 255 < 2**15."""
MOST_FIXES = 0.18
"""Share of groups with fixes from which on narrow is faster: a fix takes 27 cycles, a narrow group 6 more."""
WORD = 4
MOST_GROUPS = 2**16 // (WORD * 8) - 1
"""Groups within reach of a fix, with up to 8 words a group."""


def grouped(io: IO) -> Array:
    """int16[O, groups, 4]: the weights with zeros behind the last."""
    w = io.inputs[1].values
    matrix = w.reshape(w.shape[0], -1).astype(np.int16)
    padded = np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % 4)))
    return padded.reshape(len(matrix), -1, 4)


def pairs_fit(io: IO) -> bool:
    """Whether the two products that one multiply makes add up within int16: all but two of -128."""
    w = np.abs(grouped(io))
    return int((w[..., :2] + w[..., 2:]).max()) <= LARGEST


@dataclass(frozen=True, eq=False)
class Groups:
    """``weights``: int16[O, groups, 4]; ``missing``: int16[O, groups, 2], what the first two of each group lack;
    ``wide``: whether all four products of every group add up within int16."""

    weights: Array
    missing: Array
    wide: bool

    @property
    def fixed(self) -> bool:
        """Whether anything is missing."""
        return bool(self.missing.any())

    def words(self) -> Array:
        """uint32[O, groups]: w2, w3, w0, w1 of each group as bytes, plus 128."""
        moved = (self.weights[..., [2, 3, 0, 1]] + 128).astype(np.uint8, order="C")
        return np.asarray(moved.view("<u4")[..., 0])

    def fixes(self, size: int, each: int = WORD) -> list[Array]:
        """Of each filter, uint32: the number of fixes, then of each its weight in the low half, and in the high half
        its place in bytes below the end of the inputs, ``size`` words a group, ``each`` bytes an input. Nothing where
        no filter has any."""
        if not self.fixed:
            return [np.zeros(0, np.uint32)] * len(self.missing)
        return [_fixes(missing, size, each) for missing in self.missing]


def _fixes(missing: Array, size: int, each: int) -> Array:
    groups, index = np.nonzero(missing)
    places = WORD * size * (len(missing) - groups) - each * index
    words = places << 16 | missing[groups, index].astype(np.int64) & 0xFFFF
    return np.concatenate([[len(groups)], words]).astype(np.uint32)


def groups_of_weights(io: IO) -> Groups:
    """The weights of an op with ``pairs_fit``; wide where that is faster."""
    w = grouped(io)
    size = np.abs(w)
    excess = np.maximum(size.sum(axis=2) - LARGEST, 0)
    none = np.zeros_like(w[..., :2])
    too_far = excess.any() and w.shape[1] > MOST_GROUPS
    if too_far or (size[..., 2:].sum(axis=2) > LARGEST).any() or (excess > 0).mean() > MOST_FIXES:
        return Groups(w, none, wide=False)
    first = np.minimum(excess, size[..., 0])
    missing = np.sign(w[..., :2]) * np.stack([first, excess - first], axis=2)
    smaller = np.concatenate([w[..., :2] - missing, w[..., 2:]], axis=2)
    return Groups(smaller.astype(np.int16), missing.astype(np.int16), wide=True)
