"""An op row by row: the calls that make what a cell holds of its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinycompile.ir import IO, Array, Cut, Graph, Op, Tensor, Window
from tinycompile.schedule.cells import hull


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
    def demands(self) -> tuple[tuple[tuple[str, int], ...], ...]:
        """For each call the images of which it needs a part, and the row below the last one needed."""
        return tuple(tuple((name, w.bottom) for name, w in reads if w is not None) for reads in self.reads)

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


def arrivals(tensor: Tensor) -> RowOp | None:
    """The rows of a pushed input."""
    if not is_image(tensor):
        return None
    op = Arrive(f"arrival of {tensor.name}", (), tensor.name)
    outs = tuple(_blocks(Window.whole(tensor.hw), 1))
    return RowOp(op, IO((), tensor), (Cut(op, ()),) * len(outs), outs)


def _blocks(held: Window, step: int) -> list[Window]:
    """Rows that are made by one call: from one multiple of ``step`` to the next, so that none wraps in a ring."""
    if step == 0:
        return [held]
    tops = [held.top, *range((held.top // step + 1) * step, held.bottom, step)]
    bottoms = [*tops[1:], held.bottom]
    return [Window(a, held.left, b - a, held.width) for a, b in zip(tops, bottoms, strict=True)]


def _part(tensor: Tensor, window: Window) -> Tensor:
    """A tensor with the extents of one of its windows."""
    return tensor.like(shape=(1, window.height, window.width, tensor.channels))


def is_image(tensor: Tensor) -> bool:
    """Whether a tensor is NHWC with batch 1."""
    return len(tensor.shape) == 4 and tensor.shape[0] == 1
