"""The filters of a convolution or dense layer as a stream of words, for blocks of four filters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
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

    @cached_property
    def extremes(self) -> tuple[Array, Array]:
        """int64 (O) twice: the least and the largest sum of each filter over int8 inputs."""
        low, high = -128 * self.weights, 127 * self.weights
        return self.bias + np.minimum(low, high).sum(axis=1), self.bias + np.maximum(low, high).sum(axis=1)

    @cached_property
    def has_room(self) -> bool:
        """Whether 256 times the sums of the second filter of each two fit in int32."""
        least, most = (sums[1::2] for sums in self.extremes)
        return bool((most < ROOM).all() and (least >= -ROOM).all())

    def second_times_256(self) -> Filters:
        """The second filter of each two, and its bias, 256 times as large; halves of words hold that."""
        factor = np.where(np.arange(len(self.bias)) % 2, 256, 1)
        return Filters(self.weights * factor[:, None], self.bias * factor, self.multiplier)

    @cached_property
    def scaled_extent(self) -> float:
        """What no sum times its multiplier exceeds."""
        least, most = self.extremes
        return float((np.maximum(-least, most) * self.multiplier.astype(np.float64)).max() / (1 << 32))

    @property
    def can_mix(self) -> bool:
        """Whether the second filter of each two can be kept as 256 times itself plus the first one.

        Halves of words must hold the mixed weights, and the second filter's sums must have room, so that the
        difference of the two sums tells them exactly.
        """
        return self.can_mix_moved and not self.offsets.any()

    @cached_property
    def can_mix_moved(self) -> bool:
        """The same for sums less their ``offsets``."""
        count = len(self.weights) // 2 * 2
        first, second = self.weights[0:count:2], self.weights[1:count:2]
        least, most = (sums - self.offsets for sums in self.extremes)
        halves_fit = (256 * second + first >= -(1 << 15)).all()
        return bool(halves_fit and (most[1:count:2] < ROOM).all() and (least[1:count:2] >= -ROOM).all())

    @cached_property
    def offsets(self) -> Array:
        """int64 (O): the middle of the sums of second filters that may be too large to be mixed; else 0."""
        least, most = self.extremes
        large = (most >= ROOM) | (least < -ROOM)
        return np.where(large & (np.arange(len(large)) % 2 == 1), (least + most) // 2, 0)

    @property
    def moved(self) -> Filters:
        """With sums less their offsets."""
        return Filters(self.weights, self.bias - self.offsets, self.multiplier)

    def some(self, first: int, count: int) -> Filters:
        """``count`` of them from ``first`` on, or as many as there are."""
        part = slice(first, first + count)
        return Filters(self.weights[part], self.bias[part], self.multiplier[part])


def is_fused(op: Conv2D | Dense, io: IO) -> bool:
    """Whether requantising takes a multiplier and the zero point alone."""
    rq = op.parameters(io)["requantizer"]
    return bool(rq.scheme == "native" and rq.shift[0] == 0)


def filters(op: Conv2D | Dense, io: IO) -> Filters:
    """Those of an op without zero point of the weights; found once for all calls of an op in rows."""
    return _known(_Linear(op, io))


class _Linear:
    """An op by what its filters depend on: equal where constants are the same arrays, and all scales are equal."""

    def __init__(self, op: Conv2D | Dense, io: IO) -> None:
        self.op, self.io = op, io
        constants = (tensor.data for tensor in io.inputs[1:])
        quants = (tensor.quant for tensor in (*io.inputs, io.out))
        self._key = op.name, op.clip, io.rounding, *map(id, constants), *quants

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Linear) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=128)  # whose keys keep the arrays alive, so that their identities last
def _known(linear: _Linear) -> Filters:
    op, io = linear.op, linear.io
    p = op.parameters(io)
    requantizer, channels = p["requantizer"], io.out.channels
    weights = io.inputs[1].values.astype(np.int64).reshape(channels, -1)
    multiplier = np.broadcast_to(requantizer.multiplier, channels).astype(np.int64)
    these = Filters(weights, p["bias"].astype(np.int64), multiplier)
    return _settled(these, requantizer) if requantizer.per_channel and is_fused(op, io) else these


def _settled(these: Filters, requantizer: Any) -> Filters:
    """Filters whose output is the same for all inputs become a bias: their scale, and with it their bias, is often
    out of all proportion.

    4 v times 2**30 has the high word v.
    """
    least, most = these.extremes
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


def block_words(pairs: int, mixed: bool, block: int = FILTERS) -> int:
    """Words of the stream for a block of filters."""
    return (block // 2 if mixed else block) * pairs + 2 * block


def stream(these: Filters, pairs: Array, mixed: bool, block: int = FILTERS) -> Array:
    """int32: for each ``block`` filters their start values, words of weights for each of ``pairs``, their multipliers.

    A word has the weights of a filter as int16 for a pair of inputs; or two filters are mixed, 256 times the second
    one plus the first one. What is missing of the last block is 0.
    """
    blocks = ceil(len(these.bias) / block)
    padded = np.concatenate([these.weights, np.zeros((len(these.weights), 1), np.int64)], axis=1)
    weights = _in_blocks(padded[:, pairs], block).reshape(blocks, block, -1, 2).transpose(0, 2, 1, 3)
    start = _in_blocks(these.bias, block).reshape(blocks, block)
    if mixed:
        weights = weights[:, :, 0::2] + 256 * weights[:, :, 1::2]
        start = np.where(np.arange(block) % 2, np.roll(start, 1, axis=1) + 256 * start, start)
    parts = [start, _words(weights).reshape(blocks, -1), _in_blocks(these.multiplier, block).reshape(blocks, -1)]
    return _wrapped(np.concatenate(parts, axis=1), 32).astype(np.int32)


def _in_blocks(values: Array, block: int) -> Array:
    """More zeros after the last of a number of filters that is no multiple of a block's."""
    return np.concatenate([values, np.zeros((-len(values) % block, *values.shape[1:]), np.int64)])


def _wrapped(values: Array, bits: int) -> Array:
    """Modulo 2**bits, as signed numbers."""
    half = 1 << (bits - 1)
    return np.asarray((values + half) % (1 << bits) - half)


def _words(halves: Array) -> Array:
    """Words of two int16 (..., 2), the first one low."""
    return np.asarray(halves[..., 0] % (1 << 16) + (_wrapped(halves[..., 1], 16) << 16))
