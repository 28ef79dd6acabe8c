"""Order x stages x kernels: the best program under a goal.

Layer by layer has the fewest cycles, so it comes first; kernels with less scratch and patched stages at
the head of the network trade cycles for memory. Candidates are judged by their predicted cycles and by
the lower bound of their placement, and only those that can still win are placed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from tinycompile.boards import Board, all_boards
from tinycompile.errors import DoesNotFit, ImportFailed, UsageError
from tinycompile.ir import Graph, Op, Window
from tinycompile.schedule.banks import Memory
from tinycompile.schedule.candidate import Candidate, folding, variants
from tinycompile.schedule.liveness import roots
from tinycompile.schedule.paths import Paths
from tinycompile.schedule.program import Program
from tinycompile.schedule.pushed import arriving, refused
from tinycompile.schedule.stages import Stage, Streams, members, staged, streamed, whole

RESERVED = 4096
"""Bytes of RAM kept from the arena: for the stack and the firmware's own variables."""
CYCLES_OF_RAM = 0.5
"""Under ``least="sram"``, twice the cycles are worth it where they save more than 1 - 2 ** -0.5 of the bytes (29 %)."""
CUTS = 8
GRIDS = (tuple((n, 1) for n in range(2, 9)), tuple((n, n) for n in range(2, 9)))
"""Strips and tiles, each from coarse to fine: finer grids compute more twice and hold less."""
ENOUGH = 2
"""Grids of a kind that may fit, after which no finer one is tried for the fewest cycles."""


@dataclass(frozen=True)
class Goal:
    """What a schedule is to be best at: the fewest ``cycles`` that fit, or the least ``sram``.

    The least ``sram`` is not sought at any price: see ``CYCLES_OF_RAM``.

    ``ram`` is what the arena may take, in bytes (None: what the board's banks have, less ``RESERVED``). A ``stage`` is
    used as given, instead of a search.
    """

    least: Literal["cycles", "sram"] = "cycles"
    ram: int | None = None
    stage: Stage | Streams | None = None
    pushed: bool = False
    """Whether the application pushes the rows of the input one by one, so that the input is never held."""


def schedule(graph: Graph, board: Board, goal: Goal | None = None) -> Program:
    """The best program of a quantised graph for a board.

    Raises DoesNotFit, with the nearest miss, where no candidate fits; UsageError where ``goal.stage`` cannot
    be cut that way; UnsupportedOp where the core has no kernel for an op; ImportFailed where an output is a
    constant.
    """
    goal = goal or Goal()
    constant = [name for name in graph.outputs if graph.tensors[name].data is not None]
    if constant:
        raise ImportFailed(f"output {constant[0]!r} is a constant: it depends on no input", where=graph.name)
    memory = Memory.of(board, RESERVED, goal.ram)
    try:
        return _schedule(graph, board, goal, memory)
    except DoesNotFit:
        if len(memory.rooms) > 1:  # the search looked at what all banks hold together, which may not fit into each
            with suppress(DoesNotFit):
                return _schedule(graph, board, goal, memory.largest)
        raise


def _schedule(graph: Graph, board: Board, goal: Goal, memory: Memory) -> Program:
    """The best program that fits ``memory``; errors as for ``schedule``."""
    available = memory.size
    search = _Search(goal.least, memory)
    probes: list[Candidate] = []
    if goal.stage is not None:
        search.consider(_forced(graph, board, goal.stage))
    elif goal.pushed:
        search.consider(_pushed(graph, board))
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
    return search.best.program(memory, compact=goal.least == "sram")


class _Search:
    """The best candidate so far, and the nearest miss."""

    def __init__(self, least: Literal["cycles", "sram"], memory: Memory) -> None:
        self.least, self.memory, self.available = least, memory, memory.size
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
        return one.layout(self.memory, compact=True) is not None


def _forced(graph: Graph, board: Board, stage: Stage | Streams) -> list[Candidate]:
    """The candidates with the stage that the caller asked for; UsageError where there are none."""
    runs = streamed(graph, stage) if isinstance(stage, Streams) else staged(graph, stage)
    found = variants(graph, runs, board, stage) if runs is not None else []
    if not found:
        kind = "rows" if isinstance(stage, Streams) else "patches"
        raise UsageError(
            f"{stage}: these ops cannot be computed in {kind}",
            where=graph.name,
            hint="end the stage at an image that every later op gets its values from, after at least two ops",
        )
    return found


