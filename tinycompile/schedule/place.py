"""Addresses in the arena: buffers with lifetimes packed into as few bytes as possible.

A placement can always be pushed down until every buffer rests on the ground or on another one. Such a
canonical placement is settled by saying, for every two buffers that live at the same time, which of them
is lower: offsets are then longest paths. ``gap[i, j]`` is the bytes from the start of ``i`` to that of
``j`` when ``i`` is lower: the size of ``i``, or, where an operator may work in place, only the lag
between output and input. That one matrix is all the search knows about time, so in-place operators cost
it nothing.

The search asks whether a height is possible and fixes pairs: those that leave no choice follow from paths
from the ground and to the ceiling, the tightest of the rest is tried both ways. It starts at the lower
bound, and halves the distance to the best placement known, first a greedy one. It counts nodes instead of
seconds, so the same problem gives the same addresses on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tinycompile.errors import InternalError

NODES = 3000
PAIRS = 12_000_000
"""Search at most ``NODES`` nodes, and fewer where a node has many pairs of buffers to look at."""
ROUNDS = 60
_APART = -(1 << 60)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Buffer:
    """``size`` bytes, alive in the steps ``start <= t < stop``, at a multiple of ``align``."""

    name: str
    size: int
    start: int
    stop: int
    align: int = 4

    def __post_init__(self) -> None:
        if self.size <= 0 or self.stop <= self.start or self.align <= 0:
            raise InternalError(f"a buffer needs a size, a lifetime and an alignment above zero: {self}")


@dataclass(frozen=True)
class Overlap:
    """Leave for ``below``, an output, to share bytes with ``above``, an input last read in the same step.

    They may overlap where ``offset(below) + lag <= offset(above)``; the two may also stay apart. A negative lag
    lets ``below`` start above the start of ``above``: where part of the input is dead before the first write.
    """

    below: str
    above: str
    lag: int = 0


@dataclass(frozen=True)
class Problem:
    """Buffers to place, the overlaps allowed among them, and the bytes there are.

    With a ``capacity`` the search ends at the first placement that fits; without one it looks for the lowest.
    ``align`` is what the arena itself is aligned to; every buffer's alignment divides it.
    """

    buffers: tuple[Buffer, ...]
    overlaps: tuple[Overlap, ...] = ()
    capacity: int | None = None
    align: int = 16

    def __post_init__(self) -> None:
        by_name = {buffer.name: buffer for buffer in self.buffers}
        if len(by_name) != len(self.buffers):
            raise InternalError("two buffers of a placement problem share a name")
        for buffer in self.buffers:
            if self.align % buffer.align:
                raise InternalError(f"{buffer} cannot be aligned in an arena aligned to {self.align}")
        for overlap in self.overlaps:
            _check_overlap(overlap, by_name)


@dataclass(frozen=True)
class Placement:
    """Offsets in bytes by buffer name, and the ``height`` of the arena they need.

    No placement is lower than ``bound``; ``optimal`` says that this one is proved to be the lowest.
    """

    offsets: dict[str, int]
    height: int
    optimal: bool
    bound: int


def solve(problem: Problem, *, nodes: int | None = None) -> Placement:
    """Place all buffers; after ``nodes`` nodes of the search, return the best placement so far."""
    if not problem.buffers:
        return Placement({}, 0, True, 0)
    if nodes is None:
        nodes = min(NODES, PAIRS // len(problem.buffers) ** 2)
    instance = _Instance.of(problem)
    bound = instance.bound()
    enough = max(bound, (problem.capacity or 0) // instance.unit)
    best = _greedy(instance, enough)
    if instance.height(best) > enough and (problem.capacity is None or problem.capacity // instance.unit >= bound):
        best, bound = _search(instance, best, bound, enough, nodes)
    height = instance.height(best)
    offsets = {b.name: int(o) * instance.unit for b, o in zip(problem.buffers, best, strict=True)}
    return Placement(offsets, height * instance.unit, height == bound, bound * instance.unit)


def lower_bound(problem: Problem) -> int:
    """Bytes that every placement needs: what must be alive, and apart, at the busiest step."""
    instance = _Instance.of(problem) if problem.buffers else None
    return instance.bound() * instance.unit if instance else 0


def _check_overlap(overlap: Overlap, by_name: dict[str, Buffer]) -> None:
    """An overlap joins buffers that share exactly one step; so output-over-input never runs in a circle."""
    below, above = by_name.get(overlap.below), by_name.get(overlap.above)
    if below is None or above is None:
        raise InternalError(f"{overlap} names a buffer that is not there")
    if not above.start < below.start == above.stop - 1:
        raise InternalError(f"{overlap}: the input must die in the step in which the output is born")


@dataclass(frozen=True)
class _Instance:
    """A problem in arrays, one row a buffer; ``unit`` bytes, what all alignments share, count as one."""

    unit: int
    size: Ints
    align: Ints
    start: Ints
    stop: Ints
    gap: Ints  # gap[i, j]: units from the start of i to the start of j, if i comes first; _APART: any
    overlaps: tuple[tuple[int, int, int], ...]  # below, above, lag

    @staticmethod
    def of(problem: Problem) -> _Instance:
        unit = reduce(gcd, (b.align for b in problem.buffers))
        size = np.array([-(-b.size // unit) for b in problem.buffers], np.int64)
        start = np.array([b.start for b in problem.buffers], np.int64)
        stop = np.array([b.stop for b in problem.buffers], np.int64)
        meet = (start[:, None] < stop) & (start < stop[:, None])
        np.fill_diagonal(meet, False)
        gap = np.where(meet, size[:, None], _APART)
        row = {b.name: i for i, b in enumerate(problem.buffers)}
        overlaps = []
        for o in problem.overlaps:
            below, above = row[o.below], row[o.above]
            gap[below, above] = lag = min(-(-o.lag // unit), int(size[below]))
            overlaps.append((below, above, lag))
        align = np.array([b.align // unit for b in problem.buffers], np.int64)
        return _Instance(unit, size, align, start, stop, gap, tuple(overlaps))

    def height(self, offsets: Ints) -> int:
        return int((offsets + self.size).max())

    def bound(self) -> int:
        """The most that is alive at once; what may overlap counts by the fewest bytes it can cover."""
        return max(self._covered(int(t)) for t in np.unique(self.start))

    def _covered(self, step: int) -> int:
        alive = (self.start <= step) & (step < self.stop)
        total = int(self.size[alive].sum())
        for belows, aboves, pairs in self._components(step):
            under, over = int(self.size[belows].sum()), int(self.size[aboves].sum())
            least = max(under, over, *(self._pair(*pair) for pair in pairs))
            total += least - under - over
        return total

    def _pair(self, below: int, above: int, lag: int) -> int:
        """The fewest units that an output and the input it may overlap can cover together."""
        return max(int(self.size[below]), int(self.size[above]) + lag)

    def _components(self, step: int) -> list[tuple[list[int], list[int], list[tuple[int, int, int]]]]:
        """The overlaps at a step, those that share a buffer taken together: outputs, inputs, pairs."""
        groups: list[tuple[list[int], list[int], list[tuple[int, int, int]]]] = []
        for pair in (o for o in self.overlaps if self.start[o[0]] == step):
            touching = [g for g in groups if pair[0] in g[0] or pair[1] in g[1]]
            groups = [g for g in groups if g not in touching]
            pairs = [pair, *(p for g in touching for p in g[2])]
            groups.append((sorted({p[0] for p in pairs}), sorted({p[1] for p in pairs}), pairs))
        return groups

    def cliques(self) -> NDArray[np.bool_]:
        """Sets of buffers that are all apart from each other, one a row; none contains another."""
        below, above = {o[0] for o in self.overlaps}, {o[1] for o in self.overlaps}
        found: set[frozenset[int]] = set()
        for step in np.unique(self.start):
            alive = frozenset(np.flatnonzero((self.start <= step) & (step < self.stop)).tolist())
            born = frozenset(i for i in alive & below if self.start[i] == step)
            dying = frozenset(i for i in alive & above if self.stop[i] == step + 1)
            found |= {alive - born, alive - dying} if born and dying else {alive}
        largest = [c for c in found if not any(c < other for other in found)]
        rows = np.zeros((len(largest), len(self.size)), np.bool_)
        for row, clique in zip(rows, sorted(map(sorted, largest)), strict=True):
            row[clique] = True
        return rows


def _greedy(instance: _Instance, target: int) -> Ints:
    """The best of several first-fit placements, each improved by placing what sticks out first."""
    best: Ints | None = None
    for order in _orders(instance):
        for offsets in _improve(instance, order):
            if best is None or instance.height(offsets) < instance.height(best):
                best = offsets
            if instance.height(best) <= target:
                return best
    assert best is not None
    return best


def _orders(instance: _Instance) -> Iterator[list[int]]:
    """Orders in which first fit does well: by size, area, lifetime, size of all neighbours, and time."""
    life = instance.stop - instance.start
    crowd = np.array([instance.size[row > _APART].sum() for row in instance.gap]) + instance.size
    for key in (instance.size, instance.size * life, life, crowd, -instance.start):
        yield np.lexsort((instance.start, -instance.size, -key)).tolist()


def _improve(instance: _Instance, order: list[int]) -> Iterator[Ints]:
    """First fit in ``order``, then again with the highest buffers first, until the order repeats."""
    seen = set()
    for _ in range(ROUNDS):
        seen.add(tuple(order))
        offsets = _first_fit(instance, order)
        yield offsets
        tops = offsets + instance.size
        high = [i for i in order if tops[i] == tops.max()]
        order = high + [i for i in order if i not in high]
        if tuple(order) in seen:
            return


def _first_fit(instance: _Instance, order: Sequence[int]) -> Ints:
    """Each buffer in turn at the lowest offset that is free of those before it."""
    offsets = np.zeros(len(order), np.int64)
    placed: list[int] = []
    for i in order:
        rows = [j for j in placed if instance.gap[i, j] > _APART]
        low = offsets[rows] - instance.gap[i, rows]
        high = offsets[rows] + instance.gap[rows, i]
        offsets[i] = _lowest(zip(low.tolist(), high.tolist(), strict=True), int(instance.align[i]))
        placed.append(i)
    return offsets


def _lowest(taken: Iterator[tuple[int, int]], align: int) -> int:
    """The lowest aligned offset that is in none of the open intervals ``taken``."""
    offset = 0
    for low, high in sorted(taken):
        if offset > low:
            offset = max(offset, -(-high // align) * align)
    return offset


def _search(instance: _Instance, best: Ints, bound: int, enough: int, nodes: int) -> tuple[Ints, int]:
    """A placement as high as ``enough`` or the lowest found, and the bound, raised by what was refuted."""
    decision = _Decision(instance)
    low, ceiling, proving = bound, enough, True
    while instance.height(best) > max(low, enough) and nodes > 0:
        share = max(nodes // 3, 1)
        found, settled, used = decision.place(ceiling, share)
        nodes -= used
        if found is not None:
            best = found
        else:
            low, proving = ceiling + 1, proving and settled
            bound = low if proving else bound
        ceiling = (low + instance.height(best) - 1) // 2
    return best, min(bound, instance.height(best))


@dataclass
class _Node:
    """Pairs decided so far (``lower[i, j]``: ``i`` lies below ``j``), and the paths that follow from them."""

    lower: NDArray[np.bool_]
    offset: Ints  # longest path from the ground: no buffer can start lower
    rest: Ints  # longest path to the ceiling: units needed from the start of each buffer up


class _Decision:
    """Is there a placement within a height? Depth first over pairs of buffers that live at the same time."""

    def __init__(self, instance: _Instance) -> None:
        self.gap, self.size, self.align = instance.gap, instance.size, instance.align
        self.meet = instance.gap > _APART
        self.cliques = instance.cliques()
        self.weight = (self.cliques * self.size).sum(1)

    def place(self, height: int, nodes: int) -> tuple[Ints | None, bool, int]:
        """Offsets within ``height`` or None; whether the answer is certain; nodes used."""
        count = len(self.size)
        stack = [_Node(np.zeros((count, count), np.bool_), np.zeros(count, np.int64), self.size.copy())]
        for used in range(1, nodes + 1):
            node = stack.pop()
            if self.follow(node, height):
                pair = self.open_pair(node, height)
                if pair is None:
                    return node.offset, True, used
                for i, j in (pair[::-1], pair):
                    lower = node.lower.copy()
                    lower[i, j] = True
                    stack.append(_Node(lower, node.offset, node.rest))
            if not stack:
                return None, True, used
        return None, False, nodes

    def follow(self, node: _Node, height: int) -> bool:
        """Decide all pairs that leave no choice within ``height``; False where some pair fits neither way."""
        while self.lengthen(node, height):
            too_high = self.meet & (node.offset[:, None] + self.gap + node.rest > height)
            forced = too_high.T & ~node.lower
            if (too_high & (too_high.T | node.lower)).any():
                return False
            if not forced.any():
                return True
            node.lower = node.lower | forced
        return False

    def lengthen(self, node: _Node, height: int) -> bool:
        """Bring the paths up to date; False where one, or a stack of buffers all apart, is too high."""
        while (node.offset + node.rest).max() <= height:
            offset = np.maximum(node.offset, np.where(node.lower, node.offset[:, None] + self.gap, 0).max(0))
            offset += -offset % self.align
            rest = np.maximum(node.rest, np.where(node.lower, self.gap + node.rest, 0).max(1))
            if (offset == node.offset).all() and (rest == node.rest).all():
                ground = np.where(self.cliques, offset, height).min(1)
                above = np.where(self.cliques, rest - self.size, height).min(1)
                return bool((ground + self.weight + above).max() <= height)
            node.offset, node.rest = offset, rest
        return False

    def open_pair(self, node: _Node, height: int) -> tuple[int, int] | None:
        """The pair that collides at the lowest offsets and has the least room, the roomier way round."""
        apart = node.offset[:, None] + self.gap <= node.offset
        collide = self.meet & ~apart & ~apart.T
        if not collide.any():
            return None
        room = height - (node.offset[:, None] + self.gap + node.rest)
        tightness = np.where(collide, 4 * np.maximum(room, room.T) + np.minimum(room, room.T), -_APART)
        i, j = (int(k) for k in np.unravel_index(tightness.argmin(), tightness.shape))
        return (i, j) if room[i, j] >= room[j, i] else (j, i)
