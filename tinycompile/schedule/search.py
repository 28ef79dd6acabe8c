"""Order x stages x kernels: the best program under a goal.

Layer by layer has the fewest cycles, so it comes first; kernels with less scratch and patched stages at
the head of the network trade cycles for memory. Candidates are judged by their predicted cycles and by
the lower bound of their placement, and only those that can still win are placed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from tinycompile.boards import Board, all_boards
from tinycompile.errors import DoesNotFit, ImportFailed, UsageError
from tinycompile.ir import Graph, Op, Pair, Window
from tinycompile.schedule.candidate import Candidate, folding, variants
from tinycompile.schedule.liveness import roots
from tinycompile.schedule.paths import Paths
from tinycompile.schedule.program import Program
from tinycompile.schedule.rows import Cuts
from tinycompile.schedule.stages import Plan, Stage, members, planned, whole

RESERVED = 4096
"""Bytes of RAM kept from the arena: for the stack and the firmware's own variables."""
CYCLES_OF_RAM = 0.5
"""Under ``least="sram"``, twice the cycles are worth it where they save more than 1 - 2 ** -0.5 of the bytes (29 %)."""
CUTS = 8
CELLS: tuple[tuple[tuple[Pair, int], ...], ...] = (
    tuple(((1, n), 1) for n in (2, 3, 4, 6, 8)),
    tuple(((n, 1), 0) for n in range(2, 9)),
    tuple(((n, n), 0) for n in range(2, 9)),
)
"""Grids and steps: columns in rows, strips and patches, each from coarse to fine: finer grids compute more twice and
hold less."""
FINEST = CELLS[-1][-1]
ENOUGH = 2
"""Grids of a kind that may fit, after which no finer one is tried for the fewest cycles."""


@dataclass(frozen=True)
class Goal:
    """What a schedule is to be best at: the fewest ``cycles`` that fit, or the least ``sram``.

    The least ``sram`` is not sought at any price: see ``CYCLES_OF_RAM``.

    ``ram`` is what the arena may take, in bytes (None: what the board has, less ``RESERVED``). A ``plan`` is
    used as given, instead of a search.
    """

    least: Literal["cycles", "sram"] = "cycles"
    ram: int | None = None
    plan: Plan | None = None


def schedule(graph: Graph, board: Board, goal: Goal | None = None) -> Program:
    """The best program of a quantised graph for a board.

    Raises DoesNotFit, with the nearest miss, where no candidate fits; UsageError where ``goal.plan`` cannot
    be cut that way; UnsupportedOp where the core has no kernel for an op; ImportFailed where an output is a
    constant.
    """
    goal = goal or Goal()
    constant = [name for name in graph.outputs if graph.tensors[name].data is not None]
    if constant:
        raise ImportFailed(f"output {constant[0]!r} is a constant: it depends on no input", where=graph.name)
    available = goal.ram if goal.ram is not None else board.ram.size - RESERVED
    search = _Search(goal.least, available)
    probes: list[Candidate] = []
    if goal.plan is not None:
        search.consider(_forced(graph, board, goal.plan))
    else:
        search.consider(variants(graph, whole(graph), board))
        if search.best is None or goal.least == "sram":
            search.consider(_streamed(graph, board, search))
        if search.best is None or goal.least == "sram":
            room = min(available, search.best.placement.height - 1) if search.best else available
            probes = _probes(graph, board)
            search.consider(_patched(probes, board, goal, room))
    if search.best is None:
        raise _does_not_fit(search, board, probes)
    return search.best.program()


class _Search:
    """The best candidate so far, and the nearest miss."""

    def __init__(self, least: Literal["cycles", "sram"], available: int) -> None:
        self.least, self.available = least, available
        self.best: Candidate | None = None
        self.missed: list[Candidate] = []

    def consider(self, found: Iterable[Candidate]) -> None:
        """Place candidates, the most promising first, until none that is left can be better."""
        for one in sorted(found, key=self._rank):
            if self.best is not None and not self._promises_more(one, self.best):
                continue
            if self._fits(one):
                self.best = self._better(one)
            else:
                self.missed.append(one)

    def _rank(self, one: Candidate) -> tuple[float, int]:
        return self._price(one, one.bound), one.bound

    def _promises_more(self, one: Candidate, best: Candidate) -> bool:
        return self._price(one, one.bound) < self._price(best, best.placement.height)

    def _better(self, one: Candidate) -> Candidate:
        best = self.best
        if best is None or self._price(one, one.placement.height) < self._price(best, best.placement.height):
            return one
        return best

    def _price(self, one: Candidate, size: int) -> float:
        """What is to be least: cycles, or ``size`` bytes weighed with some of the cycles."""
        return one.cycles if self.least == "cycles" else size * float(one.cycles) ** CYCLES_OF_RAM

    def _fits(self, one: Candidate) -> bool:
        return one.bound <= self.available and one.placement.height <= self.available


def _forced(graph: Graph, board: Board, plan: Plan) -> list[Candidate]:
    """The candidates with the plan that the caller asked for; UsageError where there are none."""
    found = _candidates(graph, board, plan)
    if not found:
        raise UsageError(
            f"{plan}: these ops cannot be computed so",
            where=graph.name,
            hint="end the stage at an image that every later op gets its values from, after at least two ops",
        )
    return found


