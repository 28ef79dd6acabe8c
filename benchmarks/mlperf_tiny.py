"""Cycles, SRAM and flash of the MLPerf Tiny models (and others) on five cores, beside the fastest published.

    python benchmarks/mlperf_tiny.py [--models DIR] [--boards stm32f746 ...] [--only ic ...] [--lean] [--layers]
                                     [--toolchain zig|gcc] [--mcusim FILE] [--history FILE]

Whole inferences, float ONNX models quantised by tinycompile (with synthetic ranges, under which the autoencoder has
64 dead channels; the file that came quantised has none), each verified in the emulator. ``--lean`` plans within the
arenas of ``ARENA`` instead of all the SRAM there is. With ``--mcusim`` an independent simulator runs the same images.
On the Cortex-M55, which has no cycle model, instructions are counted in QEMU. Prints Markdown, and appends one JSON
line a run to ``--history`` (default: benchmarks/history/mlperf_tiny.jsonl), with the cycles of every layer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from emulator_vs_mcusim import run_mcusim

from tinycompile.api import Built, Options, build
from tinycompile.errors import DoesNotFit
from tinycompile.schedule import Goal

ROOT = Path(__file__).resolve().parent.parent
MODELS = {
    "ic": "mlperf_ic_resnet8.onnx",
    "vww": "mlperf_vww_mobilenetv1_025_96.onnx",
    "kws": "mlperf_kws_dscnn.onnx",
    "ad": "mlperf_ad_autoencoder.onnx",
    "sww": "mlperf_sww_1dcnn.onnx",
    "mcunet": "tinyengine_mcunet_vww.onnx",
    "mcunetv2": "mcunetv2_large_rescaled.onnx",
}
BOARDS = ("stm32l4r5", "stm32f746", "stm32u575", "stm32g0b1", "mps3-an547")
ARENA = {"ic": 16 << 10, "vww": 30 << 10, "kws": 6656, "ad": 768, "sww": 5 << 10, "mcunet": 26 << 10}
"""Bytes that the arena may take with ``--lean``."""
PUBLISHED = {
    "cortex-m4": {"ic": 1.59, "vww": 1.42, "kws": 1.95, "ad": 1.84},
    "cortex-m7": {"ic": 0.91, "vww": 0.89, "kws": 1.19, "ad": 1.15},
    "cortex-m33": {"ic": 1.33, "vww": 1.27, "kws": 1.75, "ad": 1.94},
    "cortex-m0plus": {"ic": 7.8, "vww": 12.1, "kws": 11.4, "ad": 9.9},
}
"""The fewest cycles a MAC of all results in MLPerf Tiny's closed division (real hardware; X-CUBE-AI, Plumerai)."""


def measure(name: str, model: Path, board: str, toolchain: str, lean: bool, mcusim: Path | None) -> dict[str, Any]:
    """One build, verified on the emulator, as the row of a table."""
    goal = Goal(ram=ARENA.get(name) if lean else None)
    memory_map = {"flash": 4 << 20} if name == "mcunetv2" and board.startswith("stm32") else {}
    console = "semihosting" if mcusim else "uart"
    options = Options(toolchain=toolchain, verify_samples=1, goal=goal, memory=memory_map, console=console)
    with tempfile.TemporaryDirectory() as folder:
        built = build(model, board, Path(folder) / "out", options)
        other = judged(built, Path(folder), mcusim) if mcusim and built.compiled.board.emulator else None
    report = built.report
    memory = report["memory"]
    return {
        "board": board,
        "core": report["board"]["core"],
        "arena": memory["arena_bytes"],
        "touched": memory["arena_touched"],
        "optimal": memory["arena_optimal"],
        "without_input": memory["arena_bytes_without_input"],
        "stack": memory["stack_bytes"],
        "sram": memory["sram_bytes"],
        "flash": memory["flash_bytes"],
        "text": memory["flash_sections"]["text"],
        "macs": report["macs"],
        "instructions": report["instructions"],
        "cycles": report["cycles"]["emulated"],
        "cycles_predicted": report["cycles"]["estimated"],
        "cycles_mcusim": other,
        "milliseconds": report["milliseconds"] and round(report["milliseconds"], 2),
        "layers": {
            x["symbol"]: [x["kernel"], x["macs"], x["cycles_emulated"] or x["instructions"], x["cycles_estimated"]]
            for x in report["layers"]
        },
    }


def judged(built: Built, folder: Path, mcusim: Path) -> int:
    """Cycles of the same image in mcusim."""
    size = sum(built.compiled.graph.tensors[v.tensor].nbytes for v in built.compiled.program.inputs)
    (folder / "input.bin").write_bytes(bytes(size))
    return int(run_mcusim(mcusim, built, folder)["cycles"])


def cost(row: dict[str, Any]) -> int:
    """Cycles, or instructions where there is no cycle model."""
    return int(row["cycles"] or row["instructions"])


def line(name: str, row: dict[str, Any]) -> str:
    """A row of Markdown."""
    published = PUBLISHED.get(row["core"], {}).get(name)
    speed = cost(row) / row["macs"]
    beside = f"{published:.2f} ({published / speed:.2f}x)" if published else "-"
    judge = f"{row['cycles_mcusim']:,}" if row["cycles_mcusim"] else "-"
    predicted = f"{row['cycles_predicted'] / cost(row) - 1:+.1%}"
    return (
        f"| {name} | {row['board']} | {row['core']} | {row['arena']:,} | {row['sram']:,} | {row['flash']:,} "
        f"| {row['text']:,} | {row['instructions']:,} | {row['cycles'] or 0:,} | {judge} | {speed:.3f} | {beside} "
        f"| {predicted} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, print, remember."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--only", nargs="+", choices=MODELS, default=tuple(MODELS))
    parser.add_argument("--lean", action="store_true", help="Plan within the arenas that ARENA names.")
    parser.add_argument("--toolchain", choices=("zig", "gcc"), default="zig")
    parser.add_argument("--mcusim", type=Path, help="The mcusim program.")
    parser.add_argument("--history", type=Path, default=ROOT / "benchmarks" / "history" / "mlperf_tiny.jsonl")
    parser.add_argument("--layers", action="store_true", help="Also print cycles by layer.")
    chosen = parser.parse_args(arguments)
    print(
        "| model | board | core | arena | SRAM | flash | text | instructions | cycles | mcusim "
        "| a MAC | published | predicted |\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    rows = {}
    for name in chosen.only:
        if chosen.lean and name not in ARENA:
            continue
        for board in chosen.boards:
            try:
                row = measure(name, chosen.models / MODELS[name], board, chosen.toolchain, chosen.lean, chosen.mcusim)
            except DoesNotFit as miss:
                print(f"| {name} | {board} | needs {miss.needed:,} bytes of {miss.memory} |", flush=True)
                continue
            rows[f"{name}/{board}"] = row
            print(line(name, row), flush=True)
            if chosen.layers:
                for symbol, (kernel, macs, cycles, predicted) in row["layers"].items():
                    each = f"{cycles / max(macs, 1):7.2f} {predicted / max(cycles, 1):6.2f}"
                    print(f"    {symbol:44} {kernel:24} {macs:>10,} {cycles:>11,} {each}")
    chosen.history.parent.mkdir(parents=True, exist_ok=True)
    entry = {"date": time.strftime("%Y-%m-%d"), "commit": _commit(), "toolchain": chosen.toolchain, "rows": rows}
    with chosen.history.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**entry, "lean": chosen.lean}) + "\n")


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
