"""One way to run a network, judged before it is placed: kernels, order, predicted cycles, lower bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tinycompile.backends import Kernel, candidates
from tinycompile.boards import Board
from tinycompile.cost import kernel_cycles
from tinycompile.errors import InternalError, Unsupported, UnsupportedOp
from tinycompile.ir import IO, Graph, Op
from tinycompile.schedule.assemble import assemble
from tinycompile.schedule.banks import Layout, Memory, Room, arrange, heat
from tinycompile.schedule.check import check, check_banks
from tinycompile.schedule.liveness import Kernels, problem, pushed_rows, roots, tasks, without
from tinycompile.schedule.order import best_order
from tinycompile.schedule.place import Placement, Problem, lower_bound, solve
from tinycompile.schedule.program import Program
from tinycompile.schedule.rows import RowOp, Rows
from tinycompile.schedule.stages import Run, Stage, Streams

Preference = Callable[[Kernel, Op, IO, str], tuple[int, ...]]


@dataclass(frozen=True)
class Candidate:
    """Runs in the order with the lowest peak, a kernel for each op, and predicted cycles of one inference."""

    graph: Graph
    stage: Stage | Streams | None
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

    def layout(self, memory: Memory, *, compact: bool = False) -> Layout | None:
        """Where the buffers go in the banks that there are (see ``arrange``); None where they do not fit."""
        if self.bound > memory.size:
            return None
        return arrange(self.problem, self.placement, memory, self._heat, compact=compact)

    def _heat(self) -> dict[str, float]:
        return heat(self.graph, self.runs, self.kernels, self.problem)

    def program(self, memory: Memory | None = None, *, compact: bool = False) -> Program:
        """The program, its placement checked; without ``memory`` all of its arena is in the main one."""
        memory = memory or Memory((Room("sram", self.placement.height),), self.placement.height)
        layout = self.layout(memory, compact=compact)
        if layout is None:
            raise InternalError(f"{self} of {self.graph.name} does not fit {memory}")
        check(self.problem, layout.placement)
        check_banks(self.problem, layout.placement, layout.banks, {room.region: room.size for room in memory.rooms})
        made = assemble(self.graph, self.runs, self.kernels, self.problem, layout.placement, layout.banks)
        return replace(made, arena_bytes_without_input=self._height_without_inputs())

    def _height_without_inputs(self) -> int:
        """The arena if the application kept the inputs elsewhere."""
        owner = roots(self.graph)
        if pushed_rows(self.runs) is not None:
            return self.placement.height
        inputs = {owner[name] for name in self.graph.inputs} - {owner[name] for name in self.graph.outputs}
        return solve(without(self.problem, inputs)).height

    def __str__(self) -> str:
        return str(self.stage) if self.stage else "layer by layer"


def variants(graph: Graph, runs: Sequence[Run], board: Board, stage: Stage | Streams | None = None) -> list[Candidate]:
    """These runs with the fastest kernels, and, where they differ, with those that need the least scratch.

    None at all where an op of a stage has no kernel for windows. Raises UnsupportedOp, naming all of them,
    where ops have no kernel on the board's core.
    """
    ops = [op for op in graph.ops if not op.alias]
    rows = {op.name: candidates(op, graph.io(op), board.features) for op in ops}
    missing = [_unsupported(op, graph.io(op)) for op in ops if not rows[op.name]]
    if missing:
        raise UnsupportedOp(missing, where=graph.name)
    for run in runs:
        if run.patches:
            rows |= {op.name: _rows_for_windows(rows[op.name], graph, run, i) for i, op in enumerate(run.ops)}
        if run.rows is not None:
            rows |= {op.name: _rows_for_rows(rows[op.name], run.rows.of[op.name], run.rows) for op in run.ops}
    if not all(rows.values()):
        return []
    chosen = [{op.name: _first(rows[op.name], prefer, op, graph, board) for op in ops} for prefer in (fastest, leanest)]
    return [_candidate(graph, runs, kernels, board, stage) for kernels in chosen[: 1 + (chosen[0] != chosen[1])]]


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


def _candidate(
    graph: Graph, runs: Sequence[Run], kernels: Kernels, board: Board, stage: Stage | Streams | None
) -> Candidate:
    arranged = _arranged(graph, runs, kernels)
    return Candidate(graph, stage, arranged, kernels, _cycles(graph, arranged, kernels, board.core))


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


def _rows_for_windows(rows: Sequence[Kernel], graph: Graph, run: Run, index: int) -> tuple[Kernel, ...]:
    """The kernels that are told the pitch of every image they touch, and fit each patch."""
    images = [i for i, t in enumerate(graph.io(run.ops[index]).activations) if len(t.shape) == 4]
    needed = {"out_pitch", *(f"in{i}_pitch" for i in images)}
    told = [row for row in rows if needed <= set(row.arguments)]
    return tuple(row for row in told if all(row.fits(p.ops[index], p.ios[index]) for p in run.patches))


def _rows_for_rows(kernels: Sequence[Kernel], part: RowOp, rows: Rows) -> tuple[Kernel, ...]:
    """The kernels that are told pitches, and turns of the rings of which they read several rows at once."""
    if part.folds:
        return tuple(kernel for kernel in kernels if _takes_parts(kernel))
    images = [(i, t) for i, t in enumerate(part.io.activations) if len(t.shape) == 4]
    needed = {"out_pitch", *(f"in{i}_pitch" for i, _ in images)}
    for i, tensor in images:
        windows = (dict(part.reads(y))[tensor.name] for y in range(len(part.cuts)))
        several = any(window is not None and window.height > 1 for window in windows)
        if several and rows.slots.get(tensor.name, tensor.hw[0]) < tensor.hw[0]:
            needed |= {f"in{i}_turn", f"in{i}_ring"}
    told = [kernel for kernel in kernels if needed <= set(kernel.arguments)]
    return tuple(kernel for kernel in told if all(kernel.fits(cut.op, io) for cut, io in part.kinds))


def _cycles(graph: Graph, runs: Sequence[Run], kernels: Kernels, core: str) -> int:
    total = 0
    for run in runs:
        for index, op in enumerate(run.ops):
            if run.rows is not None:
                total += _row_cycles(run.rows, op, kernels[op.name], core)
            elif run.patches:
                calls = ((p.ops[index], p.ios[index]) for p in run.patches)
                total += sum(kernel_cycles(part, io, kernels[op.name], core) for part, io in calls)
            elif not op.alias:
                total += kernel_cycles(op, graph.io(op), kernels[op.name], core)
    return total


def _row_cycles(rows: Rows, op: Op, kernel: Kernel, core: str) -> int:
    part = rows.of[op.name]
    count = Counter(part.kind(y) for y in range(len(part.cuts)))
    first = {part.kind(y): y for y in reversed(range(len(part.cuts)))}
    each = {kind: kernel_cycles(part.cuts[y].op, part.row_io(y), kernel, core) for kind, y in first.items()}
    return sum(count[kind] * cycles for kind, cycles in each.items())


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
