"""Addresses in the arena: buffers with lifetimes packed into as few bytes as possible.

A placement can always be pushed down until every buffer rests on the ground or on another one, so it is
enough to add buffers one by one, in the order of their offsets, each at the lowest offset that the ones
before it leave (canonical placements). Two buffers that live at the same time are apart by ``gap[i, j]``
bytes when ``i`` comes before ``j``: the size of ``i``, or, where an operator may work in place, only the
lag between output and input. That one matrix is all the search knows about time, so in-place operators
cost it nothing.

The search starts from greedy placements, stops at the lower bound, and counts nodes instead of seconds,
so the same problem gives the same addresses on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tinycompile.errors import InternalError

NODES = 20_000
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

    They may overlap where ``offset(below) + lag <= offset(above)``; the two may also stay apart.
    """

    below: str
    above: str
    lag: int = 0

    def __post_init__(self) -> None:
        if self.lag < 0:
            raise InternalError(f"a lag is at least 0: {self}")


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


def solve(problem: Problem, *, nodes: int = NODES) -> Placement:
    """Place all buffers; after ``nodes`` nodes of branch and bound, return the best placement so far."""
    if not problem.buffers:
        return Placement({}, 0, True, 0)
    instance = _Instance.of(problem)
    bound = instance.bound()
    target = max(bound, (problem.capacity or 0) // instance.unit)
    best = _greedy(instance, target)
    proved = instance.height(best) <= bound
    if instance.height(best) > target and not _hopeless(problem, bound * instance.unit):
        best, exhausted = _branch_and_bound(instance, best, target, nodes)
        proved = exhausted or instance.height(best) <= bound
    height = instance.height(best)
    offsets = {b.name: int(o) * instance.unit for b, o in zip(problem.buffers, best, strict=True)}
    return Placement(offsets, height * instance.unit, proved, (height if proved else bound) * instance.unit)


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


def _hopeless(problem: Problem, bound: int) -> bool:
    """Not even the lower bound fits: searching on would only refine by how much it does not."""
    return problem.capacity is not None and bound > problem.capacity


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


@dataclass
class _Node:
    """A partial placement: offsets of what is placed, lowest offsets of what is not, and what to try next."""

    lowest: Ints
    placed: NDArray[np.bool_]
    last: tuple[int, int]  # offset and rank of the buffer placed last
    todo: list[int]


def _branch_and_bound(instance: _Instance, best: Ints, target: int, nodes: int) -> tuple[Ints, bool]:
    """Depth-first over canonical placements; returns the best, and whether all were covered."""
    search = _Search(instance)
    limit = instance.height(best)
    count = len(best)
    root = _Node(np.zeros(count, np.int64), np.zeros(count, np.bool_), (0, -1), [])
    root.todo = search.candidates(root, limit)
    stack = [root]
    while stack:
        node = stack[-1]
        if not node.todo:
            stack.pop()
            continue
        if nodes == 0:
            return best, False
        nodes -= 1
        child = search.place(node, node.todo.pop())
        if child.placed.all():
            if instance.height(child.lowest) < limit:
                best, limit = child.lowest, instance.height(child.lowest)
            if limit <= target:
                return best, False
            continue
        child.todo = search.candidates(child, limit)
        stack.append(child)
    return best, True


class _Search:
    """What stays the same through a search: the instance, its cliques, the order among equal offsets."""

    def __init__(self, instance: _Instance) -> None:
        self.instance = instance
        self.cliques = instance.cliques()
        # An output comes before the input it overlaps at the same offset: the later born has the lower rank.
        self.rank = np.empty(len(instance.size), np.int64)
        self.rank[np.lexsort((np.arange(len(self.rank)), -instance.start))] = np.arange(len(self.rank))

    def place(self, node: _Node, i: int) -> _Node:
        """The node with buffer ``i`` added at its lowest offset."""
        offset = int(node.lowest[i])
        pushed = offset + self.instance.gap[i]
        pushed += -pushed % self.instance.align
        placed = node.placed.copy()
        placed[i] = True
        lowest = np.where(placed, node.lowest, np.maximum(node.lowest, pushed))
        return _Node(lowest, placed, (offset, int(self.rank[i])), [])

    def candidates(self, node: _Node, limit: int) -> list[int]:
        """What may come next, best last; empty where nothing below ``limit`` can come of this node."""
        free = ~node.placed
        floor = np.where(free, np.maximum(node.lowest, node.last[0]), -_APART)
        tops = np.where(free, node.lowest + self.instance.size, -_APART)
        waiting = self.cliques & free
        ends = np.where(waiting, floor, -_APART).min(1) + (waiting * self.instance.size).sum(1)
        full = waiting.any(1)
        if ends[full].max() >= limit or (floor + self.instance.size)[free].max() >= limit:
            return []
        # Where another buffer would fit whole below this one, that one goes first: moving it down is free.
        after = (node.lowest > node.last[0]) | ((node.lowest == node.last[0]) & (self.rank > node.last[1]))
        rows = np.flatnonzero(free & after & (node.lowest < tops.min()))
        press = np.where(waiting[:, rows], ends[:, None], 0).max(0)
        return [int(i) for i in rows[np.lexsort((self.instance.size[rows], press))]]
