"""Where to cut a network, and into what grid: runs of ops that are computed patch by patch.

A stage is everything between some tensors and one later tensor, ``until``. Its output is cut into a grid,
and each patch asks the ops before it, last to first, for the windows that it needs. Neighbouring patches
compute the rows and columns they share (the halo) twice; in return only one patch of every tensor inside
the stage is ever alive. Strips of full width are grids with one column. A streamed stage computes nothing
twice: it goes row by row and keeps rows instead (``rows``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tinycompile.ir import IO, Cut, Graph, Op, Pair, Tensor, Window
from tinycompile.schedule.pushed import arriving
from tinycompile.schedule.rows import RowOps, Rows, rows_of


@dataclass(frozen=True)
class Stage:
    """Compute ``until`` in a grid of (rows, columns) patches, from ``since`` (None: from the inputs)."""

    until: str
    grid: Pair
    since: str | None = None

    def __str__(self) -> str:
        rows, columns = self.grid
        return f"patches {rows}x{columns} to {self.until}" + (f" from {self.since}" if self.since else "")


@dataclass(frozen=True)
class Streams:
    """Stages that run row by row, each (since, until); ``since`` None: from the inputs."""

    stages: tuple[tuple[str | None, str], ...]
    pushed: bool = False
    """Whether the first stage gets the rows of the input from the application, one by one."""

    def __str__(self) -> str:
        return "rows " + ", ".join(f"to {until}" + (f" from {since}" if since else "") for since, until in self.stages)


@dataclass(frozen=True)
class Patch:
    """One iteration of a stage: ops restricted to windows, and the window of every tensor they touch."""

    ops: tuple[Op, ...]
    reads: tuple[tuple[Window | None, ...], ...]
    """For each op, the window of each of its inputs; None for constants and for what is read whole."""
    windows: Mapping[str, Window]
    """The part of each tensor that exists in this iteration; it holds all windows that are read from it."""
    ios: tuple[IO, ...]
    """For each op, its tensors with the extents of this patch."""


@dataclass(frozen=True)
class Run:
    """What the planner treats as one step: one whole op, or the ops of a stage with their patches or rows."""

    ops: tuple[Op, ...]
    patches: tuple[Patch, ...] = ()
    rows: Rows | None = None

    @property
    def output(self) -> str:
        """The one tensor that is used after the run."""
        return self.ops[-1].output

    @property
    def inside(self) -> frozenset[str]:
        """Tensors that exist only within the run, one patch or some rows at a time."""
        return frozenset(op.output for op in self.ops[:-1]) if self.patches or self.rows else frozenset()

    def reads(self, graph: Graph) -> tuple[str, ...]:
        """The tensors that the run reads from outside, constants left out."""
        made = {op.output for op in self.ops} | ({self.rows.arrives} if self.rows else set())
        names = dict.fromkeys(n for op in self.ops for n in op.inputs if n not in made)
        return tuple(n for n in names if graph.tensors[n].data is None)


def whole(graph: Graph) -> tuple[Run, ...]:
    """Layer by layer: one run for each op."""
    return tuple(Run((op,)) for op in graph.ops)


def staged(graph: Graph, stage: Stage, *, probe: bool = False) -> tuple[Run, ...] | None:
    """The graph with the stage as one run; None where its ops cannot be cut that way.

    A ``probe`` has only one large patch in the middle: enough to judge the memory it takes.
    """
    ops = members(graph, stage)
    if ops is None:
        return None
    cells = grid_cells(graph.tensors[stage.until], stage.grid)
    patches = _patches(graph, ops, _middle(cells) if probe else cells)
    if patches is None:
        return None
    names = {op.name for op in ops}
    before = _ancestors(graph, {n for op in ops for n in op.inputs})
    early = [Run((op,)) for op in graph.ops if op.name in before and op.name not in names]
    late = [Run((op,)) for op in graph.ops if op.name not in before and op.name not in names]
    return (*early, Run(ops, patches), *late)


def streamed(graph: Graph, streams: Streams, cut: RowOps | None = None) -> tuple[Run, ...] | None:
    """The graph with each of these stages as one run, row by row; None where ops cannot be cut so.

    ``cut`` is ``row_op``, or remembers what it found.
    """
    last: dict[str, Run] = {}
    inside: set[str] = set()
    arrives = _arrives(graph, streams)
    for since, until in streams.stages:
        least = 1 if arrives is not None and not last else 2
        if arrives is not None and not last and arrives not in graph.inputs:
            since = arrives
        ops = members(graph, Stage(until, (1, 1), since), least)
        rows = rows_of(graph, ops, cut, arrives=None if last else arrives) if ops is not None else None
        names = {op.name for op in ops or ()}
        if ops is None or rows is None or names & inside:
            return None
        if rows.arrives is not None and any(op.name not in names for op in graph.consumers()[rows.arrives]):
            return None
        inside |= names
        last[ops[-1].name] = Run(ops, rows=rows)
    return tuple(last.get(op.name) or Run((op,)) for op in graph.ops if op.name in last or op.name not in inside)


def _arrives(graph: Graph, streams: Streams) -> str | None:
    """What is pushed into the first stage: the input, perhaps under the name of an alias; None: nothing is.

    Raises UsageError where it cannot be (see ``arriving``).
    """
    return arriving(graph) if streams.pushed else None


def members(graph: Graph, stage: Stage, least: int = 2) -> tuple[Op, ...] | None:
    """The ops of a stage in order; None where something inside is needed outside, or there are under ``least``."""
    inner = _ancestors(graph, {stage.until})
    if stage.since is not None:
        inner -= _ancestors(graph, {stage.since})
    ops = tuple(op for op in graph.ops if op.name in inner)
    if len(ops) < least or stage.until not in graph.tensors:
        return None
    users = graph.consumers()
    for op in ops:
        outside = op.output in graph.outputs or any(user.name not in inner for user in users[op.output])
        if op.output != stage.until and outside:
            return None
    return (*(op for op in ops if op.output != stage.until), *(op for op in ops if op.output == stage.until))


def _ancestors(graph: Graph, names: set[str]) -> set[str]:
    """Names of the ops that the tensors ``names`` depend on."""
    found, needed = set(), set(names)
    for op in reversed(graph.ops):
        if op.output in needed:
            found.add(op.name)
            needed.update(op.inputs)
    return found


def grid_cells(out: Tensor, grid: Pair) -> tuple[Window, ...]:
    """The windows of a grid over an image, row by row, of heights and widths that differ by one at most.

    There are none where the tensor is no image or smaller than the grid.
    """
    if len(out.shape) != 4 or grid[0] > out.hw[0] or grid[1] > out.hw[1]:
        return ()
    tops = [i * out.hw[0] // grid[0] for i in range(grid[0] + 1)]
    lefts = [i * out.hw[1] // grid[1] for i in range(grid[1] + 1)]
    return tuple(
        Window(top, left, bottom - top, right - left)
        for top, bottom in pairwise(tops)
        for left, right in pairwise(lefts)
    )


def _middle(cells: Sequence[Window]) -> Sequence[Window]:
    """Of the largest cells the one nearest to the middle, if there are cells: with halos on all sides."""
    if not cells:
        return ()
    middle = (cells[-1].bottom, cells[-1].right)

    def rank(cell: Window) -> tuple[int, int]:
        off = abs(cell.top + cell.bottom - middle[0]) + abs(cell.left + cell.right - middle[1])
        return cell.height * cell.width, -off

    return (max(cells, key=rank),)


def _patches(graph: Graph, ops: Sequence[Op], cells: Sequence[Window]) -> tuple[Patch, ...] | None:
    """One patch for each cell; None where there are no cells or an op cannot be cut."""
    found = []
    for window in cells:
        patch = _patch(graph, ops, window)
        if patch is None:
            return None
        found.append(patch)
    return tuple(found) or None


def _patch(graph: Graph, ops: Sequence[Op], window: Window) -> Patch | None:
    """What must run to make ``window`` of the last op's output; None where an op cannot be cut."""
    windows = {ops[-1].output: window}
    made = {op.output for op in ops}
    cuts = []
    for op in reversed(ops):
        io = graph.io(op)
        cut = None if op.alias else op.restrict(io, windows[op.output])
        if cut is None:
            return None
        cuts.append(cut)
        for tensor, needed in zip(io.inputs, cut.windows, strict=True):
            if needed is None and tensor.name in made:
                return None
            if needed is not None and tensor.data is None:
                known = windows.get(tensor.name, needed)
                windows[tensor.name] = _hull(known, needed)
    cuts.reverse()
    ios = tuple(_cut_io(graph.io(c.op), c, windows[c.op.output]) for c in cuts)
    return Patch(tuple(c.op for c in cuts), tuple(c.windows for c in cuts), windows, ios)


def _cut_io(io: IO, cut: Cut, window: Window) -> IO:
    """The tensors of a restricted op with the extents of their windows."""
    pairs = zip(io.inputs, cut.windows, strict=True)
    inputs = tuple(t if w is None or t.data is not None else _part(t, w) for t, w in pairs)
    return replace(io, inputs=inputs, out=_part(io.out, window))


def _hull(one: Window, other: Window) -> Window:
    """The smallest window that holds both."""
    top, left = min(one.top, other.top), min(one.left, other.left)
    return Window(top, left, max(one.bottom, other.bottom) - top, max(one.right, other.right) - left)


def _part(tensor: Tensor, window: Window) -> Tensor:
    """A tensor with the extents of one of its windows."""
    return tensor.like(shape=(1, window.height, window.width, tensor.channels))
