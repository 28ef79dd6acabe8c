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

from tinycompile.ir import Graph, Op, Pair, Window
from tinycompile.schedule.cells import grid_cells, hull
from tinycompile.schedule.parts import Arrive, Cuts, Kind, RowOp, arrivals
from tinycompile.schedule.timeline import Between, Cell, Clock, Demand, Order, in_turn, state_name, with_rings

__all__ = ["Arrive", "Cell", "Cuts", "Rows", "rows_of", "state_name"]


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
    paces: Mapping[str, int] = field(default_factory=dict)
    """The same for ops (by name) that make another number of rows."""
    ends: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Where the ops run one after the other (``step`` 0): for each buffer the first and the last op that uses it."""
    windows: tuple[int, ...] = ()
    """Where a window slides over a pushed input: how many calls end the first window, the second, and so on up to
    the one behind which the calls repeat, from the second on. The output is a row of the last op for each."""

    @property
    def orders(self) -> list[Order]:
        """The calls of each cell."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.cells]
        for cell, index, number in self.calls:
            found[cell].append((index, number))
        return list(found)

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
        """The different kinds of calls of an op; where a window slides, its calls in a hop, which are of one kind."""
        found: dict[object, Kind] = {}
        for part in self.of[op.name]:
            for key, kind in part.kinds.items():
                known = found.get(key)
                found[key] = replace(known, count=known.count + kind.count) if known else kind
        if self.windows:
            (kind,), hop = found.values(), self.calls[self.windows[0] : self.windows[1]]
            return (replace(kind, count=sum(self.cells[0].parts[i].op is op for _, i, _ in hop)),)
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
                    found[buffer] = max(found.get(buffer, 0), cell.ring_bytes(part.op.output))
        return found


def rows_of(
    graph: Graph,
    ops: Sequence[Op],
    cuts: Cuts | None = None,
    *,
    grid: Pair = (1, 1),
    step: int = 1,
    paces: Mapping[str, int] | None = None,
    arrives: str | None = None,
) -> Rows | None:
    """The stage ``ops``, in a valid order, as rows; None where an op cannot be cut so.

    The output is cut into a ``grid`` of cells, and a call makes ``step`` rows of a cell, or all of them (0); those of
    ops in ``paces`` (none where ``step`` is 0) make as many rows as it says.
    ``arrives`` is an image that is not in memory but pushed row by row; the grid is then 1x1.
    """
    paces = paces or {}
    pace = [paces.get(op.name, step) for op in ops]
    windows = grid_cells(graph.tensors[ops[-1].output], grid) if ops else ()
    found = [_cell(graph, ops, cuts or Cuts(graph), window, pace, grid, arrives) for window in windows]
    cells = [cell for cell in found if cell is not None]
    if len(cells) < len(found) or not cells or (arrives is not None and grid != (1, 1)):
        return None
    orders = [in_turn(cell.parts) if step == 0 else Demand(cell.parts).run() for cell in cells]
    pace = [1] * (arrives is not None) + pace
    clock = Clock(graph, [with_rings(cell, order, pace) for cell, order in zip(cells, orders, strict=True)], orders)
    calls = tuple((i, *call) for i, order in enumerate(orders) for call in order)
    inside = list(clock.cells[0].places)
    buffers = {name: name for name in inside} if step == 0 else clock.shared()
    ends = _ends(clock.cells[0].parts, inside) if step == 0 else {}
    return Rows(clock.cells, calls, buffers, clock.lags(buffers), grid, step, paces, ends)


def _cell(
    graph: Graph, ops: Sequence[Op], cuts: Cuts, window: Window, pace: Sequence[int], grid: Pair, arrives: str | None
) -> Cell | None:
    """A cell without its rings: what must run to make ``window`` of the last op's output."""
    held = {ops[-1].output: window}
    made = {op.output for op in ops} | {arrives}
    parts: list[RowOp | None] = []
    for op, step in zip(reversed(ops), reversed(pace), strict=True):
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
        parts.append(arrivals(graph.tensors[arrives]))
        held[arrives] = Window.whole(graph.tensors[arrives].hw) if parts[-1] else window
    found = tuple(part for part in reversed(parts) if part is not None)
    return Cell(found, held, {}) if len(found) == len(parts) else None


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
