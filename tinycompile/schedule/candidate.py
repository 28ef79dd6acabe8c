"""One way to run a network, judged before it is placed: kernels, order, predicted cycles, lower bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tinycompile.backends import Kernel, candidates
from tinycompile.boards import Board
from tinycompile.cost import kernel_cycles
from tinycompile.errors import Unsupported, UnsupportedOp
from tinycompile.ir import IO, Graph, Op
from tinycompile.schedule.assemble import assemble
from tinycompile.schedule.check import check
from tinycompile.schedule.liveness import Kernels, in_place, problem, pushed_rows, roots, tasks, without
from tinycompile.schedule.order import best_order
from tinycompile.schedule.place import Placement, Problem, lower_bound, solve
from tinycompile.schedule.program import Program
from tinycompile.schedule.rows import Rows
from tinycompile.schedule.stages import Plan, Run

Preference = Callable[[Kernel, Op, IO, str], tuple[int, ...]]


@dataclass(frozen=True)
class Candidate:
    """Runs in the order with the lowest peak, a kernel for each op, and predicted cycles of one inference."""

    graph: Graph
    plan: Plan | None
    runs: tuple[Run, ...]
    kernels: Kernels
    cycles: int

    @cached_property
    def problem(self) -> Problem:
        """The placement problem, without a capacity."""
        return problem(self.graph, self.runs, self.kernels)

    @cached_property
    def bound(self) -> int:
        """Bytes below which no arena of this candidate can be."""
        return lower_bound(self.problem)

    @cached_property
    def placement(self) -> Placement:
        """The best placement that the search finds."""
        return solve(self.problem)

    def program(self) -> Program:
        """The program, its placement checked."""
        check(self.problem, self.placement)
        made = assemble(self.graph, self.runs, self.kernels, self.problem, self.placement)
        return replace(made, arena_bytes_without_input=self._height_without_inputs())

    def _height_without_inputs(self) -> int:
        """The arena if the application kept the inputs elsewhere."""
        owner = roots(self.graph)
        if pushed_rows(self.runs) is not None:
            return self.placement.height
        inputs = {owner[name] for name in self.graph.inputs} - {owner[name] for name in self.graph.outputs}
        return solve(without(self.problem, inputs)).height

    def __str__(self) -> str:
        return str(self.plan) if self.plan else "layer by layer"


def variants(graph: Graph, runs: Sequence[Run], board: Board, plan: Plan | None = None) -> list[Candidate]:
    """These runs with the fastest kernels, and, where they differ, with those that need the least scratch; each with
    rings side by side, and, where that may be better, in place.

    None at all where an op of a stage has no kernel for windows. Raises UnsupportedOp, naming all of them,
    where ops have no kernel on the board's core.
    """
    ops = [op for op in graph.ops if not op.alias]
    rows = {op.name: candidates(op, graph.io(op), board.features) for op in ops}
    missing = [_unsupported(op, graph.io(op)) for op in ops if not rows[op.name]]
    if missing:
        raise UnsupportedOp(missing, where=graph.name)
    for run in runs:
        if run.rows is not None:
            rows |= {op.name: _kernels_for_rows(rows[op.name], op, run.rows) for op in run.ops}
    if not all(rows.values()):
        return []
    chosen = [{op.name: _first(rows[op.name], prefer, op, graph, board) for op in ops} for prefer in (fastest, leanest)]
    found = []
    for kernels in chosen[: 1 + (chosen[0] != chosen[1])]:
        placed = [in_place(graph, run, kernels) for run in runs]
        better = any(one is not other for one, other in zip(placed, runs, strict=True))
        found += [_candidate(graph, way, kernels, board, plan) for way in (runs, placed)[: 1 + better]]
    return found


def folding(graph: Graph, board: Board) -> Kernels:
    """For the ops that can take in their input a few rows at a time, the first kernel that does."""
    found = {}
    for op in (op for op in graph.ops if not op.alias and op.fold(graph.io(op)) is not None):
        row = next(filter(_takes_parts, candidates(op, graph.io(op), board.features)), None)
        if row is not None:
            found[op.name] = row
    return found


def _takes_parts(kernel: Kernel) -> bool:
    return "in0_last" in kernel.arguments


def _candidate(graph: Graph, runs: Sequence[Run], kernels: Kernels, board: Board, plan: Plan | None) -> Candidate:
    arranged = _arranged(graph, runs, kernels)
    return Candidate(graph, plan, arranged, kernels, _cycles(graph, arranged, kernels, board.core))


def _first(rows: Sequence[Kernel], prefer: Preference, op: Op, graph: Graph, board: Board) -> Kernel:
    io = graph.io(op)
    return min(rows, key=lambda row: prefer(row, op, io, board.core))


def fastest(kernel: Kernel, op: Op, io: IO, core: str) -> tuple[int, ...]:
    """Prefer few predicted cycles; among equals the row that comes first."""
    return (kernel_cycles(op, io, kernel, core),)


def leanest(kernel: Kernel, op: Op, io: IO, core: str) -> tuple[int, ...]:
    """Prefer little scratch, then few predicted cycles."""
    return kernel.scratch(op, io), kernel_cycles(op, io, kernel, core)


def _unsupported(op: Op, io: IO) -> Unsupported:
    types = ", ".join(str(t) for t in (*io.activations, io.out))
    return Unsupported(op.name, type(op).__name__, f"no kernel computes it on {types}")


def _kernels_for_rows(kernels: Sequence[Kernel], op: Op, rows: Rows) -> tuple[Kernel, ...]:
    """The kernels that fit each call: told of pitches, and of turns where they read past the end of a ring."""
    if rows.folds(op):
        return tuple(kernel for kernel in kernels if _takes_parts(kernel))
    images = [(i, t) for i, t in enumerate(rows.of[op.name][0].io.activations) if len(t.shape) == 4]
    needed = {"out_pitch", *(f"in{i}_pitch" for i, _ in images)}
    for i, tensor in images:
        needed |= {f"in{i}_turn", f"in{i}_ring"} if rows.wraps(op, tensor.name) else set()
    told = [kernel for kernel in kernels if needed <= set(kernel.arguments)]
    return tuple(kernel for kernel in told if all(kernel.fits(kind.op, kind.io) for kind in rows.kinds(op)))


def _cycles(graph: Graph, runs: Sequence[Run], kernels: Kernels, core: str) -> int:
    total = 0
    for run in runs:
        for op in run.ops:
            if run.rows is not None:
                kinds = run.rows.kinds(op)
                total += sum(kind.count * kernel_cycles(kind.op, kind.io, kernels[op.name], core) for kind in kinds)
            elif not op.alias:
                total += kernel_cycles(op, graph.io(op), kernels[op.name], core)
    return total


def _arranged(graph: Graph, runs: Sequence[Run], kernels: Kernels) -> tuple[Run, ...]:
    """The runs in the order with the lowest peak; an alias follows what it is an alias of."""
    owner = roots(graph)
    work, sizes = tasks(graph, runs, kernels)
    given, kept = ([owner[n] for n in names] for names in (graph.inputs, graph.outputs))
    found = best_order(work, sizes, given if pushed_rows(runs) is None else (), kept)
    by_output = {run.output: run for run in runs}
    aliases = [run for run in runs if run.ops[0].alias]
    ordered: list[Run] = []
    for name in (*dict.fromkeys(given), *(work[i].name for i in found.order)):
        ordered += [by_output[name]] if name in by_output else []
        ordered += [run for run in aliases if owner[run.output] == name]
    return tuple(ordered)