def _pushed(graph: Graph, board: Board) -> list[Candidate]:
    """The candidates with a first stage that the rows of the input are pushed into; UsageError where there are none."""
    name, found = arriving(graph), []
    for op in graph.ops:
        streams = Streams(((None, op.output),), pushed=True)
        runs = streamed(graph, streams)
        found += variants(graph, runs, board, streams) if runs is not None else []
    if not found:
        readers = ", ".join(f"{op.name!r} ({type(op).__name__})" for op in graph.consumers()[name])
        raise refused(graph, f"nothing that {readers} and the ops behind it make can be computed in rows")
    return found


def _streamed(graph: Graph, board: Board, search: _Search) -> Iterator[Candidate]:
    """The candidates with streamed stages that may fit, and take less than the best so far."""
    layers = search.best or search.missed[0]
    most = min(search.available, layers.placement.height)
    paths = Paths(graph, layers.kernels, folding(graph, board), most)
    for streams in paths.best():
        runs = streamed(graph, streams, paths.row_op)
        yield from variants(graph, runs, board, streams) if runs is not None else ()


def _patched(probes: Iterable[Candidate], board: Board, goal: Goal, available: int) -> Iterator[Candidate]:
    """For each stage that ``probes`` have shown to be possible, the grids that may fit."""
    for probe in (p for p in probes if p.bound <= available):
        assert isinstance(probe.stage, Stage)
        for kind in GRIDS:
            stages = (replace(probe.stage, grid=grid) for grid in kind)
            found = (_fitting(probe.graph, board, stage, available) for stage in stages)
            some = (candidates for candidates in found if candidates)
            for candidates in islice(some, ENOUGH if goal.least == "cycles" else None):
                yield from candidates


def _fitting(graph: Graph, board: Board, stage: Stage, available: int) -> list[Candidate]:
    """The candidates of a stage with bounds that fit; a probe tells quickly where there are none."""
    if all(c.bound > available for c in _staged(graph, board, stage, probe=True)):
        return []
    return [c for c in _staged(graph, board, stage) if c.bound <= available]


def _probes(graph: Graph, board: Board) -> list[Candidate]:
    """For each tensor that can end a stage: the finest grid, with its middle patch only.

    Cuts that need the least memory come first; only the best ``CUTS`` are kept.
    """
    stuck = {op.name for op in graph.ops if op.alias or not _can_be_cut(graph, op)}
    found = []
    for op in graph.ops:
        out = graph.tensors[op.output]
        ops = members(graph, Stage(op.output, (1, 1))) if len(out.shape) == 4 else None
        if ops is None or stuck.intersection(o.name for o in ops):
            continue
        stage = Stage(op.output, (min(GRIDS[1][-1][0], out.hw[0]), min(GRIDS[1][-1][1], out.hw[1])))
        found += _staged(graph, board, stage, probe=True)[-1:]
    return sorted(found, key=lambda c: c.bound)[:CUTS]


def _can_be_cut(graph: Graph, op: Op) -> bool:
    io = graph.io(op)
    return len(io.out.shape) == 4 and op.restrict(io, Window.whole(io.out.hw)) is not None


def _staged(graph: Graph, board: Board, stage: Stage, *, probe: bool = False) -> list[Candidate]:
    runs = staged(graph, stage, probe=probe)
    return variants(graph, runs, board, stage) if runs is not None else []


def _does_not_fit(search: _Search, board: Board, probes: Sequence[Candidate]) -> DoesNotFit:
    """The error that carries the nearest miss: the least that was tried, or the finest of the best stages."""
    layers = search.missed[0]
    stages = [probe.stage for probe in probes[:1] if isinstance(probe.stage, Stage)]
    finest = [c for stage in stages for c in _staged(layers.graph, board, stage)]
    nearest = min([*search.missed, *finest], key=lambda c: c.bound)
    needed = nearest.placement.height
    constants = sum(t.nbytes for t in layers.graph.tensors.values() if t.data is not None)
    others = [b.name for b in all_boards() if b.ram.size - RESERVED >= needed and b.flash.size > constants]
    tried = "a smaller input or fewer channels"
    if isinstance(nearest.stage, Streams):
        names = tuple((since and short_name(since), short_name(until)) for since, until in nearest.stage.stages)
        tried += f" (even {Streams(names)} need {needed:,} bytes)"
    elif isinstance(nearest.stage, Stage):
        stage = replace(nearest.stage, until=short_name(nearest.stage.until))
        tried += f" (even {stage} need {needed:,} bytes)"
    if len(search.memory.rooms) > 1:
        tried += f"; no tensor may lie in two banks ({search.memory})"
    boards = f"; or a board with {needed + RESERVED:,} bytes of SRAM: {', '.join(others)}" if others else ""
    return DoesNotFit(
        f"{layers.graph.name} does not fit {board.name}",
        memory="SRAM",
        needed=needed,
        available=search.available,
        peak=_peak(layers.program()),
        hint=tried + boards,
    )


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
