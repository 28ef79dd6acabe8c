"""Runs and addresses to a program: ops become calls, stages streams of calls on rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from tinycompile.ir import Graph, Op, Tensor, Window
from tinycompile.schedule.liveness import POSITION, Kernels, pushed_run, roots, scratch_name
from tinycompile.schedule.place import Placement, Problem
from tinycompile.schedule.program import Arrival, Bank, Call, Part, Program, Span, Stream, View
from tinycompile.schedule.rows import Arrive, Cell, Rows
from tinycompile.schedule.stages import Run
from tinycompile.schedule.timeline import Place


def assemble(
    graph: Graph,
    runs: Sequence[Run],
    kernels: Kernels,
    problem: Problem,
    placement: Placement,
    banks: tuple[Bank, ...] = (),
) -> Program:
    """The program of ``runs`` with buffers at the offsets of ``placement``, which solves ``problem``."""
    frame = _Frame(graph, kernels, placement.offsets)
    spans = tuple(Span(b.name, placement.offsets[b.name], b.size, b.start, b.stop) for b in problem.buffers)
    pushed = pushed_run(runs)
    return Program(
        graph,
        tuple(frame.step(run) for run in runs if not run.ops[0].alias),
        placement.height,
        tuple(frame.view(name) if pushed is None else frame.pushed(name, pushed) for name in graph.inputs),
        tuple(frame.view(name) for name in graph.outputs),
        placement.bound,
        spans=spans,
        banks=banks,
        position=placement.offsets.get(POSITION),
    )


def whole_view(tensor: Tensor, offset: int) -> View:
    """A whole tensor at an offset."""
    row = tensor.shape[2] * tensor.channels if len(tensor.shape) == 4 else tensor.size
    return View(tensor.name, offset, tensor.shape, row * tensor.dtype.size)


def part_view(tensor: Tensor, offset: int, held: Window, window: Window) -> View:
    """The part ``window`` of an image of which the arena holds the part ``held`` at an offset."""
    pixel = tensor.channels * tensor.dtype.size
    pitch = held.width * pixel
    start = offset + (window.top - held.top) * pitch + (window.left - held.left) * pixel
    shape = (1, window.height, window.width, tensor.channels)
    return View(tensor.name, start, shape, pitch, top=window.top, left=window.left)


def ring_view(tensor: Tensor, offset: int, place: Place, held: Window, window: Window) -> View:
    """The same where rows have a ``place`` in the buffer at an offset."""
    pixel = tensor.channels * tensor.dtype.size
    slot = (window.top * place.scale + place.shift) % place.slots
    start = offset + slot * place.pitch + place.offset + (window.left - held.left) * pixel
    shape = 1, window.height, window.width, tensor.channels
    ring = (slot, place.slots) if place.ring else (0, 0)
    return View(tensor.name, start, shape, place.pitch, *ring, window.top, window.left)


class _Frame:
    """Where everything lies; it turns runs into steps of a program."""

    def __init__(self, graph: Graph, kernels: Kernels, offsets: Mapping[str, int]) -> None:
        self.graph, self.kernels, self.offsets = graph, kernels, offsets
        self.roots = roots(graph)

    def view(self, name: str) -> View:
        """A whole tensor where its buffer lies."""
        return whole_view(self.graph.tensors[name], self.offsets[self.roots[name]])

    def step(self, run: Run) -> Call | Stream:
        rows = run.rows
        if rows is not None:
            events = tuple(self.event(run, rows, *call) for call in rows.calls)
            first, *more = rows.windows or (len(events),)
            hops = tuple(events[a:b] for a, b in pairwise((first, *more)))
            return Stream(events[:first], rows.grid, rows.step, hops)
        (op,) = run.ops
        inputs = tuple(self.view(t.name) for t in self.graph.io(op).activations)
        return Call(op, self.kernels[op.name], inputs, self.view(op.output), self.scratch(op, run))

    def pushed(self, name: str, run: Run) -> View:
        """All rows of a pushed input, in its ring."""
        assert run.rows is not None and run.rows.arrives is not None
        (cell,) = run.rows.cells
        ring = self.rows(run, cell, run.rows.arrives, Window.whole(self.graph.tensors[run.rows.arrives].hw))
        return replace(ring, tensor=name)

    def event(self, run: Run, rows: Rows, number: int, index: int, call: int) -> Call | Arrival:
        """Some rows of one op of a stage, or of the pushed input."""
        cell = rows.cells[number]
        part = cell.parts[index]
        op = part.cuts[call].op
        out = part.outs[call]
        if rows.windows and part.op.output == run.output:
            out = replace(out, top=0)  # each window's row takes the place of the last one's
        output = self.rows(run, cell, part.op.output, out)
        if isinstance(op, Arrive):
            return Arrival(output)
        inputs = tuple(self.rows(run, cell, name, window) for name, window in part.reads[call])
        kernel = self.kernels[op.name]
        scratch = self.scratch(part.op, run) if kernel.scratch(op, part.call_io(call)) else None
        taken = Part(call == 0, call == len(part.cuts) - 1) if part.folds else None
        return Call(op, kernel, inputs, output, scratch, taken)

    def scratch(self, op: Op, run: Run) -> int | None:
        """The offset of an op's scratch, if it has any."""
        return self.offsets.get(scratch_name(op, run))

    def rows(self, run: Run, cell: Cell, name: str, window: Window | None) -> View:
        """A window of a tensor: in its ring or patch inside the stage, in the whole tensor outside."""
        if window is None:
            return self.view(name)
        tensor = self.graph.tensors[name]
        buffers = run.rows.buffers if run.rows is not None else {}
        if name not in buffers:
            return part_view(tensor, self.offsets[self.roots[name]], Window.whole(tensor.hw), window)
        return ring_view(tensor, self.offsets[run.buffer(buffers[name])], cell.places[name], cell.held[name], window)
