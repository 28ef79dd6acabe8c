"""In place inside a streamed stage: a row takes the place of an input row that dies in the same call.

An op that may work in place (``lag``) needs one row less when its output shares the ring of its input: row y of the
output lies where the first row of its window was. The two tensors then have the same slots, and in a slot the input
starts ``lag`` bytes above the output: one pixel for a depthwise kernel, nothing for a sum. So slots may grow, and it
is tried out what that is worth: the rings of one row that most outputs have take turns in one buffer as it is, and
only where the longest of them are gone, the buffer is shorter.

    slot   0         1         2                  3x3 depthwise: A row y - 1, y, y + 1 -> B row y
           A row 3   A row 4   A row 5
           B row 4   A row 4   A row 5            after the call; then A row 6 comes in slot 0
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinycompile.backends import Kernel
from tinycompile.ir import Array, Graph
from tinycompile.schedule.parts import Arrive, RowOp
from tinycompile.schedule.rows import Rows
from tinycompile.schedule.timeline import Cell, Clock, Place, lives, steps_of

ALIGN = 4
TRIES = 6
"""Thresholds that are tried: outputs with longer rows are put in place even where slots grow."""
Lags = Mapping[str, int]


@dataclass(frozen=True)
class Edge:
    """An op that may write row y over row ``y * stride + first`` of an input, the output ``lag`` bytes below."""

    above: str
    below: str
    stride: int
    first: int
    lag: int


@dataclass(frozen=True)
class Ring:
    """Tensors that share a ring, in one cell."""

    places: Mapping[str, Place]

    @property
    def bytes(self) -> int:
        """Bytes of the ring."""
        place = next(iter(self.places.values()))
        return place.slots * place.pitch


class InPlace:
    """The ways to put outputs in place in a stage, row by row, with ``kernels`` for its ops."""

    def __init__(self, graph: Graph, rows: Rows, kernels: Mapping[str, Kernel], lags: Mapping[str, Lags]) -> None:
        self.graph, self.rows, self.kernels = graph, rows, kernels
        self.output = rows.cells[0].parts[-1].op.output
        self.edges = sorted(self._edges(lags), key=lambda e: (-self._row_bytes(e.below), e.lag))
        cells = zip(rows.cells, rows.orders, strict=True)
        self.lives = [lives(cell, steps_of(cell.parts, order)) for cell, order in cells] if self.edges else []

    def best(self) -> Rows:
        """The stage that takes the fewest bytes together with its inputs, of all that are tried; as it was, where none
        takes fewer."""
        return min(self.ways(), key=self._height)

    def ways(self) -> Sequence[Rows]:
        """The stage as it was, and in all ways that are tried."""
        found = [self.rows]
        seen: set[frozenset[tuple[str, str]]] = set()
        for threshold in self._thresholds() if self.edges else ():
            rings, leaders = self._joined(threshold)
            key = frozenset(leaders.items())
            if key not in seen:
                seen.add(key)
                found.append(self._with(rings, leaders))
        return found

    def _height(self, rows: Rows) -> tuple[int, int]:
        """Bytes of rings, output and inputs, each ring as far below the inputs as its lag says, largest lag first;
        then those of the rings."""
        sizes = {**rows.ring_bytes, self.output: self.graph.tensors[self.output].nbytes}
        inputs = {above for _, above in rows.lags}
        lags = {name: max((rows.lags.get((name, above), 0) for above in inputs), default=0) for name in sizes}
        end = start = 0
        for name in sorted(sizes, key=lambda n: -lags[n]):
            start = max(start, end + lags[name]) if inputs else 0
            end += sizes[name]
        above = sum(self.graph.tensors[name].nbytes for name in inputs)
        return max(start + above, end), sum(rows.ring_bytes.values())

    def _thresholds(self) -> Sequence[int]:
        sizes = sorted({self._row_bytes(edge.below) for edge in self.edges if edge.lag}, reverse=True)
        some = sizes[: TRIES - 2]
        return [*some, 0] if some else [0]

    def _row_bytes(self, name: str) -> int:
        return max(cell.row_bytes(name) for cell in self.rows.cells)

    def _edges(self, lags: Mapping[str, Lags]) -> Iterator[Edge]:
        for part in self.rows.cells[0].parts[:-1]:
            if isinstance(part.op, Arrive) or part.folds or part.op.output in self._stiff:
                continue
            for name, lag in lags[part.op.name].items():
                if name in self.rows.buffers and name not in self._stiff and {name, part.op.output} <= self._slow:
                    stride, first = _first_row(self.rows.of[part.op.name], name)
                    yield Edge(name, part.op.output, stride, first, lag)

    @cached_property
    def _stiff(self) -> frozenset[str]:
        """Tensors that must not begin to wrap: their readers take several rows at once and know of no ring."""
        found = set()
        for cell in self.rows.cells:
            for part in cell.parts:
                for i, tensor in enumerate(part.io.activations):
                    known = isinstance(part.op, Arrive) or f"in{i}_turn" in self.kernels[part.op.name].arguments
                    if not known and _rows_at_once(part, tensor.name) > 1:
                        found.add(tensor.name)
        return frozenset(found)

    @cached_property
    def _single(self) -> frozenset[str]:
        """Tensors that are only read row by row."""
        parts = [part for cell in self.rows.cells for part in cell.parts]
        several = {n for part in parts for n in part.spans if _rows_at_once(part, n) > 1}
        return frozenset(self.rows.buffers) - several

    @cached_property
    def _slow(self) -> frozenset[str]:
        """Tensors of which each call makes one row."""
        parts = [part for cell in self.rows.cells for part in cell.parts]
        fast = {part.op.output for part in parts if any(out.height > 1 for out in part.outs)}
        return frozenset(self.rows.buffers) - fast

    def _joined(self, threshold: int) -> tuple[list[dict[str, Ring]], dict[str, str]]:
        """For each cell the ring of each tensor, and for each tensor the first one of its ring."""
        rings = [{name: Ring({name: _start(place)}) for name, place in c.places.items()} for c in self.rows.cells]
        leaders = {name: name for name in self.rows.buffers}
        over: dict[str, Edge] = {}
        for edge in self.edges:
            if edge.lag and self._row_bytes(edge.below) <= threshold:
                continue
            if leaders[edge.above] == leaders[edge.below]:
                continue
            joined = self._join(rings, edge, {**over, edge.below: edge})
            if joined is None:
                continue
            over[edge.below] = edge
            for known, ring in zip(rings, joined, strict=True):
                known |= dict.fromkeys(ring.places, ring)
            leaders |= dict.fromkeys(joined[0].places, leaders[edge.above])
        return rings, leaders

    def _join(self, rings: Sequence[Mapping[str, Ring]], edge: Edge, over: Mapping[str, Edge]) -> list[Ring] | None:
        """In each cell the ring of both tensors; None where it is impossible or takes no fewer bytes."""
        apart = sum(max(known[name].bytes for known in rings) for name in (edge.above, edge.below))
        found = []
        for index, known in enumerate(rings):
            above, below = known[edge.above], known[edge.below]
            places = _aligned(self.rows.cells[index], above, below, edge)
            if places is None or not self._readable(places):
                return None
            ring = self._shortest(index, places, max(_slots(above), _slots(below)), apart, over)
            if ring is None:
                return None
            found.append(ring)
        return found

    def _readable(self, places: Mapping[str, Place]) -> bool:
        """Whether rows follow each other where several are read at once, and a pushed row fills its slot."""
        arrives = self.rows.arrives
        pushed = places.get(arrives) if arrives is not None else None
        if pushed is not None and (pushed.offset or pushed.pitch != self._row_bytes(arrives or "")):
            return False
        return all(place.scale == 1 or name in self._single for name, place in places.items())

    def _shortest(
        self, index: int, places: Mapping[str, Place], least: int, most: int, over: Mapping[str, Edge]
    ) -> Ring | None:
        """The ring with the fewest slots in which no row is overwritten too early."""
        pitch = next(iter(places.values())).pitch
        for slots in range(least, -(-most // pitch)):
            tried = {name: replace(place, slots=slots) for name, place in places.items()}
            if _apart(self.rows.cells[index], tried, self.lives[index], over):
                return Ring(tried)
        return None

    def _with(self, rings: Sequence[Mapping[str, Ring]], leaders: Mapping[str, str]) -> Rows:
        """The stage with these rings."""
        cells = []
        alone = {name for name in leaders if list(leaders.values()).count(leaders[name]) == 1}
        for cell, known in zip(self.rows.cells, rings, strict=True):
            places = {n: cell.places[n] if n in alone else known[n].places[n] for n in cell.places}
            cells.append(replace(cell, places=places))
        clock = Clock(self.graph, cells, self.rows.orders, leaders)
        buffers = clock.shared()
        return replace(self.rows, cells=clock.cells, buffers=buffers, lags=clock.lags(buffers))


def _start(place: Place) -> Place:
    """A ring where tensors can join; what has a slot for each row becomes one."""
    return Place(place.slots, place.pitch)


def _slots(ring: Ring) -> int:
    return next(iter(ring.places.values())).slots


def _rows_at_once(part: RowOp, name: str) -> int:
    """The most rows of an image that a call reads."""
    if name not in part.spans:
        return 0
    tops, bottoms = part.spans[name]
    return int((bottoms - tops).max())


def _first_row(parts: Sequence[RowOp], name: str) -> tuple[int, int]:
    """Stride and offset of the first row that the calls of an op read, away from the borders of the image."""
    part = max(parts, key=lambda part: len(part.outs))
    tops, rows = part.spans[name][0], np.array([out.top for out in part.outs])
    middle = len(tops) // 2
    stride = max(int(tops[middle] - tops[middle - 1]), 1) if len(tops) > 1 else 1
    return stride, int(tops[middle] - stride * rows[middle])


def _aligned(cell: Cell, above: Ring, below: Ring, edge: Edge) -> dict[str, Place] | None:
    """The places in a common ring, its slots not yet counted; None where rows of the output skip slots already."""
    high, low = above.places[edge.above], below.places[edge.below]
    if low.scale != 1:
        return None
    up = max(0, -(-(low.offset + edge.lag - high.offset) // ALIGN) * ALIGN)
    scale, shift = high.scale * edge.stride, high.scale * edge.first + high.shift
    places = {name: replace(place, offset=place.offset + up) for name, place in above.places.items()}
    for name, place in below.places.items():
        moved = replace(place, scale=scale * place.scale, shift=scale * (place.shift - low.shift) + shift)
        places[name] = moved
    ends = [place.offset + cell.row_bytes(name) for name, place in places.items()]
    pitch = max(ends)
    sizes = {cell.made[name].io.out.dtype.size for name in places}
    if any(place.offset for place in places.values()) or pitch % max(sizes):
        pitch = -(-pitch // ALIGN) * ALIGN
    return {name: replace(place, pitch=pitch) for name, place in places.items()}


def _apart(
    cell: Cell, places: Mapping[str, Place], rows: Mapping[str, tuple[Array, Array]], over: Mapping[str, Edge]
) -> bool:
    """Whether each row is dead before its slot is written again, or dies in the call that may write over it."""
    names = list(places)
    held = [np.arange(cell.held[name].top, cell.held[name].bottom) for name in names]
    slot = np.concatenate([places[name].slot(y) for name, y in zip(names, held, strict=True)])
    born, dies = (np.concatenate([rows[name][i] for name in names]) for i in (0, 1))
    order = np.lexsort((born, slot))
    slot, born, dies = slot[order], born[order], dies[order]
    same = slot[1:] == slot[:-1]
    if (same & (dies[:-1] > born[1:])).any():
        return False
    ties = np.flatnonzero(same & (dies[:-1] == born[1:]))
    if not ties.size:
        return True
    which = np.concatenate([np.full(len(y), i) for i, y in enumerate(held)])[order]
    row = np.concatenate(held)[order]
    for tie in ties:
        edge = over.get(names[which[tie + 1]])
        if edge is None or edge.above != names[which[tie]] or edge.stride * row[tie + 1] + edge.first != row[tie]:
            return False
    return True
