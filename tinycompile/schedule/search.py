"""The best program under a goal, among the paths through streamed stages and whole ops (``paths``).

Layer by layer has the fewest cycles, so it comes first. Stages that are streamed row by row take less memory, those
that go over their image twice still less. Candidates are judged by their predicted cycles and by
the lower bound of their placement, and only those that can still win are placed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tinycompile.boards import Board, all_boards
from tinycompile.errors import DoesNotFit, ImportFailed, UsageError
from tinycompile.ir import Graph
from tinycompile.schedule.banks import Memory
from tinycompile.schedule.candidate import Candidate, arranged, variants
from tinycompile.schedule.liveness import roots
from tinycompile.schedule.paths import NO_LIMIT, Paths
from tinycompile.schedule.prices import Prices
from tinycompile.schedule.program import Program
from tinycompile.schedule.pushed import arriving, refused
from tinycompile.schedule.segments import Path
from tinycompile.schedule.sliding import slid
from tinycompile.schedule.stages import Plan, planned, whole

RESERVED = 2048
"""Bytes of RAM kept for the stack and the firmware's own variables where nothing better is known; a build knows."""
CYCLES_OF_RAM = 0.5
"""Under ``least="sram"``, twice the cycles are worth it where they save more than 1 - 2 ** -0.5 of the bytes (29 %)."""
Least = Literal["cycles", "sram", "code"]
"""What a goal may ask for."""
SLACK = 16
"""Paths that seem too large by no more than this part are tried: runs may yet come in a better order than the ops."""
LONGEST = (4, 8, 16, 32, None)
"""Ops of the stages that are looked at first and later: what short ones reach limits the long ones."""


@dataclass(frozen=True)
class Goal:
    """What a schedule is to be best at: the fewest ``cycles`` that fit, the least ``sram``, or the least ``code``.

    ``cycles`` (``--optimize latency``, the default) takes the fewest predicted cycles of all that fits, however much
    memory that is. ``sram`` (``--optimize ram``) takes few bytes even where more are there, but not at any price: see
    ``CYCLES_OF_RAM``. ``code`` (``--optimize size``) takes the fewest cycles too, but of kernels that share their
    code among all layers wherever there are some (``backends/compact``).

    ``ram`` is what the arena may take, in bytes, over all banks (None: all they have, less ``reserved`` bytes of the
    main one); ``flash`` is what the constants may take (None: all of it), and where it is ``tight``, the code of layers
    that share none too. ``build`` sets all three to what the firmware
    really leaves (``api/fit.py``). ``pushed``: the rows of the
    input arrive one by one, and no frame is held; ``sliding``: they arrive without end, and whenever a window has
    moved on there is another output (see ``sliding``). A ``plan`` is used as given, instead of a search.
    """

    least: Least = "cycles"
    ram: int | None = None
    flash: int | None = None
    tight: bool = False
    reserved: int = RESERVED
    pushed: bool = False
    sliding: bool = False
    plan: Plan | None = None

    def prices(self, graph: Graph, board: Board) -> Prices:
        """The kernels that this goal chooses from. Raises UnsupportedOp."""
        return Prices(graph, board, self.flash, compact=self.least == "code", tight=self.tight)


def schedule(graph: Graph, board: Board, goal: Goal | None = None) -> Program:
    """The best program of a quantised graph for a board.

    Raises DoesNotFit, with the nearest miss, where no candidate fits; UsageError where ``goal.plan`` cannot
    be cut that way, or the input cannot be pushed; UnsupportedOp where the core has no kernel for an op; ImportFailed
    where an output is a constant.
    """
    goal = goal or Goal()
    constant = [name for name in graph.outputs if graph.tensors[name].data is not None]
    if constant:
        raise ImportFailed(f"output {constant[0]!r} is a constant: it depends on no input", where=graph.name)
    memory, prices = Memory.of(board, goal.reserved, goal.ram), goal.prices(graph, board)
    search = _searched(graph, prices, goal, memory)
    if search.best is None and len(memory.rooms) > 1:  # what fits all banks together may not fit into each
        retry = _searched(graph, prices, goal, memory.largest)
        search = retry if retry.best is not None else search
    if search.best is None:
        raise _does_not_fit(graph, search, board, goal.reserved)
    program = search.best.program(search.memory, compact=goal.least == "sram")
    return replace(program, floor=min(search.floor, program.arena_bytes))


