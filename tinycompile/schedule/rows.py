"""Streamed stages: the ops of a stage take turns, row by row, and keep only the rows that are still needed.

The last op asks for its rows from top to bottom; an op that is asked for a row first asks the ops before it
for the rows that its window covers and that nobody has made yet. So every row is made once and as late as
possible. Running through these calls once shows how many rows of a tensor are needed at the same time: that
many row slots, used in turn, are its ring. It also shows which rows of the stage's inputs are read for the
last time when, and so how far into them the rings and the output may reach (``lags``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinycompile.ir import IO, Array, Cut, Graph, Op, Tensor, Window

Between = tuple[str, str]


@dataclass(frozen=True)
class Arrive(Op):
    """Where the rows of a pushed input come from: the application makes them, one a call."""


STATE = 4
"""Bytes a channel of what an op that folds has taken in."""


@dataclass(frozen=True)
class RowOp:
    """An op of a stage, and for each of its calls the op with the windows that it then reads.

    A call makes a row of the output; where the op ``folds``, it takes in a row of the input, and the last call
    makes the only row.
    """

    op: Op
    io: IO
    cuts: tuple[Cut, ...]
    folds: bool = False

    def made(self, calls: int) -> int:
        """Rows of the output that exist after so many calls."""
        return calls // len(self.cuts) if self.folds else calls

    def window(self, y: int) -> Window:
        """The row of the output that call ``y`` makes, or helps to make."""
        return Window(0 if self.folds else y, 0, 1, self.io.out.hw[1])

    @cached_property
    def kinds(self) -> tuple[tuple[Cut, IO], ...]:
        """A call of each different kind: the restricted op and the extents of its windows."""
        found: dict[object, tuple[Cut, IO]] = {}
        for y, cut in enumerate(self.cuts):
            found.setdefault(self.kind(y), (cut, self.row_io(y)))
        return tuple(found.values())

    def kind(self, y: int) -> object:
        """Equal for calls that cost the same."""
        return self.cuts[y].op, tuple(w and (w.height, w.width) for w in self.cuts[y].windows)

    def row_io(self, y: int) -> IO:
        """The tensors with the extents of the windows of call ``y``."""
        pairs = zip(self.io.inputs, self.cuts[y].windows, strict=True)
        inputs = tuple(t if w is None or t.data is not None else _part(t, w) for t, w in pairs)
        return replace(self.io, inputs=inputs, out=_part(self.io.out, self.window(y)))

    def reads(self, y: int) -> tuple[tuple[str, Window | None], ...]:
        """The activations that call ``y`` reads, and the part of each; None: all of it."""
        return self._reads[y]

    @cached_property
    def _reads(self) -> tuple[tuple[tuple[str, Window | None], ...], ...]:
        names = [t.name for t in self.io.inputs if t.data is None]
        which = [i for i, t in enumerate(self.io.inputs) if t.data is None]
        return tuple(tuple(zip(names, (cut.windows[i] for i in which), strict=True)) for cut in self.cuts)


@dataclass(frozen=True)
class Rows:
    """A stage as calls in order."""

    ops: tuple[RowOp, ...]
    calls: tuple[tuple[int, int], ...]
    """(index of the op, which of its calls)."""
    slots: Mapping[str, int]
    """The rows of each tensor inside the stage that exist at the same time."""
    buffers: Mapping[str, str]
    """The buffer of each tensor inside; tensors whose rows are never alive together share one."""
    lags: Mapping[Between, int]
    """By (buffer or output, what is read from outside): bytes by which the first must start below the other."""

    @property
    def arrives(self) -> str | None:
        """The input whose rows are pushed into a ring of the stage; None: what the stage reads is there."""
        return next((part.op.output for part in self.ops if isinstance(part.op, Arrive)), None)

    @cached_property
    def of(self) -> Mapping[str, RowOp]:
        """The parts by the name of their op."""
        return {part.op.name: part for part in self.ops}

    @property
    def ring_bytes(self) -> dict[str, int]:
        """Bytes of each buffer."""
        tensors = {part.io.out.name: part.io.out for part in self.ops}
        found: dict[str, int] = {}
        for name, slots in self.slots.items():
            buffer = self.buffers[name]
            found[buffer] = max(found.get(buffer, 0), slots * _row_bytes(tensors[name]))
        return found


RowOps = Callable[[Op], RowOp | None]


def row_op(graph: Graph, op: Op) -> RowOp | None:
    """The op row by row; None where it cannot be cut into rows."""
    io = graph.io(op)
    if op.alias or not _is_image(io.out):
        return None
    folded = op.fold(io)
    if folded is not None:
        return RowOp(op, io, folded, folds=True)
    height, width = io.out.hw
    cuts = tuple(op.restrict(io, Window(y, 0, 1, width)) for y in range(height))
    found = tuple(cut for cut in cuts if cut is not None)
    return RowOp(op, io, found) if len(found) == height else None


def rows_of(graph: Graph, ops: Sequence[Op], cut: RowOps | None = None, *, arrives: str | None = None) -> Rows | None:
    """The stage ``ops``, in a valid order, row by row; None where an op cannot be cut so. ``cut`` may remember.

    ``arrives`` is an image that is not in memory but pushed row by row.
    """
    found = [cut(op) if cut is not None else row_op(graph, op) for op in ops]
    if arrives is not None:
        found.insert(0, _arriving(graph.tensors[arrives]))
    parts = tuple(part for part in found if part is not None)
    if len(parts) < len(found) or not ops:
        return None
    made = {part.op.output: i for i, part in enumerate(parts)}
    if any(window is None and name in made for part in parts for name, window in part.reads(0)):
        return None
    calls = _Demand(parts, made).run()
    last = _last_reads(graph, parts, calls)
    inside = [part.io.out for part in parts[:-1]]
    writes = [_writes(parts, calls, i) for i in range(len(parts))]
    slots = {t.name: _ring(writes[made[t.name]], last[t.name], len(calls)) for t in inside if t.name in last}
    buffers = _shared(parts, calls, slots, last)
    return Rows(parts, calls, slots, buffers, _lags(graph, parts, calls, slots, buffers, last))


def _arriving(tensor: Tensor) -> RowOp | None:
    """The rows of a pushed input."""
    if not _is_image(tensor):
        return None
    op = Arrive(f"arrival of {tensor.name}", (), tensor.name)
    return RowOp(op, IO((), tensor), (Cut(op, ()),) * tensor.hw[0])


class _Demand:
    """Every row as late as possible."""

    def __init__(self, parts: tuple[RowOp, ...], made: Mapping[str, int]) -> None:
        self.parts, self.made = parts, made
        self.done = [0] * len(parts)
        self.calls: list[tuple[int, int]] = []

    def run(self) -> tuple[tuple[int, int], ...]:
        """All rows of the last op, and what they need; a pushed input begins, so that nothing runs before it."""
        if isinstance(self.parts[0].op, Arrive):
            self.next(0)
        for _ in self.parts[-1].cuts:
            self.next(len(self.parts) - 1)
        for index, part in enumerate(self.parts):  # rows that nobody reads arrive all the same
            while isinstance(part.op, Arrive) and self.done[index] < len(part.cuts):
                self.next(index)
        return tuple(self.calls)

    def next(self, index: int) -> None:
        y = self.done[index]
        for name, window in self.parts[index].reads(y):
            source = self.made.get(name)
            while source is not None and window is not None and self.rows(source) < window.bottom:
                self.next(source)
        self.calls.append((index, y))
        self.done[index] = y + 1

    def rows(self, index: int) -> int:
        return self.parts[index].made(self.done[index])


def _last_reads(graph: Graph, parts: Sequence[RowOp], calls: Sequence[tuple[int, int]]) -> dict[str, Array]:
    """For each image that is read, int64[rows]: the last call that reads the row, or -1."""
    found: dict[str, Array] = {}
    for step, (index, y) in enumerate(calls):
        for name, window in parts[index].reads(y):
            tensor = graph.tensors[name]
            if not _is_image(tensor):
                continue
            rows = found.setdefault(name, np.full(tensor.hw[0], -1, np.int64))
            rows[slice(None) if window is None else slice(window.top, window.bottom)] = step
    return found


def _first_needed(last: Array, count: int) -> Array:
    """int64[count]: the first row that call c or a later one still reads; the number of rows, if none."""
    first = np.full(count, len(last), np.int64)
    for y in range(len(last) - 1, -1, -1):
        if last[y] >= 0:
            first[last[y]] = y if first[last[y]] > y else first[last[y]]
    return np.asarray(np.minimum.accumulate(first[::-1])[::-1])


def _writes(parts: Sequence[RowOp], calls: Sequence[tuple[int, int]], index: int) -> list[int]:
    """The calls that make rows 0, 1, 2 ... of an op's output."""
    part = parts[index]
    return [step for step, (i, y) in enumerate(calls) if i == index and part.made(y + 1) > part.made(y)]


