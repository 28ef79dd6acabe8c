"""Streamed stages: the ops of a stage take turns, row by row, and keep only the rows that are still needed.

The output of the stage is cut into cells, which are made one after the other; often there is one, the whole image.
Within a cell the last op asks for its rows from top to bottom; an op that is asked for a row first asks the ops
before it for the rows that its window covers and that nobody has made yet. So every row is made once in a cell,
and as late as possible; what lies in the windows of two cells (the halo) is made twice. Running through these
calls once shows how many rows of a tensor are needed at the same time: that many row slots, used in turn, are its
ring. It also shows which rows of the stage's inputs are read for the last time when, and so how far into them the
rings and the output may reach (``lags``).

Where a call makes all rows of the cell, the ops run one after the other, and what was a ring is a patch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from tinycompile.ir import IO, Array, Cut, Graph, Op, Pair, Tensor, Window
from tinycompile.schedule.cells import grid_cells, hull, middle

Between = tuple[str, str]
STATE = 4
"""Bytes, for each channel of the output, of what an op that folds has taken in."""


@dataclass(frozen=True)
class Arrive(Op):
    """Where the rows of a pushed input come from: the application makes them, one a call."""


@dataclass(frozen=True)
class Kind:
    """Calls of an op that cost the same: the op with its windows, and how many there are."""

    op: Op
    io: IO
    count: int


@dataclass(frozen=True)
class RowOp:
    """An op of a stage in one of its cells; for each of its calls the op with the windows that it then reads.

    A call makes some rows of the output; where the op ``folds``, it takes in rows of the input, and the last call
    makes the only row.
    """

    op: Op
    io: IO
    cuts: tuple[Cut, ...]
    outs: tuple[Window, ...]
    """What each call makes, or helps to make."""
    folds: bool = False

    @cached_property
    def ready(self) -> tuple[int, ...]:
        """The row of the output below those that exist after each call."""
        last = len(self.outs) - 1
        return tuple(0 if self.folds and i < last else out.bottom for i, out in enumerate(self.outs))

    @cached_property
    def reads(self) -> tuple[tuple[tuple[str, Window | None], ...], ...]:
        """For each call the activations that it reads, and the part of each; None: all of it."""
        names = [t.name for t in self.io.inputs if t.data is None]
        which = [i for i, t in enumerate(self.io.inputs) if t.data is None]
        return tuple(tuple(zip(names, (cut.windows[i] for i in which), strict=True)) for cut in self.cuts)

    @cached_property
    def hulls(self) -> Mapping[str, Window | None]:
        """The part of each activation that the calls read; None: all of it."""
        found: dict[str, Window | None] = {}
        for reads in self.reads:
            for name, window in reads:
                known = found.get(name, window)
                found[name] = None if window is None or known is None else hull(known, window)
        return found

    @cached_property
    def spans(self) -> Mapping[str, tuple[Array, Array]]:
        """For each image that is read, int64[calls] twice: the first row that a call reads, and the one below the
        last."""
        found = {}
        for name, tensor in ((t.name, t) for t in self.io.activations if is_image(t)):
            whole = Window.whole(tensor.hw)
            windows = [[w or whole for n, w in reads if n == name] for reads in self.reads]
            tops = np.array([min(w.top for w in each) for each in windows])
            found[name] = tops, np.array([max(w.bottom for w in each) for each in windows])
        return found

    @cached_property
    def kinds(self) -> Mapping[object, Kind]:
        """The different kinds of calls, by what they differ in."""
        found: dict[object, Kind] = {}
        for number, cut in enumerate(self.cuts):
            out = self.outs[number]
            key = cut.op, out.height, out.width, tuple(w and (w.height, w.width) for w in cut.windows)
            known = found.get(key)
            found[key] = replace(known, count=known.count + 1) if known else Kind(cut.op, self.call_io(number), 1)
        return found

    def call_io(self, number: int) -> IO:
        """The tensors with the extents of the windows of a call."""
        pairs = zip(self.io.inputs, self.cuts[number].windows, strict=True)
        inputs = tuple(t if w is None or t.data is not None else _part(t, w) for t, w in pairs)
        return replace(self.io, inputs=inputs, out=_part(self.io.out, self.outs[number]))


@dataclass(frozen=True)
class Cell:
    """What is made of a stage before the next cell begins."""

    parts: tuple[RowOp, ...]
    """The ops, in the same order in each cell."""
    held: Mapping[str, Window]
    """The part of each tensor that is made or, from outside, read."""
    slots: Mapping[str, int]
    """The rows of each tensor inside the stage that exist at the same time; row y is in slot y modulo slots. Where
    that is all of them (``height`` of what is held), there is no ring."""

    def ring_bytes(self, tensor: Tensor) -> int:
        """What a tensor inside the stage takes in this cell."""
        return self.slots[tensor.name] * self.row_bytes(tensor)

    def row_bytes(self, tensor: Tensor) -> int:
        """From one row of a tensor inside the stage to the next."""
        return self.held[tensor.name].width * tensor.channels * tensor.dtype.size

    def is_ring(self, name: str) -> bool:
        """Whether rows of a tensor inside the stage take each other's places."""
        return self.slots[name] < self.held[name].height

    def wraps(self, part: RowOp, name: str) -> bool:
        """Whether a call reads rows of a tensor from the end of its ring and from the start."""
        if name not in self.slots or not self.is_ring(name):
            return False
        tops, bottoms = part.spans[name]
        return bool((tops % self.slots[name] + bottoms - tops > self.slots[name]).any())


