"""Arena bytes of shared models, layer by layer and with the least SRAM; the input is resident.

    python benchmarks/least_sram.py [--models DIR] [--only resnet8 ...] [--emulate] [--board stm32l4r5]

Prints Markdown. MACs are relative to layer by layer. With ``--emulate`` both programs run on the emulated board:
bytes touched, and cycles relative to layer by layer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinycompile.api import Options, build
from tinycompile.api.compile import import_model
from tinycompile.boards import Board, load_board
from tinycompile.ir import Graph
from tinycompile.quantize import Recipe, quantize
from tinycompile.schedule import Goal, Program, schedule

ROOT = Path(__file__).resolve().parent.parent
MODELS = {
    "resnet8": "mlperf_ic_resnet8",
    "vww": "mlperf_vww_mobilenetv1_025_96",
    "kws": "mlperf_kws_dscnn",
    "sww": "mlperf_sww_1dcnn",
    "ad": "mlperf_ad_autoencoder",
    "mcunet": "tinyengine_mcunet_vww",
    "mobilenet_v2": "st_mobilenet_v2_035_128_flowers",
}
HUGE = 1 << 30
"""The arena may take what it needs: what is asked is how little that is."""


def macs(program: Program) -> int:
    """Multiply-accumulates of one inference."""
    return sum(call.op.features(call.io(program.graph)).macs for call in program.unrolled())


def planned(graph: Graph, board: Board) -> list[Any]:
    """Bytes layer by layer and at least, bound, relative MACs, seconds."""
    layers = schedule(graph, board, Goal(ram=HUGE))
    start = time.perf_counter()
    least = schedule(graph, board, Goal(least="sram", ram=HUGE))
    seconds = time.perf_counter() - start
    sizes = [f"{size:,}" for size in (layers.arena_bytes, least.arena_bytes, least.bound)]
    return [*sizes, f"{macs(least) / max(macs(layers), 1):.2f}x", f"{seconds:.1f}"]


def emulated(model: Path, board: str) -> list[Any]:
    """Bytes touched and relative cycles."""
    found = []
    for goal in (Goal(), Goal(least="sram")):
        with tempfile.TemporaryDirectory() as folder:
            report = build(model, board, Path(folder) / "out", Options(goal=goal, verify_samples=1)).report
            found.append((report["memory"]["arena_touched"], report["cycles"]["emulated"]))
    return [f"{found[1][0]:,}", f"{found[1][1] / found[0][1]:.3f}x"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Plan, emulate where asked, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--only", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--emulate", action="store_true")
    parser.add_argument("--board", default="stm32l4r5")
    chosen = parser.parse_args(arguments)
    columns = ["model", "layer by layer", "least", "bound", "MACs", "seconds"]
    columns += ["touched", "cycles"] if chosen.emulate else []
    print(f"| {' | '.join(columns)} |\n|---|{'--:|' * (len(columns) - 1)}")
    for name in chosen.only:
        model = chosen.models / f"{MODELS[name]}.onnx"
        graph = quantize(import_model(model), None, Recipe()).graph
        row = [name, *planned(graph, load_board(chosen.board))]
        row += emulated(model, chosen.board) if chosen.emulate else []
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
