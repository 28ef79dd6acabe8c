"""``tinycompile inspect --pareto``: what less memory costs; nothing is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinycompile.api.build import Options, calibration_samples
from tinycompile.api.compile import import_model
from tinycompile.api.estimate import Estimate, estimate
from tinycompile.api.inspect import CODE_BYTES, goal_on
from tinycompile.boards import Board, all_boards, load_board
from tinycompile.ir import Graph, Pair
from tinycompile.passes import without_dead_channels
from tinycompile.progress import Progress
from tinycompile.quantize import quantize
from tinycompile.schedule import Program, Stream, search
from tinycompile.schedule.banks import Memory

BOARD = "stm32f746"
"""Whose cycles are predicted where nobody asks for another."""


@dataclass(frozen=True)
class StageFacts:
    """How some ops of a program run: in ``rows``, in columns (``tiles``), in ``patches``, or in a ``sweep``, which
    makes rows that a later stage makes again."""

    kind: str
    ops: tuple[str, ...]
    calls: int
    grid: Pair
    pushed: bool
    """Whether rows of the input arrive in it."""

    def __str__(self) -> str:
        return self.kind if self.grid == (1, 1) else f"{self.kind} {self.grid[0]}x{self.grid[1]}"


@dataclass(frozen=True)
class TradeOff:
    """A point on the front: a program, what it needs, its stages, and the boards with the SRAM and flash for it."""

    program: Program
    needs: Estimate
    stages: tuple[StageFacts, ...]
    boards: tuple[str, ...]

    @property
    def cycles(self) -> int:
        """Predicted cycles of an inference, or, where a window slides, of a hop."""
        return self.needs.hop_cycles or self.needs.cycles

    @property
    def macs(self) -> int:
        """The same in multiply-accumulates."""
        return self.needs.hop_macs if self.needs.hop_cycles else self.needs.macs

    @property
    def summary(self) -> str:
        """The stages by kind: ``rows (12 ops), 2 x sweep (9 ops)``."""
        found = Counter(map(str, self.stages))
        ops = {kind: sum(len(s.ops) for s in self.stages if str(s) == kind) for kind in found}
        times = {kind: f"{count} x " if count > 1 else "" for kind, count in found.items()}
        texts = (f"{times[kind]}{kind} ({n} op{'' if n == 1 else 's'})" for kind, n in ops.items())
        return ", ".join(texts) or "layer by layer"


@dataclass(frozen=True)
class TradeOffs:
    """The front of a model on a board, the fastest point first, and its needs layer by layer with a resident input."""

    graph: Graph
    board: Board
    layers: Estimate
    points: tuple[TradeOff, ...]

    def relative(self, point: TradeOff) -> tuple[float, float]:
        """Cycles and MACs of a point, relative to layer by layer."""
        layers = self.layers
        return point.cycles / max(layers.cycles, 1), point.macs / max(layers.macs, 1)


def trade_offs(
    model: Path | str,
    options: Options | None = None,
    *,
    board: str | Board = BOARD,
    progress: Progress | None = None,
) -> TradeOffs:
    """Import and quantise ``model``, and find the programs of which none takes both less SRAM and fewer predicted
    cycles than another. Nothing has to fit ``board``; its core says which kernels there are and what they cost.

    Of ``options.goal`` only ``pushed`` and ``sliding`` count. Raises the typed errors of import and quantisation, and
    UsageError where the input is to be streamed, or a window is to slide, and cannot.
    """
    options, progress = options or Options(), progress or Progress()
    target = (board if isinstance(board, Board) else load_board(board)).with_memory(options.memory)
    with progress.stage("import"):
        source = import_model(Path(model), options.input_shapes)
    samples = calibration_samples(source, options, progress)
    with progress.stage("quantize"):
        graph = without_dead_channels(quantize(source, samples, options.recipe).graph)
    with progress.stage(f"plan for {target.name}"):
        programs = search.trade_offs(graph, target, options.goal)
        layers = search.layer_by_layer(graph, target)
    boards = [target, *(other for other in all_boards() if other.name != target.name)]
    points = tuple(_point(program, target, boards, options) for program in programs)
    return TradeOffs(graph, target, estimate(layers, target), points)


def _point(program: Program, board: Board, boards: Sequence[Board], options: Options) -> TradeOff:
    needs = estimate(program, board)
    fits = tuple(each.name for each in boards if _fits(needs, each, options))
    return TradeOff(program, needs, stage_facts(program), fits)


def _fits(needs: Estimate, board: Board, options: Options) -> bool:
    """Whether one memory of a board has room for the arena, and its flash for constants and code."""
    goal = goal_on(options, board)
    room = Memory.of(board, goal.reserved, goal.ram).largest.size
    return needs.arena <= room and needs.constants + CODE_BYTES <= board.flash.size


def stage_facts(program: Program) -> tuple[StageFacts, ...]:
    """The stages of a program in order."""
    streams = [step for step in program.steps if isinstance(step, Stream)]
    ops = [tuple(call.op.name for call in stream.body) for stream in streams]
    again = [frozenset(name for later in ops[i + 1 :] for name in later) for i in range(len(ops))]
    return tuple(_facts(*each) for each in zip(streams, ops, again, strict=True))


def _facts(stream: Stream, ops: tuple[str, ...], again: frozenset[str]) -> StageFacts:
    kind = "patches" if stream.step == 0 else "rows" if stream.grid == (1, 1) else "tiles"
    if again.intersection(ops):
        kind = "sweep"
    pushed = len(stream.calls) < len(stream.events)
    return StageFacts("pushed rows" if pushed and kind == "rows" else kind, ops, len(stream.calls), stream.grid, pushed)
