"""Arena bytes of shared models: elsewhere, layer by layer, with the input resident (I), and with it streamed (E).

    python benchmarks/memory.py [--models DIR] [--only resnet8 ...] [--emulate] [--board stm32f746]

Prints Markdown. I and E are what ``--optimize ram`` chooses; where a case has budgets, what is fastest within them.
An arena holds everything but the stack. ``no plan below`` is proved for all plans that the search chooses from, in the
order of ops that it takes. MACs, and cycles, which are predictions, are relative to layer by layer. Seconds are those
of planning, counted on one core. ``sliding`` is the arena where a window slides over the input, and what each further
window takes.

With ``--emulate`` all three programs are built and run on the emulated board: the bytes that I and E touch, and cycles
relative to layer by layer. A build compares what it computes with the reference, so all outputs are equal.
Where layer by layer needs more memory than the board has, the emulated board gets more for that program alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinycompile.api import Estimate, Options, build, estimate
from tinycompile.api.compile import import_model
from tinycompile.boards import Board, load_board
from tinycompile.errors import UsageError
from tinycompile.ir import Graph, Shape
from tinycompile.passes import without_dead_channels
from tinycompile.quantize import Recipe, quantize
from tinycompile.schedule import Goal, Plan, Program, schedule

ROOT = Path(__file__).resolve().parent.parent
HUGE = {"sram": 8 << 20, "flash": 16 << 20}
"""Memory of an emulated board on which anything runs layer by layer."""
LAYERS = Goal(ram=HUGE["sram"], plan=Plan(()))
RESIDENT, STREAMED = Goal(least="sram"), Goal(least="sram", pushed=True)
SLIDING = Goal(sliding=True)


@dataclass(frozen=True)
class Case:
    """A model, what is known of its memory elsewhere, and what was to be reached."""

    file: str
    elsewhere: str
    reach: str
    resident: Goal = RESIDENT
    streamed: Goal = STREAMED
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    """Sizes of memories that the board would need."""


MCUNETV2 = "TFLM 2,602,112; TinyEngine in patches 594,712"
FLASH = {"flash": 8 << 20}
CASES = {
    "resnet8": Case("mlperf_ic_resnet8", "CMSIS-NN 49,728; TFLM 54,996", "I 16 KB at 1.00x"),
    "vww": Case("mlperf_vww_mobilenetv1_025_96", "CMSIS-NN 64,512; TFLM 100,708", "E 16 KB, I 30 KB at 1.02x"),
    "kws": Case("mlperf_kws_dscnn", "CMSIS-NN 16,000; TFLM 22,820", "I 6.5 KB at 1.00x"),
    "sww": Case("mlperf_sww_1dcnn", "CMSIS-NN 9,472; TFLM 16,596", "I 5 KB"),
    "ad": Case("mlperf_ad_autoencoder", "CMSIS-NN 768", "768"),
    "mcunet_vww": Case(
        "tinyengine_mcunet_vww",
        "TinyEngine 94,008, in patches 71,200; StreamNet 44 kB; msf-CNN 15.4 kB without input, residuals, pooling, "
        "at 1.96x",
        "E 16 KB, I 26 KB at 1.02x",
    ),
    "mcunetv2_large": Case("mcunetv2_large_rescaled", MCUNETV2, "E 128 KB, I 245 KB at 1.2x", memory=FLASH),
    "mcunetv2_large in 245 and 128 KB": Case(
        "mcunetv2_large_rescaled", MCUNETV2, "E 128 KB, I 245 KB at 1.2x",
        Goal(ram=245 << 10), Goal(ram=128 << 10, pushed=True), memory=FLASH,
    ),
    "st_mobilenet": Case("st_mobilenet_v2_035_128_flowers", "", "E 24 KB, I 64 KB at 1.05x"),
    "ppocr_textangle": Case(
        "ppocr_textangle_cls", "", "a third of layer by layer at 1.1x", shapes={"x": (1, 3, 48, 192)}
    ),
    "ultralight": Case("ultralight_face_slim320", "", "a third of layer by layer at 1.1x"),
    "har": Case("har_sepconv1d_hmp", "", "a third of layer by layer at 1.1x"),
}  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A program, what it needs, and how long it took to find it."""

    program: Program
    needs: Estimate
    seconds: float