@dataclass(frozen=True)
class Rows:
    """A stage as calls in order."""

    cells: tuple[Cell, ...]
    calls: tuple[tuple[int, int, int], ...]
    """(index of the cell, index of the op in it, which of its calls there)."""
    buffers: Mapping[str, str]
    """The buffer of each tensor inside; tensors whose rows are never alive together share one."""
    lags: Mapping[Between, int]
    """By (buffer or output, what is read from outside): bytes by which the first must start below the other."""
    grid: Pair = (1, 1)
    step: int = 1
    """Rows that a call makes; 0: all of a cell."""
    ends: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Where the ops run one after the other (``step`` 0): for each buffer the first and the last op that uses it."""

    @property
    def arrives(self) -> str | None:
        """The input whose rows are pushed into a ring of the stage; None: what the stage reads is there."""
        return next((part.op.output for part in self.cells[0].parts if isinstance(part.op, Arrive)), None)

    @cached_property
    def of(self) -> Mapping[str, tuple[RowOp, ...]]:
        """The parts by the name of their op, one for each cell."""
        return {parts[0].op.name: parts for parts in zip(*(cell.parts for cell in self.cells), strict=True)}

    def folds(self, op: Op) -> bool:
        """Whether an op takes in its input a few rows at a time."""
        return self.of[op.name][0].folds

    def kinds(self, op: Op) -> tuple[Kind, ...]:
        """The different kinds of calls of an op."""
        found: dict[object, Kind] = {}
        for part in self.of[op.name]:
            for key, kind in part.kinds.items():
                known = found.get(key)
                found[key] = replace(known, count=known.count + kind.count) if known else kind
        return tuple(found.values())

    def wraps(self, op: Op, name: str) -> bool:
        """Whether calls of an op read rows of a tensor from the end of a ring and from the start."""
        return any(cell.wraps(part, name) for cell, part in zip(self.cells, self.of[op.name], strict=True))

    @cached_property
    def ring_bytes(self) -> Mapping[str, int]:
        """Bytes of each buffer."""
        found: dict[str, int] = {}
        for cell in self.cells:
            for part in cell.parts:
                buffer = self.buffers.get(part.op.output)
                if buffer is not None:
                    found[buffer] = max(found.get(buffer, 0), cell.ring_bytes(part.io.out))
        return found


class Cuts:
    """The ops of a graph in rows. Remembers what it has cut, as the stages of a search have much in common."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._found: dict[object, RowOp | None] = {}

    def part(self, op: Op, held: Window, step: int, *, alone: bool) -> RowOp | None:
        """The op for what is ``held`` of its output, ``step`` rows a call; None where it cannot be cut so.

        It may fold where it is ``alone``: where the stage has one cell only.
        """
        key = op.name, held, step, alone
        if key not in self._found:
            self._found[key] = self._cut(op, held, step, alone)
        return self._found[key]

    def possible(self, op: Op) -> bool:
        """Whether the op can be cut into whole rows."""
        out = self.graph.tensors[op.output]
        return is_image(out) and self.part(op, Window.whole(out.hw), 1, alone=True) is not None

    def in_rows(self, op: Op, name: str) -> bool:
        """Whether the op can be cut into rows, and then reads no more than some rows of an input at a time."""
        whole = Window.whole(self.graph.tensors[op.output].hw) if self.possible(op) else None
        part = self.part(op, whole, 1, alone=True) if whole is not None else None
        return part is not None and part.hulls[name] is not None

    def _cut(self, op: Op, held: Window, step: int, alone: bool) -> RowOp | None:
        io = self.graph.io(op)
        if op.alias or not is_image(io.out):
            return None
        folded = op.fold(io) if alone else None
        if folded is not None:
            return RowOp(op, io, folded, (Window.whole((1, io.out.hw[1])),) * len(folded), folds=True)
        outs = tuple(_blocks(held, step))
        cuts = tuple(op.restrict(io, out) for out in outs)
        found = tuple(cut for cut in cuts if cut is not None)
        return RowOp(op, io, found, outs) if len(found) == len(outs) else None