def _searched(graph: Graph, prices: Prices, goal: Goal, memory: Memory) -> _Search:
    """The search for the best program that fits ``memory``; errors as for ``schedule``."""
    search = _Search(goal.least, memory)
    if goal.sliding:
        search.consider(_sliding(graph, prices))
    elif goal.plan is not None:
        search.consider(_forced(graph, prices, goal.plan))
    else:
        candidates = Candidates(graph, prices, goal)
        found = list(candidates.for_goal(memory))
        if goal.least == "sram":  # fewer cycles are not worth more bytes than layer by layer
            layers = (one for one in found[1:] if not one.stages)
            search.most = min(one.placement.height for one in (found[0], *layers))
        search.consider(found)
        search.floor = candidates.paths.floor() if goal.least == "sram" else 0
    return search


def trade_offs(graph: Graph, board: Board, goal: Goal | None = None) -> tuple[Program, ...]:
    """Programs of which none takes both less memory and fewer predicted cycles than another, the fastest first.

    Of ``goal`` only ``pushed``, ``sliding`` and whether code is to be small count; where a window slides, the cycles
    are those of a hop. Errors as for ``schedule``, but nothing has to fit.
    """
    goal = goal or Goal()
    prices = goal.prices(graph, board)
    found: list[Candidate] = []
    for one in sorted(every(graph, prices, goal), key=lambda c: (c.cycles, c.placement.height)):
        if not found or one.placement.height < found[-1].placement.height:
            found.append(one)
    return tuple(one.program() for one in found)


def every(graph: Graph, prices: Prices, goal: Goal) -> Sequence[Candidate]:
    """All candidates on the front of bytes and cycles, at any number of either."""
    return _sliding(graph, prices) if goal.sliding else Candidates(graph, prices, goal).all()


def layer_by_layer(graph: Graph, board: Board) -> Program:
    """The program without any stages, on a resident input, however much memory it takes. Errors as for ``schedule``."""
    return variants(graph, whole(graph), Prices(graph, board))[0].program()


