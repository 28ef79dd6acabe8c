"""How well ``cost`` predicts what the emulator counts, and the tables it predicts from.

    python benchmarks/cycle_model.py measure --rows rows.json [--boards NAME ...] [--models FILE ...] [--only TEXT]
    python benchmarks/cycle_model.py fit --rows rows.json
    python benchmarks/cycle_model.py check --rows rows.json

``measure`` runs every kernel of every core on one-op cases (whole and row by row), and all shared models layer by
layer, and writes what each took. ``fit`` writes tinycompile/backends/cycles.json: for each core, kernel and rounding
the weights of ``Kernel.work`` that predict the cycles best (least squares of relative errors; no weight below 0; a
count more must earn its place). ``check`` prints the errors that are left, by core, network and layer.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from kernels import Case, cases, image, one, spacious, weights

from tinycompile.api import Options, build
from tinycompile.backends import ALL, Kernel, candidates
from tinycompile.boards import Board, load_board
from tinycompile.cost import TABLE, kernel_cycles
from tinycompile.deploy import build_firmware
from tinycompile.errors import DoesNotFit, TinycompileError
from tinycompile.ir import Pad
from tinycompile.ops import Conv2D
from tinycompile.schedule.program import Program
from tinycompile.simulate.batch import alone, combine, in_rows
from tinycompile.simulate.emulator import emulate
from tinycompile.simulate.emulator.qemu import emulate_in_qemu

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "models"
BOARDS = ("stm32l4r5", "stm32f746", "stm32u575", "stm32g0b1", "cortex-m3", "mps3-an547")
BATCH = 32
MOST = 24
"""Cases of one kernel, rounded and called in one way."""
TERMS = 6
"""Counts that may have a weight, at most."""
SMALL = {"call", "rows", "pixels"}
"""Counts that do not tell by themselves how much there is to compute."""
CALLING = ("winograd", "any_conv", "max_pool")
"""In the names of kernels that are partly functions of their own: QEMU counts those by themselves."""
WORTH = 0.97
"""A count more must leave less than this part of the squared error."""


@dataclass(frozen=True)
class Row:
    """One layer on one core: what its calls counted in all, and the cycles they took (instructions without a model)."""

    core: str
    kernel: str
    rounding: str
    source: str
    layer: str
    work: Mapping[str, float]
    cycles: int
    predicted: int


def board_of(name: str) -> Board:
    """A board, with room for many cases where it is emulated; ``cortex-m3``: no board of ours, but a core."""
    if name == "cortex-m3":
        return replace(board_of("mps2-an386"), core=name, features=frozenset(), emulator=name, qemu=None)
    return spacious(load_board(name))


def random_cases(seed: int = 1, count: int = 60) -> Iterator[Case]:
    """Convolutions of random shapes, strides and paddings."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        kernel = [(1, 1), (1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (7, 7)][i % 7]
        depthwise = i % 3 == 0 and kernel != (1, 1)
        channels = int(rng.integers(1, 33)) * (4 if rng.integers(2) else 1)
        stride = (1, 1) if rng.integers(3) else (2, 2)
        height, width = int(rng.integers(1, 17)) + kernel[0], int(rng.integers(1, 17)) + kernel[1]
        outputs = channels if depthwise else int(rng.integers(1, 65))
        pad = Pad(*(int(rng.integers(0, k // 2 + 1)) for k in (kernel[0], kernel[1], kernel[0], kernel[1])))
        op = Conv2D("f", ("x", "w", "b"), "y", kernel, stride, (1, 1), pad, channels if depthwise else 1)
        shape = (outputs, *kernel, 1 if depthwise else channels)
        yield Case(f"random {i}", one(op, image(height, width, channels), *weights(shape, i)))


def programs(board: Board) -> Iterator[tuple[str, Program]]:
    """``MOST`` cases of every kernel of the core: whole, row by row, and rounded as TensorFlow Lite does."""
    kinds: dict[tuple[str, str, bool], list[tuple[str, Program]]] = defaultdict(list)
    for name, program in every_program(board):
        kernel = kernel_of(program)
        kinds[kernel.key, program.graph.rounding, name.endswith("by rows")].append((name, program))
    for found in kinds.values():
        places = np.unique(np.linspace(0, len(found) - 1, MOST).astype(int))
        yield from (found[i] for i in places)


def kernel_of(program: Program) -> Kernel:
    """That of its one op."""
    return next(iter(program.unrolled())).kernel


def every_program(board: Board) -> Iterator[tuple[str, Program]]:
    """Every case with every kernel of the core, whole and row by row, natively rounded and as TensorFlow Lite."""
    for case in (*cases(), *random_cases()):
        for rounding in ("native", "tflite"):
            graph = replace(case.graph, rounding=rounding)
            (op,) = graph.ops
            for kernel in candidates(op, graph.io(op), board.abilities):
                yield case.name, alone(graph, kernel)
                if rounding == "native" and (by_rows := in_rows(graph, kernel)) is not None:
                    yield f"{case.name} by rows", by_rows


def fitting(found: Sequence[tuple[str, Program]], board: Board) -> Iterator[Row]:
    """``measure``, in as many images as a board of fixed size takes; programs that fill one alone are left out."""
    try:
        yield from list(measure(found, board))
    except DoesNotFit:
        half = len(found) // 2
        for part in (found[:half], found[half:]) if half else ():
            yield from fitting(part, board)


def measure(found: Sequence[tuple[str, Program]], board: Board) -> Iterator[Row]:
    """Run programs of one op in one image."""
    rng = np.random.default_rng(0)
    inputs = []
    for _, program in found:
        tensors = [program.graph.tensors[name] for name in program.graph.inputs]
        inputs.append({t.name: rng.integers(-128, 128, t.shape).astype(np.int8) for t in tensors})
    batch = combine([program for _, program in found], inputs)
    symbols = [names[0] for names in batch.layers]
    with tempfile.TemporaryDirectory() as folder:
        built = build_firmware(batch.sources, board, Path(folder), console="semihosting")
        files = {"input.bin": batch.given}
        if board.emulator:
            costs = {c.name: c.cycles for c in emulate(built.elf, board, files=files, layers=symbols).layers}
        else:
            costs = {c.name: c.instructions for c in emulate_in_qemu(built.elf, board, files=files).functions}
    for (name, program), symbol in zip(found, symbols, strict=True):
        yield row(program, program.graph.ops[0].name, board.core, "cases", name, costs[symbol] or 0)


def row(program: Program, op: str, core: str, source: str, layer: str, cycles: int) -> Row:
    """What all calls of an op counted, beside what they took."""
    work: dict[str, float] = defaultdict(float)
    predicted = 0
    calls = [call for call in program.unrolled() if call.op.name == op]
    for call in calls:
        io = call.io(program.graph)
        for name, count in call.kernel.work(call.op, io).items():
            work[name] += count
        predicted += kernel_cycles(call.op, io, call.kernel, core)
    return Row(core, calls[0].kernel.key, program.graph.rounding, source, layer, dict(work), cycles, predicted)


def layers(model: Path, board: Board) -> Iterator[Row]:
    """The layers of a model, as it is built."""
    with tempfile.TemporaryDirectory() as folder:
        built = build(model, board, Path(folder) / "out", Options(verify_samples=1, console="semihosting"))
    for layer in built.report["layers"]:
        cycles = layer["cycles_emulated"] or layer["instructions"]
        if cycles:
            yield row(built.compiled.program, layer["name"], board.core, model.stem, layer["symbol"], cycles)


def collect(boards: Sequence[str], models: Sequence[Path], only: str) -> Iterator[Row]:
    """All rows, board by board, of kernels whose key has ``only`` in it."""
    for name in boards:
        board = board_of(name)
        found = [one for one in programs(board) if only in kernel_of(one[1]).key]
        if not board.emulator:
            found = [one for one in found if not any(name in kernel_of(one[1]).name for name in CALLING)]
        print(f"{name}: {len(found)} programs", flush=True)
        for i in range(0, len(found), BATCH):
            yield from fitting(found[i : i + BATCH], board)
        for model in models:
            try:
                yield from layers(model, board)
            except TinycompileError as error:
                print(f"{model.stem} is left out: {str(error).splitlines()[0]}", flush=True)


def fit(rows: Sequence[Row]) -> dict[str, float]:
    """Weights of the counts that predict the cycles of these layers best, none of them negative."""
    names = sorted({name for one in rows for name in one.work})
    cycles = np.array([one.cycles for one in rows], float)
    counts = np.array([[one.work.get(name, 0.0) for name in names] for one in rows]) / cycles[:, None]
    best: dict[str, float] = {}
    least = np.inf
    for size in range(1, min(TERMS, len(names), len(rows)) + 1):
        tried = [(np.inf, {})] + [_solved(counts, names, chosen) for chosen in combinations(range(len(names)), size)]
        error, weights = min(tried, key=lambda x: x[0])
        if error < WORTH * least:
            best, least = weights, error
    return best


def _solved(counts: np.ndarray, names: Sequence[str], chosen: Sequence[int]) -> tuple[float, dict[str, float]]:
    """The squared relative error of the best weights of these counts; infinite where one is not positive, or none
    tells how much there is to compute."""
    if {names[i] for i in chosen} <= SMALL:
        return np.inf, {}
    columns = counts[:, list(chosen)]
    weights = np.linalg.lstsq(columns, np.ones(len(columns)), rcond=None)[0]
    if not (weights > 0).all():
        return np.inf, {}
    error = float(np.sum((columns @ weights - 1) ** 2)) + 1e-9 * len(columns)
    return error, {names[i]: float(f"{w:.4g}") for i, w in zip(chosen, weights, strict=True)}


def tables(rows: Iterable[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """By core, and kernel and rounding: weights."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for each in rows:
        groups[each.core, f"{each.kernel} {each.rounding}"].append(each)
    known = {f"{kernel.key} {rounding}" for kernel in ALL for rounding in ("native", "tflite")}
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for (core, kernel), mine in sorted(groups.items()):
        if kernel in known:
            found[core][kernel] = fit(mine)
    return found


def text(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """JSON with a line for each kernel, so that a new fit reads well as a difference."""
    parts = []
    for core, kernels in found.items():
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(weights)}" for key, weights in kernels.items())
        parts.append(f" {json.dumps(core)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def check(rows: Sequence[Row]) -> None:
    """Print the mean errors that the fitted tables leave."""
    fitted = json.loads(TABLE.read_text(encoding="utf-8"))
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    kernels: dict[tuple[str, str], list[float]] = defaultdict(list)
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for each in rows:
        weights = fitted[each.core].get(f"{each.kernel} {each.rounding}", {})
        predicted = sum(weight * each.work[name] for name, weight in weights.items())
        error = predicted / each.cycles - 1
        kernels[each.core, f"{each.kernel} {each.rounding}"].append(error)
        errors[each.core, "cases" if each.source == "cases" else "models"].append(error)
        if each.source != "cases":
            total = sums[each.core, each.source]
            total[0] += predicted
            total[1] += each.cycles
    print("| core | layers of | layers | mean error |\n|---|---|--:|--:|")
    for (core, kind), found in sorted(errors.items()):
        print(f"| {core} | {kind} | {len(found)} | {np.mean(np.abs(found)):.1%} |")
    print("\n| core | networks | mean error | worst |\n|---|--:|--:|---|")
    for core in sorted({core for core, _ in sums}):
        networks = {name: a / b - 1 for (c, name), (a, b) in sums.items() if c == core}
        worst = max(networks, key=lambda name: abs(networks[name]))
        mean = np.mean(np.abs(list(networks.values())))
        print(f"| {core} | {len(networks)} | {mean:.1%} | {worst} {networks[worst]:+.1%} |")
    print("\n| core | kernel | layers | mean error | worst |\n|---|---|--:|--:|--:|")
    for (core, kernel), found in sorted(kernels.items(), key=lambda x: -float(np.mean(np.abs(x[1]))))[:40]:
        print(f"| {core} | {kernel} | {len(found)} | {np.mean(np.abs(found)):.1%} | {max(found, key=abs):+.0%} |")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, fit or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "fit", "check"))
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--models", type=Path, nargs="*", default=None, help="Default: all shared ones.")
    parser.add_argument("--only", default="", help="Measure kernels with this in their key; earlier rows stay.")
    chosen = parser.parse_args(arguments)
    if chosen.what == "measure":
        models = chosen.models
        if models is None:
            models = sorted(p for p in SHARED.iterdir() if p.suffix in (".onnx", ".tflite"))
        with chosen.rows.open("a", encoding="utf-8") as file:
            for one in collect(chosen.boards, models, chosen.only):
                file.write(json.dumps(asdict(one)) + "\n")
        return
    rows = [Row(**json.loads(line)) for line in chosen.rows.read_text(encoding="utf-8").splitlines()]
    if chosen.what == "fit":
        TABLE.write_text(text(tables(rows)), encoding="utf-8")
    else:
        check(rows)


if __name__ == "__main__":
    main()