def plan(graph: Graph, board: Board, goal: Goal) -> Planned | None:
    """The program for a goal; None where the input cannot be streamed."""
    start = time.process_time()
    try:
        program = schedule(graph, board, goal)
    except UsageError:
        return None
    seconds = time.process_time() - start
    return Planned(program, estimate(program, board), seconds)


def planned(case: Case, model: Path, board: Board) -> list[str]:
    """The columns that need no build."""
    graph = without_dead_channels(quantize(import_model(model, case.shapes), None, Recipe()).graph)
    layers = plan(graph, board.with_memory(HUGE), LAYERS)
    assert layers is not None
    board = board.with_memory(case.memory)
    both = [plan(graph, board, goal) for goal in (case.resident, case.streamed)]
    resident, slid = both[0], plan(graph, board, SLIDING)
    return [
        f"{layers.needs.arena:,}",
        *("-" if p is None else f"{p.needs.arena:,}" for p in both),
        _each(None if p is None or not p.program.floor else f"{p.program.floor:,}" for p in both),
        "-" if resident is None else f"{resident.needs.arena_without_input:,}",
        "-" if slid is None else f"{slid.needs.arena:,} ({slid.needs.hop_macs / layers.needs.macs:.2f}x)",
        _each(None if p is None else f"{p.needs.macs / max(layers.needs.macs, 1):.2f}x" for p in both),
        _each(None if p is None else f"{p.needs.cycles / layers.needs.cycles:.3f}x" for p in both),
        _each(None if p is None else f"{p.seconds:.1f}" for p in both),
    ]


def _each(texts: Any) -> str:
    """I and E in one column."""
    return " / ".join(text or "-" for text in texts)


def emulated(case: Case, model: Path, board: Board) -> list[str]:
    """Bytes touched, and cycles relative to layer by layer."""
    layers = report(case, model, board.with_memory(HUGE), LAYERS)
    assert layers is not None
    both = [report(case, model, board.with_memory(case.memory), goal) for goal in (case.resident, case.streamed)]
    cycles = layers["cycles"]["emulated"]
    return [
        *("-" if r is None else f"{r['memory']['arena_touched']:,}" for r in both),
        _each(None if r is None else f"{r['cycles']['emulated'] / cycles:.3f}x" for r in both),
        f"{cycles:,}",
    ]


def report(case: Case, model: Path, board: Board, goal: Goal) -> Mapping[str, Any] | None:
    """The report of a build that was verified on one input; None where the input cannot be streamed."""
    options = Options(input_shapes=case.shapes, goal=goal, verify_samples=1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return build(model, board, Path(folder) / "out", options).report
        except UsageError:
            return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Plan, emulate where asked, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES), metavar="CASE")
    parser.add_argument("--emulate", action="store_true")
    parser.add_argument("--board", default="stm32f746")
    chosen = parser.parse_args(arguments)
    columns = ["model", "elsewhere", "to reach", "layer by layer", "I", "E", "no plan below I, E", "I without input"]
    columns += ["sliding (MACs a hop)", "MACs I, E", "cycles I, E", "seconds I, E"]
    columns += ["touched I", "touched E", "emulated cycles I, E", "layer by layer"] if chosen.emulate else []
    print(f"| {' | '.join(columns)} |\n|---|---|---|{'--:|' * (len(columns) - 3)}")
    for name in chosen.only:
        case, board = CASES[name], load_board(chosen.board)
        model = chosen.models / f"{case.file}.onnx"
        row = [name, case.elsewhere, case.reach, *planned(case, model, board)]
        row += emulated(case, model, board) if chosen.emulate else []
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