class Candidates:
    """The candidates of a graph, on the front of bytes and cycles."""

    def __init__(self, graph: Graph, prices: Prices, goal: Goal) -> None:
        self.graph, self.goal = graph, goal
        self.layers = variants(graph, whole(graph), prices)
        ordered = replace(graph, ops=tuple(run.ops[0] for run in self.layers[0].runs))
        self.paths = Paths(ordered, prices, pushed=goal.pushed)

    def for_goal(self, memory: Memory) -> Iterator[Candidate]:
        """The candidates that may be best, the fastest first; at least one, that of the nearest miss."""
        layers = self.paths.best(NO_LIMIT)
        if layers is not None:
            one = self._candidate(layers)
            yield one
            if self.goal.least != "sram" and one.layout(memory, compact=True) is not None:
                return
        if not self.goal.pushed:
            yield from self.layers[1:]
        yield from self._streamed(memory.size)

    def all(self) -> Sequence[Candidate]:
        """All trade-offs: layer by layer, if the input is resident, and the front."""
        layers = self.paths.best(NO_LIMIT)
        found = [self._candidate(layers)] if layers is not None else []
        return (*found, *self._streamed(NO_LIMIT))

    def _streamed(self, most: int) -> Iterator[Candidate]:
        enough = most
        for longest in LONGEST:
            self.paths.explore(enough, longest)
            enough = self.paths.least(enough)
        self.paths.tile()
        found = list(self.paths.front(most + most // SLACK)) or list(self.paths.front(NO_LIMIT))[-1:]
        yield from map(self._candidate, found or self._too_large())

    def _too_large(self) -> list[Path]:
        """The least path of a pushed input of which all streams were too large to be looked at; UsageError where there
        are none."""
        self.paths = Paths(self.paths.graph, self.paths.prices, pushed=True)
        for longest in LONGEST:
            self.paths.explore(NO_LIMIT, longest)
            found = list(self.paths.front(NO_LIMIT))[-1:]
            if found:
                return found
        name = arriving(self.graph)
        readers = ", ".join(f"{op.name!r} ({type(op).__name__})" for op in self.graph.consumers()[name])
        raise refused(self.graph, f"nothing that {readers} and the ops behind it make can be computed in rows")

    def _candidate(self, path: Path) -> Candidate:
        runs = arranged(self.graph, path.runs, path.kernels)
        return Candidate(self.graph, runs, path.kernels, path.cycles)


class _Search:
    """The best candidate so far, and the nearest miss."""

    def __init__(self, least: Least, memory: Memory) -> None:
        self.least, self.memory, self.available = least, memory, memory.size
        self.best: Candidate | None = None
        self.missed: list[Candidate] = []
        self.floor = 0
        self.most = NO_LIMIT

    def consider(self, found: Iterable[Candidate]) -> None:
        """Place candidates, the most promising first, until none that is left can be better."""
        for one in sorted(found, key=self._rank):
            if self.best is not None and not self._promises_more(one, self.best):
                continue
            if self.fits(one):
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
        return one.cycles if self.least != "sram" else size * float(one.cycles) ** CYCLES_OF_RAM

    def fits(self, one: Candidate) -> bool:
        """Whether there is room for a candidate."""
        return one.placement.height <= self.most and one.layout(self.memory, compact=True) is not None


def _forced(graph: Graph, prices: Prices, plan: Plan) -> list[Candidate]:
    """The candidates with the plan that the caller asked for; UsageError where there are none."""
    runs = planned(graph, plan)
    found = variants(graph, runs, prices) if runs is not None else []
    if not found:
        raise UsageError(
            f"{plan}: these ops cannot be computed so",
            where=graph.name,
            hint="end the stage at an image that every later op gets its values from, after at least two ops",
        )
    return found


def _sliding(graph: Graph, prices: Prices) -> list[Candidate]:
    """The candidates with a sliding window, the fastest hops first; UsageError where there are none."""
    found = [one for runs in slid(graph) for one in variants(graph, runs, prices)]
    if not found:
        raise UsageError(
            f"no kernels compute the rows of {graph.name} one by one", hint="build it with another input mode"
        )
    return sorted(found, key=lambda one: (one.cycles, one.bound))


def _does_not_fit(graph: Graph, search: _Search, board: Board, reserved: int) -> DoesNotFit:
    """The error that carries the nearest miss."""
    nearest = min(search.missed, key=lambda c: c.bound)
    needed = nearest.placement.height
    constants = sum(t.nbytes for t in graph.tensors.values() if t.data is not None)
    others = [b.name for b in all_boards() if b.ram.size - reserved >= needed and b.flash.size > constants]
    tried = "a smaller input or fewer channels"
    if nearest.stages:
        largest = max(nearest.stages, key=lambda run: sum(run.rows.ring_bytes.values()) if run.rows else 0)
        tried += (
            f" (even in stages it needs {needed:,} bytes; the largest rings are those of {short_name(str(largest))})"
        )
    if len(search.memory.rooms) > 1:
        tried += f"; no tensor may lie in two banks ({search.memory})"
    boards = f"; or a board with {needed + reserved:,} bytes of SRAM: {', '.join(others)}" if others else ""
    return DoesNotFit(
        f"{graph.name} does not fit {board.name}",
        memory="SRAM",
        needed=needed,
        available=search.available,
        peak=peak(search.missed[0].program()),
        hint=tried + boards,
    )


def peak(program: Program) -> str:
    """The step with most bytes in use, in words: ``conv_2: input 96x96x16 (147,456 bytes), output ...``."""
    if not program.flat:
        return "the outputs, which are inputs under other names"
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
