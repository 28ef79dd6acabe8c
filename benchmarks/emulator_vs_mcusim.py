"""Instructions, cycles and speed of the emulator and of mcusim, an independent simulator, on the same images.

python benchmarks/emulator_vs_mcusim.py --mcusim ./mcusim [--models FILE ...] [--boards stm32f746 ...]

Each model is built for each board with the semihosting console, and run on random bytes in both simulators;
the region compared is the inference function. Prints Markdown, with the layers that differ most where asked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.api import Built, Options, build
from tinycompile.simulate.emulator import Emulation, emulate

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT.parent / "shared" / "models"
BOARDS = ("stm32f746", "stm32l4r5", "stm32u575", "stm32g0b1")
CORES = {"cortex-m0plus": "m0p", "cortex-m3": "m3", "cortex-m4": "m4", "cortex-m7": "m7", "cortex-m33": "m33"}


@dataclass(frozen=True)
class Row:
    """Both results for one image: of mcusim what its JSON says, and the seconds that each took."""

    model: str
    board: str
    ours: Emulation
    theirs: dict[str, Any]
    seconds: tuple[float, float]
    outputs_agree: bool


def compare(model: Path, board: str, mcusim: Path, toolchain: str) -> Row:
    """Builds one image and runs it twice."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        options = Options(console="semihosting", toolchain=toolchain, verify_samples=0)
        built = build(model, board, folder / "out", options)
        sources, program = built.compiled.sources, built.compiled.program
        size = sum(program.graph.tensors[v.tensor].nbytes for v in program.inputs)
        (folder / "input.bin").write_bytes(np.random.default_rng(0).bytes(size))
        start = time.perf_counter()
        files = {"input.bin": (folder / "input.bin").read_bytes()}
        ours = emulate(built.firmware.elf, built.compiled.board, files=files, roi=sources.run)
        between = time.perf_counter()
        theirs = run_mcusim(mcusim, built, folder)
        seconds = (between - start, time.perf_counter() - between)
        agree = ours.files["output.bin"] == (folder / "output.bin").read_bytes()
    return Row(model.stem, board, ours, theirs, seconds, agree)


def run_mcusim(mcusim: Path, built: Built, folder: Path) -> dict[str, Any]:
    """What mcusim says of the same image with the same input."""
    board, report = built.compiled.board, folder / "mcusim.json"
    maps = []
    for region in board.memory:
        maps += [
            "--flash" if region.name == board.flash.name else "--ram",
            f"{region.origin:#x},{region.size}",
        ]
    command = [str(mcusim.resolve()), "--cpu", CORES[board.core], *maps, "--elf", str(built.firmware.elf)]
    command += [
        "--dir",
        str(folder),
        "--roi-func",
        built.compiled.sources.run,
        "--json",
        str(report),
        "--top",
        "999",
    ]
    subprocess.run(command, check=True, capture_output=True)
    result: dict[str, Any] = json.loads(report.read_text())
    return result


def worst(row: Row, count: int = 3) -> str:
    """The functions whose cycles differ most, weighted by what they cost."""
    theirs = {f["name"]: f["cycles"] for f in row.theirs["functions"]}
    pairs = [(f.name, f.cycles or 0, theirs[f.name]) for f in row.ours.functions if f.name in theirs]
    pairs.sort(key=lambda p: -abs(p[1] - p[2]))
    return ", ".join(f"{name} {a / max(b, 1) - 1:+.1%}" for name, a, b in pairs[:count])


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mcusim", type=Path, required=True, help="The mcusim program.")
    parser.add_argument("--models", type=Path, nargs="+", default=sorted(MODELS.glob("mlperf_*_int8.tflite")))
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--toolchain", choices=("zig", "gcc"), default="zig")
    parser.add_argument("--functions", action="store_true", help="Also name the functions that differ most.")
    chosen = parser.parse_args(arguments)
    print("| model | board | instructions | same | cycles | mcusim | difference | M instructions/s | mcusim |")
    print("|---|---|--:|---|--:|--:|--:|--:|--:|")
    for model in chosen.models:
        for board in chosen.boards:
            row = compare(model, board, chosen.mcusim, chosen.toolchain)
            same = row.ours.instructions == row.theirs["instructions"] and row.outputs_agree
            cycles, others = row.ours.cycles or 0, row.theirs["cycles"]
            speed = [f"{row.ours.total_instructions / s / 1e6:.0f}" for s in row.seconds]
            print(
                f"| {row.model} | {board} | {row.ours.instructions:,} | {'yes' if same else 'NO'} "
                f"| {cycles:,} | {others:,} | {cycles / others - 1:+.2%} | {speed[0]} | {speed[1]} |",
                flush=True,
            )
            if chosen.functions:
                print(f"    {worst(row)}")


if __name__ == "__main__":
    main()
