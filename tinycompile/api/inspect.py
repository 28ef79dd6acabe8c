"""``tinycompile inspect``: what is in a model, and what it would need on each board; nothing is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tinycompile.api.build import Options, calibration_samples
from tinycompile.api.compile import import_model
from tinycompile.api.estimate import Estimate, estimate
from tinycompile.api.fit import Limits
from tinycompile.boards import Board, all_boards
from tinycompile.errors import DoesNotFit
from tinycompile.ir import Graph
from tinycompile.passes import without_dead_channels
from tinycompile.progress import Progress
from tinycompile.quantize import quantize
from tinycompile.schedule import Goal, Program, schedule

CODE_BYTES = 16 * 1024
"""Flash that start-up code, console and kernels take besides constants; a build tells exactly."""


@dataclass(frozen=True)
class Need:
    """What a model needs on one board: an estimate, or why it does not fit."""

    board: Board
    estimate: Estimate | None
    problem: str = ""
    needed: int | None = None
    """Bytes of SRAM at the nearest miss."""

    @property
    def flash(self) -> int:
        """Bytes of flash, code included (a guess of ``CODE_BYTES``)."""
        return self.estimate.constants + CODE_BYTES if self.estimate else 0

    @property
    def fits(self) -> bool:
        """Whether arena and flash both fit."""
        return self.estimate is not None and self.flash <= self.board.flash.size


@dataclass(frozen=True)
class Inspection:
    """A model's graph after import, its operators by name, and its needs."""

    graph: Graph
    operators: dict[str, int]
    macs: int
    parameters: int
    program: Program | None
    needs: tuple[Need, ...]


def inspect(
    model: Path | str, options: Options | None = None, *, boards: Sequence[Board] = (), progress: Progress | None = None
) -> Inspection:
    """Import, quantise and plan ``model`` for each board (default: all), without building anything.

    Raises the typed errors of import and quantisation; a board that is too small is an entry, not an error.
    """
    options, progress = options or Options(), progress or Progress()
    with progress.stage("import"):
        source = import_model(Path(model), options.input_shapes)
    samples = calibration_samples(source, options, progress)
    with progress.stage("quantize"):
        graph = quantize(source, samples, options.recipe).graph
        living = without_dead_channels(graph)
    needs, program = [], None
    for board in boards or all_boards():
        with progress.stage(f"plan for {board.name}"):
            try:
                planned = schedule(living, board, goal_on(options, board))
            except DoesNotFit as error:
                needs.append(Need(board, None, str(error), error.needed))
                continue
        program = program or planned
        needs.append(Need(board, estimate(planned, board)))
    return Inspection(
        graph=graph,
        operators=dict(Counter(type(op).__name__ for op in graph.ops).most_common()),
        macs=sum(op.features(graph.io(op)).macs for op in graph.ops),
        parameters=sum(t.size for t in graph.tensors.values() if t.data is not None),
        program=program,
        needs=tuple(needs),
    )


def goal_on(options: Options, board: Board) -> Goal:
    """The goal with what stack and variables of a firmware may leave; only a build knows exactly."""
    limits = Limits(options.goal, options.sram, options.console, options.keep_input)
    return replace(options.goal, ram=limits.arena(board, options.goal.reserved))
