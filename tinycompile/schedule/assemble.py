"""Runs and addresses to a program: ops become calls, stages loops of calls on windows or streams of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tinycompile.ir import Graph, Op, Tensor, Window
from tinycompile.schedule.liveness import POSITION, Kernels, pushed_rows, roots, scratch_name
from tinycompile.schedule.place import Placement, Problem
from tinycompile.schedule.program import Arrival, Bank, Call, Loop, Part, Program, Span, Stream, View
from tinycompile.schedule.rows import Arrive, Rows
from tinycompile.schedule.stages import Patch, Run


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
    pushed = pushed_rows(runs)
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
    return View(tensor.name, start, (1, window.height, window.width, tensor.channels), pitch)


def ring_view(tensor: Tensor, offset: int, slots: int, window: Window) -> View:
    """Rows of an image in the ring of ``slots`` rows that starts at an offset: row y is in slot y modulo slots."""
    first = part_view(tensor, offset, Window.whole(tensor.hw), replace(window, top=window.top % slots))
    return replace(first, slot=window.top % slots, slots=slots)


class _Frame:
    """Where everything lies; it turns runs into steps of a program."""

    def __init__(self, graph: Graph, kernels: Kernels, offsets: Mapping[str, int]) -> None:
        self.graph, self.kernels, self.offsets = graph, kernels, offsets
        self.roots = roots(graph)

    def view(self, name: str) -> View:
        """A whole tensor where its buffer lies."""
        return whole_view(self.graph.tensors[name], self.offsets[self.roots[name]])

    def step(self, run: Run) -> Call | Loop | Stream:
        if run.rows is not None:
            return Stream(tuple(self.event(run, run.rows, index, y) for index, y in run.rows.calls))
        if not run.patches:
            (op,) = run.ops
            inputs = tuple(self.view(t.name) for t in self.graph.io(op).activations)
            return Call(op, self.kernels[op.name], inputs, self.view(op.output), self.scratch(op, run))
        return Loop(tuple(tuple(self.call(run, p, i) for i in range(len(run.ops))) for p in run.patches))

    def call(self, run: Run, patch: Patch, index: int) -> Call:
        """One op of one patch."""
        op = patch.ops[index]
        inputs = tuple(
            self.window(run, patch, name, window)
            for name, window in zip(op.inputs, patch.reads[index], strict=True)
            if self.graph.tensors[name].data is None
        )
        output = self.window(run, patch, op.output, patch.windows[op.output])
        return Call(op, self.kernels[op.name], inputs, output, self.scratch(run.ops[index], run))

    def pushed(self, name: str, rows: Rows) -> View:
        """All rows of a pushed input, in its ring."""
        assert rows.arrives is not None
        ring = self.rows(rows, rows.arrives, Window.whole(self.graph.tensors[rows.arrives].hw))
        return replace(ring, tensor=name)

    def event(self, run: Run, rows: Rows, index: int, y: int) -> Call | Arrival:
        """One row of one op of a streamed stage, or of the pushed input."""
        part = rows.ops[index]
        op, out = part.cuts[y].op, part.io.out
        output = self.rows(rows, out.name, part.window(y))
        if isinstance(op, Arrive):
            return Arrival(output)
        inputs = tuple(self.rows(rows, name, window) for name, window in part.reads(y))
        kernel = self.kernels[op.name]
        scratch = self.scratch(part.op, run) if kernel.scratch(op, part.row_io(y)) else None
        taken = Part(y == 0, y == len(part.cuts) - 1) if part.folds else None
        return Call(op, kernel, inputs, output, scratch, taken)

    def scratch(self, op: Op, run: Run) -> int | None:
        """The offset of an op's scratch, if it has any."""
        return self.offsets.get(scratch_name(op, run))

    def rows(self, rows: Rows, name: str, window: Window | None) -> View:
        """A window of a tensor: in its ring inside the stage, in the whole tensor outside."""
        if window is None:
            return self.view(name)
        tensor, offset = self.graph.tensors[name], self.offsets[rows.buffers.get(name) or self.roots[name]]
        slots = rows.slots.get(name, 0)
        if slots in (0, tensor.hw[0]):
            return part_view(tensor, offset, Window.whole(tensor.hw), window)
        return ring_view(tensor, offset, slots, window)

    def window(self, run: Run, patch: Patch, name: str, window: Window | None) -> View:
        """A window of a tensor: in the patch that is inside the stage, or in the whole tensor outside."""
        if window is None:
            return self.view(name)
        tensor = self.graph.tensors[name]
        held = patch.windows[name] if name in run.inside else Window.whole(tensor.hw)
        return part_view(tensor, self.offsets[self.roots[name]], held, window)
