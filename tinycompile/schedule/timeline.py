"""Which call of a cell comes when, and what follows from it: rings, rings that take turns, and lags.

Every row is made as late as possible, and once. Running through the calls shows how many rows of a tensor are
needed at the same time: that many row slots, used in turn, are its ring. It also shows which rows of the stage's
inputs are read for the last time when, and so how far into them the rings and the output may reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinycompile.ir import Array, Graph, Op, Window
from tinycompile.schedule.parts import Arrive, RowOp

Between = tuple[str, str]
Order = Sequence[tuple[int, int]]
"""Calls: the index of an op, and which of its calls."""
STATE = 4
"""Bytes, for each channel of the output, of what an op that folds has taken in."""


@dataclass(frozen=True)
class Place:
    """Where the rows of a tensor lie in their buffer.

    Row y is in slot ``(y * scale + shift) % slots``, ``offset`` bytes above the start of the slot; slots are
    ``pitch`` bytes apart. Tensors that share a ring, as ops work in place, have the same slots.
    """

    slots: int
    pitch: int
    scale: int = 1
    shift: int = 0
    offset: int = 0
    ring: bool = True
    """False: each row has a slot of its own, and slots follow each other as the rows do."""

    def slot(self, y: Array) -> Array:
        """The slots of some rows."""
        return np.asarray((y * self.scale + self.shift) % self.slots)


@dataclass(frozen=True)
class Cell:
    """What is made of a stage before the next cell begins."""

    parts: tuple[RowOp, ...]
    """The ops, in the same order in each cell."""
    held: Mapping[str, Window]
    """The part of each tensor that is made or, from outside, read."""
    places: Mapping[str, Place]
    """Where the tensors lie that exist only inside the stage."""

    @cached_property
    def made(self) -> Mapping[str, RowOp]:
        """The parts by the name of their output."""
        return {part.op.output: part for part in self.parts}

    def row_bytes(self, name: str) -> int:
        """Bytes of a row of what is held of a tensor that is made here."""
        tensor = self.made[name].io.out
        return self.held[name].width * tensor.channels * tensor.dtype.size

    def ring_bytes(self, name: str) -> int:
        """What the buffer of a tensor inside the stage takes in this cell."""
        return self.places[name].slots * self.places[name].pitch

    def wraps(self, part: RowOp, name: str) -> bool:
        """Whether a call reads rows of a tensor from the end of its ring and from the start."""
        place = self.places.get(name)
        if place is None or not place.ring:
            return False
        tops, bottoms = part.spans[name]
        return bool((place.slot(tops) + bottoms - tops > place.slots).any())

    def ends(self, part: RowOp) -> Array:
        """int64[calls]: the byte of the buffer, or of the stage's output, behind what each call writes."""
        name, out = part.op.output, part.io.out
        tops = np.array([window.top for window in part.outs])
        last = tops + np.array([window.height - 1 for window in part.outs])
        place = self.places.get(name)
        if place is None:
            return np.asarray((last * out.hw[1] + self.held[name].right) * out.channels * out.dtype.size)
        return np.asarray((place.slot(tops) + last - tops) * place.pitch + place.offset + self.row_bytes(name))


def in_turn(parts: Sequence[RowOp]) -> Order:
    """One op after the other."""
    return [(index, number) for index, part in enumerate(parts) for number in range(len(part.cuts))]


class Demand:
    """Every row of a cell as late as possible."""

    def __init__(self, parts: Sequence[RowOp]) -> None:
        self.parts = parts
        self.makes = {part.op.output: i for i, part in enumerate(parts)}
        self.exist = dict.fromkeys(self.makes, 0)
        self.done = [0] * len(parts)
        self.order: list[tuple[int, int]] = []

    def run(self) -> Order:
        """All rows of the last op, and what they need; a pushed input begins, so that nothing runs before it."""
        if isinstance(self.parts[0].op, Arrive):
            self.make(0)
        for _ in self.parts[-1].cuts:
            self.make(len(self.parts) - 1)
        for index, part in enumerate(self.parts):  # rows that nobody reads arrive all the same
            while isinstance(part.op, Arrive) and self.done[index] < len(part.cuts):
                self.make(index)
        return self.order

    def make(self, index: int) -> None:
        """The next call of an op, and before it all that it needs."""
        waiting = [index]
        while waiting:
            index = waiting[-1]
            number = self.done[index]
            part = self.parts[index]
            missing = next((n for n, below in part.demands[number] if self.exist.get(n, below) < below), None)
            if missing is not None:
                waiting.append(self.makes[missing])
                continue
            self.order.append((waiting.pop(), number))
            self.done[index] = number + 1
            self.exist[part.op.output] = part.ready[number]


def steps_of(parts: Sequence[RowOp], order: Order) -> list[Array]:
    """For each op, int64[calls]: when its calls come."""
    found: list[list[int]] = [[] for _ in parts]
    for step, (index, _) in enumerate(order):
        found[index].append(step)
    return [np.array(steps) for steps in found]


def last_reads(parts: Sequence[RowOp], steps: Sequence[Array], found: dict[str, Array]) -> None:
    """Into int64[rows] of each image in ``found``, where an op reads it: the last step that reads the row."""
    for part, when in zip(parts, steps, strict=True):
        for name, (tops, bottoms) in part.spans.items():
            rows = found.get(name)
            if rows is None:
                continue
            if len(tops) == 1:
                rows[tops[0] : bottoms[0]] = np.maximum(rows[tops[0] : bottoms[0]], when[0])
                continue
            for down in range(int((bottoms - tops).max())):
                some = tops + down < bottoms
                at = (tops + down)[some]
                rows[at] = np.maximum(rows[at], when[some])  # of calls that read the same row, the last one counts


