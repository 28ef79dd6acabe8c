"""Runs and addresses to a program: every op becomes a call, every stage a loop of calls on windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinycompile.ir import Graph, Tensor, Window
from tinycompile.schedule.liveness import Kernels, roots, scratch_name
from tinycompile.schedule.place import Placement, Problem
from tinycompile.schedule.program import Call, Loop, Program, Span, View
from tinycompile.schedule.stages import Patch, Run


def assemble(graph: Graph, runs: Sequence[Run], kernels: Kernels, problem: Problem, placement: Placement) -> Program:
    """The program of ``runs`` with buffers at the offsets of ``placement``, which solves ``problem``."""
    frame = _Frame(graph, kernels, placement.offsets)
    spans = tuple(Span(b.name, placement.offsets[b.name], b.size, b.start, b.stop) for b in problem.buffers)
    return Program(
        graph,
        tuple(frame.step(run) for run in runs if not run.ops[0].alias),
        placement.height,
        tuple(frame.view(name) for name in graph.inputs),
        tuple(frame.view(name) for name in graph.outputs),
        placement.bound,
        spans=spans,
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


class _Frame:
    """Where everything lies; it turns runs into steps of a program."""

    def __init__(self, graph: Graph, kernels: Kernels, offsets: Mapping[str, int]) -> None:
        self.graph, self.kernels, self.offsets = graph, kernels, offsets
        self.roots = roots(graph)

    def view(self, name: str) -> View:
        """A whole tensor where its buffer lies."""
        return whole_view(self.graph.tensors[name], self.offsets[self.roots[name]])

    def step(self, run: Run) -> Call | Loop:
        if not run.patches:
            (op,) = run.ops
            inputs = tuple(self.view(t.name) for t in self.graph.io(op).activations)
            return Call(op, self.kernels[op.name], inputs, self.view(op.output), self.offsets.get(scratch_name(op)))
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
        return Call(op, self.kernels[op.name], inputs, output, self.offsets.get(scratch_name(op)))

    def window(self, run: Run, patch: Patch, name: str, window: Window | None) -> View:
        """A window of a tensor: in the patch that is inside the stage, or in the whole tensor outside."""
        if window is None:
            return self.view(name)
        tensor = self.graph.tensors[name]
        held = patch.windows[name] if name in run.inside else Window.whole(tensor.hw)
        return part_view(tensor, self.offsets[self.roots[name]], held, window)