def _blocks(held: Window, step: int) -> list[Window]:
    """Rows that are made by one call: from one multiple of ``step`` to the next, so that none wraps in a ring."""
    if step == 0:
        return [held]
    tops = [held.top, *range((held.top // step + 1) * step, held.bottom, step)]
    bottoms = [*tops[1:], held.bottom]
    return [Window(a, held.left, b - a, held.width) for a, b in zip(tops, bottoms, strict=True)]


def rows_of(
    graph: Graph,
    ops: Sequence[Op],
    cuts: Cuts | None = None,
    *,
    grid: Pair = (1, 1),
    step: int = 1,
    arrives: str | None = None,
    probe: bool = False,
) -> Rows | None:
    """The stage ``ops``, in a valid order, as rows; None where an op cannot be cut so.

    The output is cut into a ``grid`` of cells, and a call makes ``step`` rows of a cell, or all of them (0).
    ``arrives`` is an image that is not in memory but pushed row by row; the grid is then 1x1. A ``probe`` has one
    cell only, a large one in the middle: enough to judge the least memory that the stage takes.
    """
    windows = grid_cells(graph.tensors[ops[-1].output], grid) if ops else ()
    found = [_cell(graph, ops, cuts or Cuts(graph), window, step, grid, arrives) for window in _some(windows, probe)]
    cells = [cell for cell in found if cell is not None]
    if len(cells) < len(found) or not cells or (arrives is not None and grid != (1, 1)):
        return None
    orders = [_in_turn(cell.parts) if step == 0 else _Demand(cell.parts).run() for cell in cells]
    clock = _Clock(graph, tuple(map(_ring_slots, cells, orders, [step] * len(cells))), orders)
    calls = tuple((i, *call) for i, order in enumerate(orders) for call in order)
    inside = list(clock.cells[0].slots)
    buffers = {name: name for name in inside} if step == 0 else clock.shared()
    ends = _ends(clock.cells[0].parts, inside) if step == 0 else {}
    return Rows(clock.cells, calls, buffers, clock.lags(buffers), grid, step, ends)


def _some(windows: Sequence[Window], probe: bool) -> Sequence[Window]:
    return [middle(windows)] if probe and windows else windows


def _cell(
    graph: Graph, ops: Sequence[Op], cuts: Cuts, window: Window, step: int, grid: Pair, arrives: str | None
) -> Cell | None:
    """A cell without its rings: what must run to make ``window`` of the last op's output."""
    held = {ops[-1].output: window}
    made = {op.output for op in ops} | {arrives}
    parts: list[RowOp | None] = []
    for op in reversed(ops):
        part = cuts.part(op, held[op.output], step, alone=grid == (1, 1)) if op.output in held else None
        if part is None:
            return None
        for name, needed in part.hulls.items():
            if needed is None and name in made:
                return None
            if needed is not None:
                held[name] = hull(held.get(name, needed), needed)
        parts.append(part)
    if arrives is not None:
        parts.append(_arriving(graph.tensors[arrives]))
        held[arrives] = Window.whole(graph.tensors[arrives].hw) if parts[-1] else window
    found = tuple(part for part in reversed(parts) if part is not None)
    return Cell(found, held, {}) if len(found) == len(parts) else None


def _arriving(tensor: Tensor) -> RowOp | None:
    """The rows of a pushed input."""
    if not is_image(tensor):
        return None
    op = Arrive(f"arrival of {tensor.name}", (), tensor.name)
    outs = tuple(_blocks(Window.whole(tensor.hw), 1))
    return RowOp(op, IO((), tensor), (Cut(op, ()),) * len(outs), outs)


Order = Sequence[tuple[int, int]]


def _in_turn(parts: Sequence[RowOp]) -> Order:
    """One op after the other."""
    return [(index, number) for index, part in enumerate(parts) for number in range(len(part.cuts))]


class _Demand:
    """Every row of a cell as late as possible."""

    def __init__(self, parts: Sequence[RowOp]) -> None:
        made = {part.op.output: i for i, part in enumerate(parts)}
        self.parts = parts
        self.needs = [
            [
                [(made[name], window.bottom) for name, window in reads if window is not None and name in made]
                for reads in part.reads
            ]
            for part in parts
        ]
        self.done = [0] * len(parts)
        self.exist = [0] * len(parts)
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
            missing = next((s for s, bottom in self.needs[index][number] if self.exist[s] < bottom), None)
            if missing is not None:
                waiting.append(missing)
                continue
            self.order.append((waiting.pop(), number))
            self.done[index] = number + 1
            self.exist[index] = self.parts[index].ready[number]


def _steps(parts: Sequence[RowOp], order: Order) -> list[Array]:
    """For each op, int64[calls]: when its calls come."""
    found: list[list[int]] = [[] for _ in parts]
    for step, (index, _) in enumerate(order):
        found[index].append(step)
    return [np.array(steps) for steps in found]


def _last_reads(parts: Sequence[RowOp], steps: Sequence[Array], found: dict[str, Array]) -> None:
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


def _ring_slots(cell: Cell, order: Order, step: int) -> Cell:
    """The cell with its rings: rows between the oldest that is still needed and the newest, at most."""
    last = {part.op.output: np.full(cell.held[part.op.output].bottom, -1) for part in cell.parts[:-1]}
    steps = _steps(cell.parts, order)
    _last_reads(cell.parts, steps, last)
    slots = {}
    for part, when in zip(cell.parts[:-1], steps, strict=False):
        name, held = part.op.output, cell.held[part.op.output]
        below = np.array(part.ready)
        most = max(1, int((below - np.minimum(_first_needed(last[name], len(order))[when], below)).max()))
        whole = step == 0 or -(-most // step) * step >= held.height
        slots[name] = held.height if whole else -(-most // step) * step
    return replace(cell, slots=slots)


def _ends(parts: Sequence[RowOp], inside: Sequence[str]) -> dict[str, tuple[int, int]]:
    """For each tensor inside, the first and the last op that uses it, by their position (what arrives: the first)."""
    ops = [part for part in parts if not isinstance(part.op, Arrive)]
    return {
        name: (
            next((i for i, part in enumerate(ops) if part.op.output == name), 0),
            max((i for i, part in enumerate(ops) if name in part.op.inputs), default=0),
        )
        for name in inside
    }


class _Clock:
    """All cells, one behind the other: which calls come when."""

    def __init__(self, graph: Graph, cells: tuple[Cell, ...], orders: Sequence[Order]) -> None:
        self.graph, self.cells = graph, cells
        self.count = sum(map(len, orders))
        self.steps: list[list[Array]] = []
        start = 0
        for cell, order in zip(cells, orders, strict=True):
            self.steps.append([when + start for when in _steps(cell.parts, order)])
            start += len(order)

    def shared(self) -> dict[str, str]:
        """A buffer for each ring, largest first: the smallest one of which no row is alive at the same time, or its
        own."""
        size = {p.io.out.name: max(c.ring_bytes(p.io.out) for c in self.cells) for p in self.cells[0].parts[:-1]}
        alive = self._alive()
        found: dict[str, str] = {}
        groups: list[tuple[str, Array]] = []
        for name in sorted(size, key=lambda n: -size[n]):
            for i, (leader, busy) in reversed(list(enumerate(groups))):
                if not (alive[name] & busy).any():
                    groups[i] = leader, alive[name] | busy
                    found[name] = leader
                    break
            else:
                groups.append((name, alive[name]))
                found[name] = name
        return found

    def _alive(self) -> dict[str, Array]:
        """For each tensor inside, bool[calls]: from the call that makes a row to the last one that reads it."""
        change = {part.op.output: np.zeros(self.count + 1, np.int64) for part in self.cells[0].parts[:-1]}
        for cell, steps in zip(self.cells, self.steps, strict=True):
            last = {part.op.output: np.full(cell.held[part.op.output].bottom, -1) for part in cell.parts[:-1]}
            _last_reads(cell.parts, steps, last)
            for part, when in zip(cell.parts[:-1], steps, strict=False):
                made, held = change[part.op.output], cell.held[part.op.output]
                of_row = when[np.searchsorted(part.ready, np.arange(held.top, held.bottom), side="right")]
                np.add.at(made, of_row, 1)
                np.add.at(made, np.maximum(last[part.op.output][held.top :], of_row) + 1, -1)
        return {name: np.asarray(np.cumsum(made)[: self.count] > 0) for name, made in change.items()}

    def lags(self, buffers: Mapping[str, str]) -> dict[Between, int]:
        """What is written ends, when it is first written, at or below the rows of the input still needed."""
        made = {part.op.output for part in self.cells[0].parts}
        read = {name for part in self.cells[0].parts for name in part.spans} - made
        last = {name: np.full(self.graph.tensors[name].hw[0], -1) for name in sorted(read)}
        for cell, steps in zip(self.cells, self.steps, strict=True):
            _last_reads(cell.parts, steps, last)
        found: dict[Between, int] = {}
        for above, rows in last.items():
            tensor = self.graph.tensors[above]
            needed = _first_needed(rows, self.count) * (tensor.nbytes // tensor.hw[0])
            for cell, steps in zip(self.cells, self.steps, strict=True):
                for part, when in zip(cell.parts, steps, strict=True):
                    pair = buffers.get(part.op.output, part.op.output), above
                    ends = cell_ends(cell, part)
                    if part.folds:
                        found[state_name(part.op), above] = STATE * part.io.out.channels - int(needed[when[0]])
                        ends, when = ends[-1:], when[-1:]
                    found[pair] = max(int((ends - needed[when]).max()), found.get(pair, -(1 << 60)))
        return found


def cell_ends(cell: Cell, part: RowOp) -> Array:
    """int64[calls]: the byte of the buffer, or of the stage's output, behind what each call writes."""
    out, name = part.io.out, part.op.output
    pixel = out.channels * out.dtype.size
    tops = np.array([window.top for window in part.outs])
    heights = np.array([window.height for window in part.outs])
    if name not in cell.slots:
        return np.asarray(((tops + heights - 1) * out.hw[1] + cell.held[name].right) * pixel)
    first = tops % cell.slots[name] if cell.is_ring(name) else tops - cell.held[name].top
    return np.asarray((first + heights) * cell.row_bytes(out))


def _part(tensor: Tensor, window: Window) -> Tensor:
    """A tensor with the extents of one of its windows."""
    return tensor.like(shape=(1, window.height, window.width, tensor.channels))


def state_name(op: Op) -> str:
    """The buffer of what an op that folds has taken in so far."""
    return f"sums of {op.name}"


def is_image(tensor: Tensor) -> bool:
    """Whether a tensor is NHWC with batch 1."""
    return len(tensor.shape) == 4 and tensor.shape[0] == 1
