"""The stages in a row: a model file to the C of a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tinycompile import codegen, frontends, passes
from tinycompile.api.estimate import check_flash, check_ports
from tinycompile.boards import Board
from tinycompile.codegen import Sources
from tinycompile.data import Samples
from tinycompile.errors import UsageError
from tinycompile.ir import Graph, Rounding, Shape, verify
from tinycompile.progress import Progress
from tinycompile.quantize import Quantized, Recipe, quantize
from tinycompile.schedule import Goal, Program, schedule


@dataclass(frozen=True)
class Compiled:
    """Every value between a model and its C."""

    source: Graph
    """The graph as imported and optimised: float32, or int8 where the file was quantised."""
    quantized: Quantized
    program: Program
    sources: Sources
    board: Board
    optimize: str = "-O2"
    """The compiler's level for firmware."""

    @property
    def graph(self) -> Graph:
        """The int8 graph, with the channels that the program leaves out."""
        return self.quantized.graph

    @property
    def heat(self) -> Mapping[str, int]:
        """Predicted cycles of one inference, by the C function of a layer: all of its op's where it has several."""
        cycles: dict[str, int] = {}
        for call in self.program.unrolled():
            cycles[call.op.name] = cycles.get(call.op.name, 0) + call.cycles(self.program.graph, self.board.core)
        return {symbol: cycles[op] for symbol, op in self.sources.layers.items()}


def import_model(model: Path, input_shapes: Mapping[str, Shape] | None = None) -> Graph:
    """Read and optimise a model file (ONNX or TFLite).

    Raises ImportFailed, UnsupportedOp, and UsageError where the file does not exist.
    """
    if model.is_dir():
        raise UsageError(f"{str(model)!r} is a folder", hint="give the path of an .onnx or .tflite file")
    if not model.is_file():
        raise UsageError(f"there is no file {str(model)!r}", hint="give the path of an .onnx or .tflite file")
    return passes.optimize(frontends.load(model, input_shapes=input_shapes))


def compile_graph(
    source: Graph,
    board: Board,
    *,
    samples: Samples | None = None,
    recipe: Recipe | None = None,
    goal: Goal | None = None,
    rounding: Rounding | None = None,
    name: str | None = None,
    checked: bool = False,
    progress: Progress | None = None,
) -> Compiled:
    """Quantise, schedule and print an imported graph.

    ``samples`` are calibration data; without them the ranges come from synthetic inputs. ``rounding`` overrides
    what the file implies. Raises QuantizationFailed and DoesNotFit.
    """
    found = quantize_graph(source, board, samples=samples, recipe=recipe, rounding=rounding, progress=progress)
    return plan_graph(*found, board, goal or Goal(), name=name, checked=checked, progress=progress)


def quantize_graph(
    source: Graph,
    board: Board,
    *,
    samples: Samples | None = None,
    recipe: Recipe | None = None,
    rounding: Rounding | None = None,
    progress: Progress | None = None,
) -> tuple[Graph, Quantized]:
    """The source with the rounding that holds, and the int8 graph.

    Raises QuantizationFailed, and DoesNotFit where inputs or outputs alone exceed the board's RAM.
    """
    check_ports(source, board)
    with (progress or Progress()).stage("quantize"):
        source = replace(source, rounding=rounding or source.rounding)
        quantized = quantize(source, samples, recipe or Recipe())
        verify(quantized.graph, "quantize")
    return source, quantized


def plan_graph(
    source: Graph,
    quantized: Quantized,
    board: Board,
    goal: Goal,
    *,
    program: Program | None = None,
    name: str | None = None,
    checked: bool = False,
    progress: Progress | None = None,
) -> Compiled:
    """Schedule a quantised graph (or take the ``program``) and print it as C. Raises DoesNotFit."""
    progress = progress or Progress()
    with progress.stage("schedule"):
        program = program or schedule(passes.without_dead_channels(quantized.graph), board, goal)
        check_flash(program, board)
    with progress.stage("generate C"):
        sources = codegen.render(program, name=name, checked=checked)
    optimize = "-Os" if goal.least == "code" else "-O2"
    return Compiled(source, quantized, program, sources, board, optimize)
