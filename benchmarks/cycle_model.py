"""How well ``cost`` predicts what the emulator counts, and the weights that would predict it best.

    python benchmarks/cycle_model.py [--models FILE ...] [--boards NAME ...] [--rows FILE]

Builds every model for every board and compares cycles by network and core. Then fits, for each kernel, the weights
of ``Kernel.cycles`` on the Cortex-M4 (least squares, errors divided by cycles**0.75 so that small layers count too;
no weight below 0; calls at 60 cycles), and for each core the factor that ``cost.CORES`` would need. ``--rows``
keeps the measured layers in a JSON file; an existing one is read instead of building again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.api import Options, build
from tinycompile.boards import load_board
from tinycompile.errors import DoesNotFit

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "models"
MODELS = [path for path in sorted(SHARED.glob("mlperf_*")) if path.suffix in (".onnx", ".tflite")]
BOARDS = ("stm32l4r5", "stm32g0b1", "stm32f746", "stm32u575")
REFERENCE = "cortex-m4"
CALL = 60
"""Cycles of a call outside its loops: too few to be fitted from layers this large."""
COUNTS = ("macs", "ops", "stores")
Row = dict[str, Any]


def measure(model: Path, board: str) -> list[Row]:
    """One row for each layer: its kernel, what it counts over all its calls, cycles predicted and emulated."""
    with tempfile.TemporaryDirectory() as folder:
        built = build(model, board, Path(folder) / "out", Options(verify_samples=1))
    program = built.compiled.program
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
    for call in program.unrolled():
        features = call.op.features(call.io(program.graph))
        for name in COUNTS:
            counts[call.op.name][name] += getattr(features, name)
    return [
        {
            "model": model.stem,
            "core": load_board(board).core,
            "kernel": f"{layer['op']} {layer['kernel']}",
            **counts[layer["name"]],
            "calls": layer["calls"],
            "predicted": layer["cycles_estimated"],
            "emulated": layer["cycles_emulated"],
        }
        for layer in built.report["layers"]
    ]


def collect(models: Iterable[Path], boards: Sequence[str]) -> list[Row]:
    """The layers of every model that fits each board."""
    rows: list[Row] = []
    for model in models:
        for board in boards:
            try:
                rows += measure(model, board)
            except DoesNotFit as error:
                print(f"{model.stem} is left out: {error}", flush=True)
    return rows


def fit(rows: Sequence[Row]) -> dict[str, float]:
    """Weights of the counts that predict the emulated cycles of these layers best, none of them negative."""
    counts = np.array([[row[name] for name in COUNTS] for row in rows], float)
    emulated = np.array([row["emulated"] for row in rows], float)
    wanted = emulated - CALL * np.array([row["calls"] for row in rows])
    scale = emulated**-0.75
    best, least = {}, np.inf
    for size in range(1, len(COUNTS) + 1):
        for chosen in map(list, combinations(range(len(COUNTS)), size)):
            weights = np.linalg.lstsq(counts[:, chosen] * scale[:, None], wanted * scale, rcond=None)[0]
            error = float(np.sum(((counts[:, chosen] @ weights - wanted) * scale) ** 2))
            # A count more must earn its place.
            if (weights > 0).all() and error < 0.98 * least:
                best, least = {COUNTS[i]: float(w) for i, w in zip(chosen, weights, strict=True)}, error
    return best


def print_networks(rows: Sequence[Row]) -> None:
    """Cycles predicted over emulated for each network and core, and for each core over all of its networks."""
    print("| core | network | predicted | emulated | ratio |\n|---|---|--:|--:|--:|")
    for core, mine in _grouped(rows, "core").items():
        ratios = []
        for model, layers in _grouped(mine, "model").items():
            predicted, emulated = (sum(row[k] for row in layers) for k in ("predicted", "emulated"))
            ratios.append(predicted / emulated)
            print(f"| {core} | {model} | {predicted:,} | {emulated:,} | {ratios[-1]:.3f} |")
        print(f"| {core} | median: CORES times {1 / np.median(ratios):.3f} | | | |")


def print_kernels(rows: Sequence[Row]) -> None:
    """For each kernel on the Cortex-M4: how its layers' ratios spread, and the weights that would fit best."""
    print("\n| kernel | layers | predicted / emulated | least | most | best weights |\n|---|--:|--:|--:|--:|---|")
    for kernel, layers in sorted(_grouped(rows, "kernel").items()):
        ratios = [row["predicted"] / row["emulated"] for row in layers]
        total = sum(row["predicted"] for row in layers) / sum(row["emulated"] for row in layers)
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in fit(layers).items())
        print(f"| {kernel} | {len(layers)} | {total:.3f} | {min(ratios):.2f} | {max(ratios):.2f} | {weights} |")


def _grouped(rows: Iterable[Row], key: str) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or read what was measured, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", default=MODELS)
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--rows", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.rows and chosen.rows.exists():
        rows = json.loads(chosen.rows.read_text(encoding="utf-8"))
    else:
        rows = collect(chosen.models, chosen.boards)
        if chosen.rows:
            chosen.rows.write_text(json.dumps(rows), encoding="utf-8")
    print_networks(rows)
    print_kernels([row for row in rows if row["core"] == REFERENCE])


if __name__ == "__main__":
    main()
