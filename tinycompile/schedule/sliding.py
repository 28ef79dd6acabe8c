"""A window that slides over an input without end: each op makes only the rows that a new window adds.

Where the ops of a stage have no padding over the rows, most rows of a tensor in the next window are rows of this
one. So the stage streams one long image, and behind every ``hop`` rows of the input it makes one more row of its
output, for the window that ends there. A tensor moves on by ``hop / pace`` rows meanwhile, where ``pace`` is the
product of the strides before it; what has one row a window moves on by that one, whatever it reads.

    windows 0, 1, 2 of 6 rows      conv 3x3            row y of window n is row y + n of the stage
    |------------|                 |--------|
      |------------|                 |--------|
        |------------|                 |--------|

The calls of the first window are followed by those of a hop, which are the same for each hop but for the slots of the
rings. They repeat after as many hops as bring all rings back to the same slots; rings are made a little longer
where that makes the list of calls much shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm

from tinycompile.errors import UsageError
from tinycompile.ir import IO, Cut, Graph, Op, Pad, Window
from tinycompile.schedule.parts import Arrive, Cuts, RowOp, is_image
from tinycompile.schedule.pushed import arriving
from tinycompile.schedule.rows import Rows
from tinycompile.schedule.stages import Run, Stage, members
from tinycompile.schedule.timeline import Cell, Clock, Demand, Order, Place, with_rings

EVENTS = 2048
"""Calls and arrivals, over all hops until they repeat: no longer lists are looked at to keep rings short."""
LINE = 0.25
"""Bytes of rings that a call in the list is worth: it takes two bytes of flash, of which chips have about 8 for one
of SRAM."""


def slid(graph: Graph) -> Iterator[tuple[Run, ...]]:
    """The graph with the ops up to a tensor that has one row a window as a sliding stage, and then layers; in all ways.

    Raises UsageError, naming the op, where rows of one window are not those of the next.
    """
    arrives = arriving(graph)
    for ops in _stages(graph, arrives):
        run = Run(ops, _Slide(graph, ops, arrives).rows())
        inside = {op.name for op in ops[:-1]}
        yield tuple(run if op is ops[-1] else Run((op,)) for op in graph.ops if op.name not in inside)


def _stages(graph: Graph, arrives: str) -> Iterator[tuple[Op, ...]]:
    """The ops from the input to the first image of one row that alone is used later, and to the others behind it."""
    readers = {op.name for op in graph.consumers()[arrives]}
    since = None if arrives in graph.inputs else arrives
    cuts, found = Cuts(graph), 0
    for op in graph.ops:
        out = graph.tensors[op.output]
        if found and not cuts.possible(op):
            return
        ops = members(graph, Stage(op.output, since), 1) if is_image(out) and out.hw[0] == 1 else None
        if ops is not None and readers <= {op.name for op in ops}:
            found += 1
            yield ops
    if found:
        return
    _explain(graph, arrives)
    name = next((n for n in graph.outputs if is_image(graph.tensors[n])), arrives)
    raise _refused(graph, f"nothing has one row a window and alone is used later ({name!r} is {graph.tensors[name]})")


def _explain(graph: Graph, arrives: str) -> None:
    """Raise UsageError for the first op behind the input that reads rows of several windows otherwise than in rows."""
    cuts, known = Cuts(graph), {arrives}
    for op in graph.ops:
        if known & set(op.inputs):
            _Moves.of(graph, cuts, op)
            known.add(op.output)


@dataclass(frozen=True)
class _Moves:
    """How an op goes down its inputs: the cut that makes its first row, and the rows of each input from one row to
    the next (None where there is one row only)."""

    op: Op
    io: IO
    first: Cut
    strides: tuple[int | None, ...]

    @staticmethod
    def of(graph: Graph, cuts: Cuts, op: Op) -> _Moves:
        """Raises UsageError where the op does not do the same for every row."""
        io = graph.io(op)
        part = cuts.part(op, Window.whole(io.out.hw), 1, alone=False) if is_image(io.out) else None
        if part is None:
            raise _refused(graph, f"{_named(op)} cannot be computed row by row")
        first, last = part.cuts[0], part.cuts[-1]
        if any(cut.op != first.op for cut in part.cuts):
            rim = getattr(op, "pad", Pad())
            why = "has padding over the rows, which each window would see at other ones"
            why = why if rim.top or rim.bottom else "does not do the same for all its rows"
            raise _refused(graph, f"{_named(op)} {why}")
        strides: list[int | None] = []
        for tensor, top, bottom in zip(io.inputs, first.windows, last.windows, strict=True):
            if tensor.data is not None:
                strides.append(None)
                continue
            if top is None or bottom is None:
                raise _refused(graph, f"{_named(op)} reads all of {tensor.name!r} for each row")
            count = len(part.cuts) - 1
            stride = (bottom.top - top.top) // count if count else None
            if stride is not None and not _even(part, tensor.name, stride):
                raise _refused(graph, f"{_named(op)} does not go down {tensor.name!r} at one pace")
            strides.append(stride)
        return _Moves(op, io, first, tuple(strides))

    def cut(self, row: int, hops: Mapping[str, int]) -> Cut:
        """What makes a row; an op that makes one row a window reads on by the ``hops`` of its inputs."""
        found: list[Window | None] = []
        for tensor, window, stride in zip(self.io.inputs, self.first.windows, self.strides, strict=True):
            if window is None:
                found.append(None)
            else:
                step = hops[tensor.name] if stride is None else stride
                found.append(replace(window, top=window.top + step * row))
        return Cut(self.first.op, tuple(found))


def _even(part: RowOp, name: str, stride: int) -> bool:
    """Whether each row of an op reads as many rows of an input, ``stride`` (at least 1) below those of the last."""
    tops, bottoms = part.spans[name]
    steps = {*(tops[1:] - tops[:-1]).tolist(), *(bottoms[1:] - bottoms[:-1]).tolist()}
    return stride > 0 and steps == {stride}


class _Slide:
    """A sliding stage: ``ops`` of a graph, the last of which makes one row a window of the image ``arrives``."""

    def __init__(self, graph: Graph, ops: Sequence[Op], arrives: str) -> None:
        self.graph, self.arrives = graph, arrives
        self.image = graph.tensors[arrives]
        cuts = Cuts(graph)
        self.moves = tuple(_Moves.of(graph, cuts, op) for op in ops)
        paces = self._paces()
        self.hop = lcm(*paces.values())
        self.hops = {name: self.hop // paces.get(name, self.hop) for name in (arrives, *(op.output for op in ops))}
        self.first = self._first_window()

    def rows(self) -> Rows:
        """The stage: the first window, and the hops until they repeat."""
        longest = -(-self.image.hw[0] // self.hop) + 1
        order, ends, cell = self._calls(longest + 2)  # enough for the rows of a hop to live and die in
        cell = with_rings(cell, order, [1] * len(cell.parts))
        buffers = Clock(self.graph, [cell], [order]).shared()
        period, places = self._repeating(cell, buffers, ends[1] - ends[0])
        order, ends, cell = self._calls(1 + period)
        calls = tuple((0, *call) for call in order)
        return Rows((replace(cell, places=places),), calls, buffers, {}, windows=tuple(ends))

    def _paces(self) -> dict[str, int]:
        """The rows of the input from one row of a tensor to the next, where a window has several."""
        found = {self.arrives: 1} if self.image.hw[0] > 1 else {}
        for move in self.moves:
            if move.io.out.hw[0] == 1:
                continue
            mine = set()
            for tensor, stride in zip(move.io.inputs, move.strides, strict=True):
                if tensor.data is None:
                    if stride is None or tensor.name not in found:
                        raise _refused(self.graph, f"all rows of {_named(move.op)} need the one of {tensor.name!r}")
                    mine.add(stride * found[tensor.name])
            if len(mine) > 1:
                raise _refused(self.graph, f"the inputs of {_named(move.op)} move on by {sorted(mine)} rows")
            found[move.op.output] = mine.pop()
        return found

    def _first_window(self) -> dict[str, tuple[int, int]]:
        """For each tensor, the first row that the first window needs, and the one below the last; all of the input."""
        found = {self.moves[-1].op.output: (0, 1), self.arrives: (0, self.image.hw[0])}
        for move in reversed(self.moves):
            top, bottom = found[move.op.output]
            first, last = move.cut(top, self.hops), move.cut(bottom - 1, self.hops)
            for tensor, low, high in zip(move.io.inputs, first.windows, last.windows, strict=True):
                if low is not None and high is not None:
                    known = found.get(tensor.name, (low.top, high.bottom))
                    found[tensor.name] = min(known[0], low.top), max(known[1], high.bottom)
        return found

    def _calls(self, windows: int) -> tuple[Order, list[int], Cell]:
        """The calls of some windows, for each the number up to its end, and the stage without its rings.

        Each begins with a row of the input and ends with the last one that is new, so nothing runs before it came.
        """
        height = self.image.hw[0]
        arrival = Arrive(f"arrival of {self.arrives}", (), self.arrives)
        held = {name: self._held(name, windows) for name in self.first}
        parts = [self._part(arrival, IO((), self.image), [Cut(arrival, ())] * held[self.arrives].height, held)]
        for move in self.moves:
            rows = held[move.op.output]
            cuts = [move.cut(y, self.hops) for y in range(rows.top, rows.bottom)]
            parts.append(self._part(move.op, move.io, cuts, held))
        demand, ends = Demand(parts), []
        for window in range(windows):
            demand.make(0)
            demand.make(len(parts) - 1)
            while demand.done[0] < height + window * self.hop:
                demand.make(0)
            ends.append(len(demand.order))
        return demand.order, ends, Cell(tuple(parts), held, {})

    def _held(self, name: str, windows: int) -> Window:
        """All rows of a tensor that some windows need."""
        top, bottom = self.first[name]
        height = bottom - top + (windows - 1) * self.hops[name]
        return Window(top, 0, height, self.graph.tensors[name].hw[1])

    def _part(self, op: Op, io: IO, cuts: Sequence[Cut], held: Mapping[str, Window]) -> RowOp:
        rows = held[op.output]
        outs = tuple(Window(y, 0, 1, rows.width) for y in range(rows.top, rows.bottom))
        return RowOp(op, io, tuple(cuts), outs)

    def _repeating(self, cell: Cell, buffers: Mapping[str, str], events: int) -> tuple[int, dict[str, Place]]:
        """After how many hops, of so many ``events`` each, all rings are where they were, and the rings.

        The list of calls and the rings are as short as can be together (see ``LINE``).
        """
        least = max(-(-place.slots // self.hops[name]) for name, place in cell.places.items())
        found: list[tuple[float, int, dict[str, Place]]] = []
        for period in range(1, max(EVENTS // events, least) + 1):
            slots = {name: _divisor(place.slots, period * self.hops[name]) for name, place in cell.places.items()}
            sizes: dict[str, int] = {}
            for name, count in slots.items():
                sizes[buffers[name]] = max(sizes.get(buffers[name], 0), count * cell.row_bytes(name))
            if all(slots.values()):
                places = {name: Place(count, cell.row_bytes(name)) for name, count in slots.items()}
                found.append((sum(sizes.values()) + LINE * events * period, period, places))
        _, period, places = min(found, key=lambda one: one[:2])
        return period, places


def _divisor(least: int, number: int) -> int:
    """The least divisor of ``number`` that is not below ``least``; 0, where none is."""
    return next((d for d in range(least, number + 1) if number % d == 0), 0)


def _named(op: Op) -> str:
    return f"{op.name!r} ({type(op).__name__})"


def _refused(graph: Graph, why: str) -> UsageError:
    return UsageError(
        f"no window can slide over the input of {graph.name}: {why}",
        hint="push the rows of each window (--input streamed), or hold it (the default)",
    )