def _streamed(graph: Graph, board: Board, search: _Search) -> Iterator[Candidate]:
    """The candidates with streamed stages that may fit, and take less than the best so far."""
    layers = search.best or search.missed[0]
    most = min(search.available, layers.placement.height)
    paths = Paths(graph, layers.kernels, folding(graph, board), most)
    for plan in paths.best():
        yield from _candidates(graph, board, plan, paths.cuts)


def _patched(probes: Iterable[Candidate], board: Board, goal: Goal, available: int) -> Iterator[Candidate]:
    """For each stage that ``probes`` have shown to be possible, the grids that may fit."""
    for probe in (p for p in probes if p.bound <= available):
        cuts = Cuts(probe.graph)
        for kind in CELLS:
            plans = (_regridded(probe, grid, step) for grid, step in kind)
            found = (_fitting(probe.graph, board, plan, available, cuts) for plan in plans)
            some = (candidates for candidates in found if candidates)
            for candidates in islice(some, ENOUGH if goal.least == "cycles" else None):
                yield from candidates


def _regridded(probe: Candidate, grid: Pair, step: int) -> Plan:
    """The plan of a probe with other cells."""
    assert probe.plan is not None
    return Plan((replace(probe.plan.stages[0], grid=grid, step=step),))


def _fitting(graph: Graph, board: Board, plan: Plan, available: int, cuts: Cuts) -> list[Candidate]:
    """The candidates of a stage with bounds that fit; a probe tells quickly where there are none."""
    if all(c.bound > available for c in _candidates(graph, board, plan, cuts, probe=True)):
        return []
    return [c for c in _candidates(graph, board, plan, cuts) if c.bound <= available]


def _probes(graph: Graph, board: Board) -> list[Candidate]:
    """For each tensor that can end a stage: the finest grid, with its middle patch only.

    Cuts that need the least memory come first; only the best ``CUTS`` are kept.
    """
    stuck = {op.name for op in graph.ops if op.alias or not _can_be_cut(graph, op)}
    found = []
    for op in graph.ops:
        out = graph.tensors[op.output]
        ops = members(graph, Stage(op.output)) if len(out.shape) == 4 else None
        if ops is None or stuck.intersection(o.name for o in ops):
            continue
        (rows, columns), step = FINEST
        grid = min(rows, out.hw[0]), min(columns, out.hw[1])
        found += _candidates(graph, board, Plan((Stage(op.output, None, grid, step),)), probe=True)[-1:]
    return sorted(found, key=lambda c: c.bound)[:CUTS]


def _can_be_cut(graph: Graph, op: Op) -> bool:
    io = graph.io(op)
    return len(io.out.shape) == 4 and op.restrict(io, Window.whole(io.out.hw)) is not None


def _candidates(
    graph: Graph, board: Board, plan: Plan, cuts: Cuts | None = None, *, probe: bool = False
) -> list[Candidate]:
    runs = planned(graph, plan, cuts, probe=probe)
    return variants(graph, runs, board, plan) if runs is not None else []


def _does_not_fit(search: _Search, board: Board, probes: Sequence[Candidate]) -> DoesNotFit:
    """The error that carries the nearest miss: the least that was tried, or the finest of the best stages."""
    layers = search.missed[0]
    finest = [c for probe in probes[:1] if probe.plan for c in _candidates(layers.graph, board, probe.plan)]
    nearest = min([*search.missed, *finest], key=lambda c: c.bound)
    needed = nearest.placement.height
    constants = sum(t.nbytes for t in layers.graph.tensors.values() if t.data is not None)
    others = [b.name for b in all_boards() if b.ram.size - RESERVED >= needed and b.flash.size > constants]
    tried = "a smaller input or fewer channels"
    if nearest.plan is not None:
        tried += f" (even {_shortened(nearest.plan)} need {needed:,} bytes)"
    boards = f"; or a board with {needed + RESERVED:,} bytes of SRAM: {', '.join(others)}" if others else ""
    return DoesNotFit(
        f"{layers.graph.name} does not fit {board.name}",
        memory="SRAM",
        needed=needed,
        available=search.available,
        peak=_peak(layers.program()),
        hint=tried + boards,
    )


def _shortened(plan: Plan) -> Plan:
    """The plan, its tensors by short names."""
    names = ((short_name(s.until), s.since and short_name(s.since)) for s in plan.stages)
    stages = zip(plan.stages, names, strict=True)
    return replace(plan, stages=tuple(replace(s, until=until, since=since) for s, (until, since) in stages))


def _peak(program: Program) -> str:
    """The step with most bytes in use, in words: ``conv_2: input 96x96x16 (147,456 bytes), output ...``."""
    step = program.peak_step
    call = program.flat[step]
    owner = roots(program.graph)
    roles = {owner[view.tensor]: "input" for view in call.inputs} | {owner[call.output.tensor]: "output"}
    found = []
    for span in program.alive(step):
        tensor = program.graph.tensors.get(span.name)
        extents = " " + "x".join(map(str, tensor.shape[1:])) if tensor is not None else ""
        role = roles.get(span.name, "kept for later" if tensor is not None else "scratch")
        found.append(f"{role}{extents} ({span.size:,} bytes)")
    return f"{short_name(call.op.name)}: {', '.join(found)}"


def short_name(name: str, length: int = 48) -> str:
    """Converters concatenate names; their end tells more than their start."""
    return name if len(name) <= length else f"...{name[-length:]}"
