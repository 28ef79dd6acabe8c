"""The filters of a convolution or dense layer as a stream of words, for blocks of four filters."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

FILTERS = 4
"""Output channels of a block."""
ROOM = 1 << 23
"""Sums below this may be multiplied by 256 in int32."""


@dataclass(frozen=True, eq=False)
class Filters:
    """int64 ``weights`` (O, K), ``bias`` (O) and ``multiplier`` (O)."""

    weights: Array
    bias: Array
    multiplier: Array

    @property
    def has_room(self) -> bool:
        """Whether 256 times the sums of the second filter of each two fit in int32."""
        least, most = (sums[1::2] for sums in _extremes(self.weights, self.bias))
        return bool((most < ROOM).all() and (least >= -ROOM).all())

    def second_times_256(self) -> Filters:
        """The second filter of each two, and its bias, 256 times as large; halves of words hold that."""
        factor = np.where(np.arange(len(self.bias)) % 2, 256, 1)
        return Filters(self.weights * factor[:, None], self.bias * factor, self.multiplier)

    @property
    def scaled_extent(self) -> float:
        """What no sum times its multiplier exceeds."""
        least, most = _extremes(self.weights, self.bias)
        return float((np.maximum(-least, most) * self.multiplier.astype(np.float64)).max() / (1 << 32))

    @property
    def can_mix(self) -> bool:
        """Whether the second filter of each two can be kept as 256 times itself plus the first one.

        Halves of words must hold the mixed weights, and the second filter's sums must have room, so that the
        difference of the two sums tells them exactly.
        """
        count = len(self.weights) // 2 * 2
        first, second = self.weights[0:count:2], self.weights[1:count:2]
        halves_fit = (256 * second + first >= -(1 << 15)).all()
        return bool(halves_fit and self.has_room)


def is_fused(op: Conv2D | Dense, io: IO) -> bool:
    """Whether requantising takes a multiplier and the zero point alone."""
    rq = op.parameters(io)["requantizer"]
    return bool(rq.scheme == "native" and rq.shift[0] == 0)


def filters(op: Conv2D | Dense, io: IO) -> Filters:
    """Those of an op without zero point of the weights."""
    p = op.parameters(io)
    requantizer, channels = p["requantizer"], io.out.channels
    weights = io.inputs[1].values.astype(np.int64).reshape(channels, -1)
    multiplier = np.broadcast_to(requantizer.multiplier, channels).astype(np.int64)
    these = Filters(weights, p["bias"].astype(np.int64), multiplier)
    return _settled(these, requantizer) if requantizer.per_channel and is_fused(op, io) else these


def _extremes(weights: Array, bias: Array) -> tuple[Array, Array]:
    """The least and the largest sum of each filter over int8 inputs."""
    low, high = -128 * weights, 127 * weights
    return bias + np.minimum(low, high).sum(axis=1), bias + np.maximum(low, high).sum(axis=1)


def _settled(these: Filters, requantizer: Any) -> Filters:
    """Filters whose output is the same for all inputs become a bias: their scale, and with it their bias, is often
    out of all proportion.

    4 v times 2**30 has the high word v.
    """
    least, most = _extremes(these.weights, these.bias)
    outputs = requantizer(least).astype(np.int64)
    same = outputs == requantizer(most)
    return Filters(
        np.where(same[:, None], 0, these.weights),
        np.where(same, 4 * (outputs - requantizer.zero_point), these.bias),
        np.where(same, 1 << 30, these.multiplier),
    )


def order(run: int, runs: int) -> Array:
    """int64[pairs, 2]: which weights of a filter meet each pair of its inputs, which come in ``runs``; -1: none.

    As tc_blocks.h makes the pairs: of each run those of whole words and what is left, odd ones after all runs.
    """
    whole, left = run // 4 * 4, run % 4
    pairs = [(i + a, i + a + 2) for i in range(0, whole, 4) for a in (0, 1)]
    pairs += [(whole, whole + left - 1)] if left >= 2 else []
    found = [(r * run + a, r * run + b) for r in range(runs) for a, b in pairs]
    odd = [r * run + (run - 2 if left == 3 else run - 1) for r in range(runs)] if run % 2 else []
    odd += [-1] * (len(odd) % 2)
    return np.array([*found, *zip(odd[::2], odd[1::2], strict=True)])


def pair_count(run: int, runs: int) -> int:
    """The length of ``order``."""
    return runs * (run // 2) + (runs * (run % 2) + 1) // 2


def block_words(pairs: int, mixed: bool) -> int:
    """Words of the stream for four filters."""
    return (2 if mixed else 4) * pairs + 8


def stream(these: Filters, pairs: Array, mixed: bool) -> Array:
    """int32: for each four filters four start values, words of weights for each of ``pairs``, four multipliers.

    A word has the weights of a filter as int16 for a pair of inputs; or two filters are mixed, 256 times the second
    one plus the first one. What is missing of the last four filters is 0.
    """
    fours = ceil(len(these.bias) / FILTERS)
    padded = np.concatenate([these.weights, np.zeros((len(these.weights), 1), np.int64)], axis=1)
    weights = _in_fours(padded[:, pairs]).reshape(fours, FILTERS, -1, 2).transpose(0, 2, 1, 3)
    start = _in_fours(these.bias).reshape(fours, FILTERS)
    if mixed:
        weights = weights[:, :, 0::2] + 256 * weights[:, :, 1::2]
        start = np.where(np.arange(FILTERS) % 2, np.roll(start, 1, axis=1) + 256 * start, start)
    parts = [start, _words(weights).reshape(fours, -1), _in_fours(these.multiplier).reshape(fours, -1)]
    return _wrapped(np.concatenate(parts, axis=1), 32).astype(np.int32)


def _in_fours(values: Array) -> Array:
    """More zeros after the last of a number of filters that is no multiple of four."""
    return np.concatenate([values, np.zeros((-len(values) % FILTERS, *values.shape[1:]), np.int64)])


def _wrapped(values: Array, bits: int) -> Array:
    """Modulo 2**bits, as signed numbers."""
    half = 1 << (bits - 1)
    return np.asarray((values + half) % (1 << bits) - half)


def _words(halves: Array) -> Array:
    """Words of two int16 (..., 2), the first one low."""
    return np.asarray(halves[..., 0] % (1 << 16) + (_wrapped(halves[..., 1], 16) << 16))