def _ring(writes: Sequence[int], last: Array, count: int) -> int:
    """Rows between the oldest that is still needed and the newest, at most."""
    first = _first_needed(last, count)
    return max([1, *(y - int(first[step]) + 1 for y, step in enumerate(writes))])


def _shared(
    parts: Sequence[RowOp], calls: Sequence[tuple[int, int]], slots: Mapping[str, int], last: Mapping[str, Array]
) -> dict[str, str]:
    """A buffer for each ring, largest first: the smallest one that no row is alive in at the same time, or its own."""
    found: dict[str, str] = {}
    groups: list[tuple[str, Array]] = []
    size = {part.io.out.name: slots.get(part.io.out.name, 0) * _row_bytes(part.io.out) for part in parts}
    index = {part.io.out.name: i for i, part in enumerate(parts)}
    for name in sorted(slots, key=lambda n: -size[n]):
        alive = _alive(_writes(parts, calls, index[name]), last[name], len(calls))
        for i, (leader, busy) in reversed(list(enumerate(groups))):
            if not (alive & busy).any():
                groups[i] = leader, alive | busy
                found[name] = leader
                break
        else:
            groups.append((name, alive))
            found[name] = name
    return found


def _alive(writes: Sequence[int], last: Array, count: int) -> Array:
    """bool[count]: the calls before or in which a row is made and in or after which it is read."""
    change = np.zeros(count + 1, np.int64)
    for y, step in enumerate(writes):
        change[step] += 1
        change[max(int(last[y]), step) + 1] -= 1
    return np.asarray(np.cumsum(change)[:count] > 0)


