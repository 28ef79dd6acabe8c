"""SRAM, flash, instructions and estimated cycles of the five MLPerf Tiny models on four boards.

    python benchmarks/mlperf_tiny.py [--models DIR] [--boards stm32f746 ...] [--history FILE]

Ranges come from the shared calibration data where there are any; they change no size and hardly any cycle. Prints
Markdown, and appends one JSON line a run to ``--history`` (default: benchmarks/history/mlperf_tiny.jsonl).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinycompile.api import Options, build

ROOT = Path(__file__).resolve().parent.parent
MODELS = {
    "ic": "mlperf_ic_resnet8.onnx",
    "vww": "mlperf_vww_mobilenetv1_025_96.onnx",
    "kws": "mlperf_kws_dscnn.onnx",
    "ad": "mlperf_ad_autoencoder.onnx",
    "sww": "mlperf_sww_1dcnn.onnx",
}
BOARDS = ("stm32f746", "stm32l4r5", "stm32u575", "stm32g0b1")


def measure(model: Path, board: str, toolchain: str) -> dict[str, Any]:
    """One build, verified on the emulator, as the row of a table."""
    with tempfile.TemporaryDirectory() as folder:
        built = build(model, board, Path(folder) / "out", Options(toolchain=toolchain, verify_samples=1))
    report = built.report
    memory = report["memory"]
    return {
        "board": board,
        "arena": memory["arena_bytes"],
        "touched": memory["arena_touched"],
        "optimal": memory["arena_optimal"],
        "without_input": memory["arena_bytes_without_input"],
        "stack": memory["stack_bytes"],
        "sram": memory["sram_bytes"],
        "flash": memory["flash_bytes"],
        "macs": report["macs"],
        "instructions": report["instructions"],
        "cycles": report["cycles"]["emulated"],
        "cycles_predicted": report["cycles"]["estimated"],
        "milliseconds": round(report["milliseconds"], 2),
        "layers": {x["symbol"]: [x["kernel"], x["macs"], x["cycles_emulated"]] for x in report["layers"]},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, print, remember."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--only", nargs="+", choices=MODELS, default=tuple(MODELS))
    parser.add_argument("--toolchain", choices=("zig", "gcc"), default="zig")
    parser.add_argument("--history", type=Path, default=ROOT / "benchmarks" / "history" / "mlperf_tiny.jsonl")
    parser.add_argument("--layers", action="store_true", help="Also print cycles by layer.")
    chosen = parser.parse_args(arguments)
    print("| model | board | arena planned | touched | SRAM | flash | instructions | cycles | cycles/MAC | ms |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    rows = {}
    for name in chosen.only:
        for board in chosen.boards:
            row = rows[f"{name}/{board}"] = measure(chosen.models / MODELS[name], board, chosen.toolchain)
            print(
                f"| {name} | {board} | {row['arena']:,} | {row['touched']:,} | {row['sram']:,} | {row['flash']:,} "
                f"| {row['instructions']:,} | {row['cycles']:,} | {row['cycles'] / row['macs']:.2f} "
                f"| {row['milliseconds']:.2f} |",
                flush=True,
            )
            if chosen.layers:
                for symbol, (kernel, macs, cycles) in row["layers"].items():
                    print(f"    {symbol:44} {kernel:20} {macs:>10,} {cycles:>11,} {cycles / max(macs, 1):7.2f}")
    chosen.history.parent.mkdir(parents=True, exist_ok=True)
    entry = {"date": time.strftime("%Y-%m-%d"), "commit": _commit(), "toolchain": chosen.toolchain, "rows": rows}
    with chosen.history.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