def _first_needed(last: Array, count: int) -> Array:
    """int64[count]: the first row that call c or a later one still reads; the number of rows, if none."""
    first = np.full(count, len(last), np.int64)
    rows = np.flatnonzero(last >= 0)[::-1]
    first[last[rows]] = rows  # of rows with the same last reader, the first one counts
    return np.asarray(np.minimum.accumulate(first[::-1])[::-1])


def with_rings(cell: Cell, order: Order, pace: Sequence[int]) -> Cell:
    """The cell with its rings: rows between the oldest that is still needed and the newest, at most. ``pace``: how many
    rows a call of each part makes (0: all), which must not wrap."""
    steps = steps_of(cell.parts, order)
    last = inner_reads(cell, steps)
    places = {}
    for part, when, step in zip(cell.parts[:-1], steps, pace, strict=False):
        name, held = part.op.output, cell.held[part.op.output]
        below = np.array(part.ready)
        most = max(1, int((below - np.minimum(_first_needed(last[name], len(order))[when], below)).max()))
        slots = held.height if step == 0 else -(-most // step) * step
        if slots < held.height:
            places[name] = Place(slots, cell.row_bytes(name))
        else:
            places[name] = Place(held.height, cell.row_bytes(name), shift=-held.top, ring=False)
    return replace(cell, places=places)


def inner_reads(cell: Cell, steps: Sequence[Array]) -> dict[str, Array]:
    """For each tensor inside, int64[rows]: the last step that reads the row, or -1."""
    last = {part.op.output: np.full(cell.held[part.op.output].bottom, -1) for part in cell.parts[:-1]}
    last_reads(cell.parts, steps, last)
    return last


def lives(cell: Cell, steps: Sequence[Array]) -> dict[str, tuple[Array, Array]]:
    """For each tensor inside, int64[rows held] twice: the step that makes a row, and the last one that needs it."""
    last, found = inner_reads(cell, steps), {}
    for part, when in zip(cell.parts[:-1], steps, strict=False):
        held = cell.held[part.op.output]
        born = when[np.searchsorted(part.ready, np.arange(held.top, held.bottom), side="right")]
        found[part.op.output] = born, np.maximum(last[part.op.output][held.top :], born)
    return found


class Clock:
    """All cells, one behind the other: which calls come when."""

    def __init__(
        self, graph: Graph, cells: Sequence[Cell], orders: Sequence[Order], leaders: Mapping[str, str] | None = None
    ) -> None:
        self.graph, self.cells = graph, tuple(cells)
        self.leaders = leaders or {name: name for name in self.cells[0].places}
        self.count = sum(map(len, orders))
        self.steps: list[list[Array]] = []
        start = 0
        for cell, order in zip(cells, orders, strict=True):
            self.steps.append([when + start for when in steps_of(cell.parts, order)])
            start += len(order)

    def shared(self) -> dict[str, str]:
        """A buffer for each ring, largest first: the smallest one of which no row is alive at the same time, or its
        own. Tensors that share a ring are those with one ``leader``."""
        alive = self._alive()
        size = {name: max(cell.ring_bytes(name) for cell in self.cells) for name in alive}
        found: dict[str, str] = {}
        groups: list[tuple[str, Array]] = []
        for name in sorted(alive, key=lambda n: -size[n]):
            for i, (leader, busy) in reversed(list(enumerate(groups))):
                if not (alive[name] & busy).any():
                    groups[i] = leader, alive[name] | busy
                    found[name] = leader
                    break
            else:
                groups.append((name, alive[name]))
                found[name] = name
        return {name: found[leader] for name, leader in self.leaders.items()}

    def _alive(self) -> dict[str, Array]:
        """For each ring, bool[calls]: from the call that makes a row to the last one that reads it."""
        change = {leader: np.zeros(self.count + 1, np.int64) for leader in self.leaders.values()}
        for cell, steps in zip(self.cells, self.steps, strict=True):
            for name, (born, dies) in lives(cell, steps).items():
                np.add.at(change[self.leaders[name]], born, 1)
                np.add.at(change[self.leaders[name]], dies + 1, -1)
        return {name: np.asarray(np.cumsum(made)[: self.count] > 0) for name, made in change.items()}

    def lags(self, buffers: Mapping[str, str]) -> dict[Between, int]:
        """What is written ends, when it is first written, at or below the rows of the input still needed."""
        made = {part.op.output for part in self.cells[0].parts}
        read = {name for part in self.cells[0].parts for name in part.spans} - made
        last = {name: np.full(self.graph.tensors[name].hw[0], -1) for name in sorted(read)}
        for cell, steps in zip(self.cells, self.steps, strict=True):
            last_reads(cell.parts, steps, last)
        found: dict[Between, int] = {}
        for above, rows in last.items():
            tensor = self.graph.tensors[above]
            needed = _first_needed(rows, self.count) * (tensor.nbytes // tensor.hw[0])
            for cell, steps in zip(self.cells, self.steps, strict=True):
                for part, when in zip(cell.parts, steps, strict=True):
                    pair = buffers.get(part.op.output, part.op.output), above
                    ends = cell.ends(part)
                    if part.folds:
                        found[state_name(part.op), above] = STATE * part.io.out.channels - int(needed[when[0]])
                        ends, when = ends[-1:], when[-1:]
                    found[pair] = max(int((ends - needed[when]).max()), found.get(pair, -(1 << 60)))
        return found


def state_name(op: Op) -> str:
    """The buffer of what an op that folds has taken in so far."""
    return f"sums of {op.name}"