def _lags(
    graph: Graph,
    parts: Sequence[RowOp],
    calls: Sequence[tuple[int, int]],
    slots: Mapping[str, int],
    buffers: Mapping[str, str],
    last: Mapping[str, Array],
) -> dict[Between, int]:
    """Row k of what is written ends, when it is first written, at or below the rows of the input still needed."""
    found: dict[Between, int] = {}
    outputs = {part.op.output for part in parts}
    for above in (name for name in last if name not in outputs):
        row = _row_bytes(graph.tensors[above])
        needed = _first_needed(last[above], len(calls)) * row
        for index, part in enumerate(parts):
            steps = _writes(parts, calls, index)[: slots.get(part.op.output)]
            if not steps:
                continue
            size = _row_bytes(part.io.out)
            ends = np.arange(1, len(steps) + 1) * size
            pair = buffers.get(part.op.output, part.op.output), above
            lag = int((ends - needed[steps]).max())
            found[pair] = max(lag, found.get(pair, lag))
            if part.folds:
                size = STATE * part.io.x.channels
                found[state_name(part.op), above] = size - int(needed[calls.index((index, 0))])
    return found


def _part(tensor: Tensor, window: Window) -> Tensor:
    """A tensor with the extents of one of its windows."""
    return tensor.like(shape=(1, window.height, window.width, tensor.channels))


def state_name(op: Op) -> str:
    """The buffer of what an op that folds has taken in so far."""
    return f"sums of {op.name}"


def _row_bytes(tensor: Tensor) -> int:
    return tensor.nbytes // tensor.hw[0]


def _is_image(tensor: Tensor) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[0] == 1
