"""One way to run a network, judged before it is placed: runs, kernels, predicted cycles, lower bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tinycompile.errors import InternalError
from tinycompile.ir import Graph
from tinycompile.schedule.assemble import assemble
from tinycompile.schedule.banks import Layout, Memory, Room, arrange, heat
from tinycompile.schedule.check import check, check_banks
from tinycompile.schedule.liveness import Kernels, in_place, problem, pushed_run, roots, tasks, without
from tinycompile.schedule.order import best_order
from tinycompile.schedule.place import Placement, Problem, lower_bound, solve
from tinycompile.schedule.prices import Prices
from tinycompile.schedule.program import Program
from tinycompile.schedule.stages import Run


@dataclass(frozen=True)
class Candidate:
    """Runs in an order, a kernel for each op, and predicted cycles of one inference."""

    graph: Graph
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
        if pushed_run(self.runs) is not None:
            return self.placement.height
        owner = roots(self.graph)
        inputs = {owner[name] for name in self.graph.inputs} - {owner[name] for name in self.graph.outputs}
        return solve(without(self.problem, inputs)).height

    @property
    def stages(self) -> tuple[Run, ...]:
        """The runs that are no whole ops."""
        return tuple(run for run in self.runs if run.rows is not None)

    def __str__(self) -> str:
        return ", ".join(map(str, self.stages)) or "layer by layer"


def variants(graph: Graph, runs: Sequence[Run], prices: Prices) -> list[Candidate]:
    """These runs in the order with the lowest peak, with the fastest kernels, and with others that take less scratch;
    each in as many ``ways`` as there are.

    None at all where an op of a stage has no kernel for windows.
    """
    found = []
    for choice in prices.choices([run for run in runs if not run.ops[0].alias]):
        placed = [in_place(graph, run, choice.kernels) for run in runs]
        better = any(one is not other for one, other in zip(placed, runs, strict=True))
        for way in (runs, placed)[: 1 + better]:
            found.append(Candidate(graph, arranged(graph, way, choice.kernels), choice.kernels, choice.cycles))
    return found


def arranged(graph: Graph, runs: Sequence[Run], kernels: Kernels) -> tuple[Run, ...]:
    """The runs in the order with the lowest peak; an alias follows what it is an alias of."""
    owner = roots(graph)
    work, sizes = tasks(graph, runs, kernels)
    given, kept = ([owner[n] for n in names] for names in (graph.inputs, graph.outputs))
    found = best_order(work, sizes, given if pushed_run(runs) is None else (), kept)
    by_output = {run.output: run for run in runs}
    aliases = [run for run in runs if run.ops[0].alias]
    ordered: list[Run] = []
    for name in (*dict.fromkeys(given), *(work[i].name for i in found.order)):
        ordered += [by_output[name]] if name in by_output else []
        ordered += [run for run in aliases if owner[run.output] == name]
    return tuple(ordered)
