"""Orders in which few bytes are alive at once.

What is alive depends only on which tasks are done, not on their order. So the lowest peak is a path
through the sets of done tasks on which the worst step is smallest: dynamic programming, exact while those
sets are few (narrow graphs), a beam of the most promising ones beyond.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tinycompile.errors import InternalError

STATES = 20_000
BEAM = 64


@dataclass(frozen=True)
class Task:
    """One step: reads buffers, writes at most one, and uses ``extra`` bytes while it runs.

    ``saves`` gives, for inputs that the output may overlap, the bytes saved where that input dies here.
    """

    name: str
    reads: tuple[str, ...]
    writes: str | None
    extra: int = 0
    saves: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ordering:
    """Indices of tasks in an order, its peak in bytes, and whether no order has a lower one."""

    order: tuple[int, ...]
    peak: int
    exact: bool


def best_order(
    tasks: Sequence[Task],
    sizes: Mapping[str, int],
    given: Sequence[str],
    kept: Sequence[str],
    *,
    states: int = STATES,
) -> Ordering:
    """The topological order with the lowest peak; the order given, where that has it already.

    ``sizes`` are bytes by buffer, ``given`` the buffers alive before the first task, ``kept`` those alive
    after the last. ``states`` limits the exact search.
    """
    lattice = _Lattice(tasks, sizes, given, kept)
    as_given = tuple(range(len(tasks)))
    peak = lattice.peak(as_given)
    if peak == lattice.floor:
        return Ordering(as_given, peak, True)
    found = _exact(lattice, peak, states)
    exact = found is not None
    if found is None:
        found = _beam(lattice, BEAM)
    better = lattice.peak(found)
    return Ordering(found, better, exact) if better < peak else Ordering(as_given, peak, exact)


class _Lattice:
    """Sets of done tasks as bit masks: what can run next, what is alive, what a step needs."""

    def __init__(
        self, tasks: Sequence[Task], sizes: Mapping[str, int], given: Sequence[str], kept: Sequence[str]
    ) -> None:
        self.tasks, self.sizes = tasks, sizes
        self.all = (1 << len(tasks)) - 1
        writer = {t.writes: i for i, t in enumerate(tasks) if t.writes is not None}
        self.before = [_mask(writer[r] for r in t.reads if r in writer) for t in tasks]
        self.readers = {name: _mask(i for i, t in enumerate(tasks) if name in t.reads) for name in sizes}
        self.kept = frozenset(kept)
        self.start = sum(sizes[name] for name in dict.fromkeys(given))
        # No order does better than its hungriest task alone, or than what stands at the start and the end.
        alone = [sum(sizes[r] for r in dict.fromkeys(t.reads)) + self._grows(i, self.all) for i, t in enumerate(tasks)]
        self.floor = max([self.start, sum(sizes[name] for name in self.kept), *alone])

    def _grows(self, i: int, done: int) -> int:
        """Bytes by which the step of task ``i`` exceeds what is alive before it."""
        task = self.tasks[i]
        saved = sum(s for name, s in task.saves.items() if self._dies(name, i, done))
        own = self.sizes[task.writes] if task.writes is not None else 0
        return max(own - saved, 0) + task.extra

    def _dies(self, name: str, i: int, done: int) -> bool:
        return name not in self.kept and not self.readers[name] & ~done & ~(1 << i)

    def ready(self, done: int) -> Iterator[int]:
        """Tasks that can run next, in the order given."""
        return (i for i, before in enumerate(self.before) if not done >> i & 1 and not before & ~done)

    def step(self, done: int, alive: int, i: int) -> tuple[int, int]:
        """Bytes that the step of task ``i`` needs, and bytes alive after it."""
        task = self.tasks[i]
        freed = sum(self.sizes[name] for name in dict.fromkeys(task.reads) if self._dies(name, i, done))
        own = 0
        if task.writes is not None and (self.readers[task.writes] or task.writes in self.kept):
            own = self.sizes[task.writes]
        return alive + self._grows(i, done), alive + own - freed

    def peak(self, order: Sequence[int]) -> int:
        """The most bytes that any step of ``order`` needs; InternalError where a task comes too early."""
        done, alive, peak = 0, self.start, self.start
        for i in order:
            if self.before[i] & ~done:
                raise InternalError(f"task {self.tasks[i].name!r} comes before what it reads is written")
            need, alive = self.step(done, alive, i)
            peak = max(peak, need)
            done |= 1 << i
        return peak

    def branches(self, done: int, alive: int, peak: int) -> list[tuple[int, int, int]]:
        """Choices at a state: task, bytes its step needs, bytes alive after it.

        A task that frees at least what it makes, without a new peak, helps all after it: then it alone.
        """
        found = []
        for i in self.ready(done):
            need, after = self.step(done, alive, i)
            if need <= peak and after <= alive:
                return [(i, need, after)]
            found.append((i, need, after))
        return found


def _mask(bits: Iterator[int]) -> int:
    mask = 0
    for bit in bits:
        mask |= 1 << bit
    return mask


def _exact(lattice: _Lattice, limit: int, states: int) -> tuple[int, ...] | None:
    """Lowest peak first through all states with a peak below ``limit``; None where ``states`` are too few.

    Where no state leads to the end below ``limit``, that is the lowest peak, and the order given is returned.
    """
    heap = [(lattice.start, 0, 0, lattice.start)]
    came: dict[int, tuple[int, int]] = {}
    best = {0: lattice.start}
    while heap:
        peak, _, done, alive = heapq.heappop(heap)
        if done == lattice.all:
            return _path(came, done)
        if peak > best[done]:
            continue
        if len(best) > states:
            return None
        for i, need, after in lattice.branches(done, alive, peak):
            now, higher = done | 1 << i, max(peak, need)
            if higher < min(limit, best.get(now, limit)):
                best[now], came[now] = higher, (done, i)
                heapq.heappush(heap, (higher, -now.bit_count(), now, after))
    return tuple(range(len(lattice.tasks)))


def _path(came: Mapping[int, tuple[int, int]], done: int) -> tuple[int, ...]:
    order = []
    while done:
        done, i = came[done]
        order.append(i)
    return tuple(reversed(order))


def _beam(lattice: _Lattice, width: int) -> tuple[int, ...]:
    """The best order that survives when only the ``width`` states with the lowest peaks are followed."""
    front: list[tuple[int, int, int]] = [(lattice.start, lattice.start, 0)]
    came: dict[int, tuple[int, int]] = {}
    for _ in lattice.tasks:
        reached: dict[int, tuple[int, int]] = {}
        for peak, alive, done in front:
            for i, need, after in lattice.branches(done, alive, peak):
                now, state = done | 1 << i, (max(peak, need), after)
                if now not in reached or state < reached[now]:
                    reached[now], came[now] = state, (done, i)
        front = sorted((peak, alive, now) for now, (peak, alive) in reached.items())[:width]
    return _path(came, lattice.all)
