"""Cycles of every kernel on one-op cases, core by core: what they cost, and how well that is predicted.

    python benchmarks/kernels.py [--boards NAME ...] [--only TEXT ...] [--toolchain zig|gcc]

Each case is an op of one shape with random weights; every kernel that fits it runs in one image, whose output is
compared with the specification. Boards with a cycle model give emulated cycles; in QEMU (Cortex-M55) instructions
are counted. ``--only`` keeps cases and kernels whose name contains one of the texts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinycompile.backends import Kernel, candidates
from tinycompile.boards import Board, load_board
from tinycompile.cost import kernel_cycles
from tinycompile.deploy import build_firmware, find_toolchain
from tinycompile.ir import DType, Graph, Op, Pad, Quant, Tensor
from tinycompile.ops import Add, AveragePool2D, Conv2D, Dense, MaxPool2D, Mul, Softmax
from tinycompile.ops.unary import Step, Unary
from tinycompile.simulate.batch import alone, combine
from tinycompile.simulate.emulator import emulate
from tinycompile.simulate.emulator.qemu import emulate_in_qemu

BOARDS = ("stm32l4r5", "stm32f746", "stm32u575", "stm32g0b1")
BATCH = 24
"""Kernels in one image."""


@dataclass(frozen=True)
class Case:
    """A named one-op graph."""

    name: str
    graph: Graph

    @property
    def macs(self) -> int:
        """Multiply-accumulates, or outputs where an op has none."""
        (op,) = self.graph.ops
        features = op.features(self.graph.io(op))
        return features.macs or self.graph.io(op).out.size


@dataclass(frozen=True)
class Row:
    """What one kernel took for one case: instructions, cycles (None: no cycle model) and predicted cycles."""

    case: Case
    kernel: Kernel
    board: Board
    instructions: int
    cycles: int | None
    predicted: int


def image(height: int, width: int, channels: int, name: str = "x") -> Tensor:
    """An int8 activation with a zero point off the middle."""
    return Tensor(name, (1, height, width, channels), DType.INT8, Quant.per_tensor(0.02, -11))


def weights(shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Normally distributed int8 weights with a scale for each output channel, and a bias."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, shape)
    top = np.abs(values).reshape(shape[0], -1).max(axis=1).reshape(-1, *[1] * (len(shape) - 1))
    data = np.rint(values / top * 127).astype(np.int8)
    fan = float(np.prod(shape[1:]))
    scale = tuple(float(s) for s in rng.uniform(0.5, 1.5, shape[0]) * 0.02 / fan**0.5)
    w = Tensor.constant("w", data, Quant(scale, 0, 0))
    bias = rng.integers(-2000, 2000, shape[0]).astype(np.int32)
    return w, Tensor.constant("b", bias, Quant(tuple(0.02 * s for s in scale), 0, 0))


def one(op: Op, *inputs: Tensor) -> Graph:
    """The graph of an op."""
    out = Tensor(op.output, op.infer(*inputs), DType.INT8, Quant.per_tensor(0.03, -20))
    names = tuple(t.name for t in inputs if t.data is None)
    return Graph("g", names, (op.output,), (op,), {t.name: t for t in (*inputs, out)}, "native")


def conv(
    h: int, w: int, c: int, o: int, k: int | tuple[int, int] = 1, stride: int = 1, *, depthwise: bool = False
) -> Case:
    """A convolution with padding as TensorFlow's SAME."""
    kernel = (k, k) if isinstance(k, int) else k
    out = [-(-n // stride) for n in (h, w)]
    total = [max(0, (m - 1) * stride + k - n) for m, k, n in zip(out, kernel, (h, w), strict=True)]
    pad = Pad(total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)
    shape = (c, *kernel, 1) if depthwise else (o, *kernel, c)
    op = Conv2D("f", ("x", "w", "b"), "y", kernel, (stride, stride), (1, 1), pad, c if depthwise else 1)
    kind = "dw" if depthwise else "conv"
    name = f"{kind} {kernel[0]}x{kernel[1]}/{stride} {h}x{w} {c}" + ("" if depthwise else f"->{o}")
    return Case(name, one(op, image(h, w, c), *weights(shape)))


def depthwise(h: int, w: int, c: int, k: int = 3, stride: int = 1) -> Case:
    """A depthwise convolution."""
    return conv(h, w, c, c, k, stride, depthwise=True)


def dense(k: int, o: int, *, lowest: bool = False) -> Case:
    """A dense layer of one vector; ``lowest``: weights go down to -128, which not every way to pack them allows."""
    x = Tensor("x", (1, k), DType.INT8, Quant.per_tensor(0.02, -11))
    w, b = weights((o, k))
    if lowest:
        w = Tensor.constant("w", np.concatenate([np.full((o, 1), -128, np.int8), w.values[:, 1:]], axis=1), w.quant)
    name = f"dense {k}->{o}" + (" to -128" if lowest else "")
    return Case(name, one(Dense("f", ("x", "w", "b"), "y"), x, w, b))


def add(h: int, w: int, c: int) -> Case:
    """A residual addition."""
    return Case(f"add {h}x{w} {c}", one(Add("f", ("x", "z"), "y"), image(h, w, c), image(h, w, c, "z")))


def pool(kind: type[AveragePool2D] | type[MaxPool2D], h: int, w: int, c: int, k: int) -> Case:
    """A pool without padding, with a stride of its size."""
    op = kind("f", ("x",), "y", (k, k), (k, k))
    x = image(h, w, c)
    graph = one(op, x)
    if kind is MaxPool2D:  # which keeps its input's quantisation
        out = Tensor("y", graph.tensors["y"].shape, DType.INT8, x.quant)
        graph = Graph("g", ("x",), ("y",), (op,), {"x": x, "y": out}, "native")
    return Case(f"{kind.__name__} {k}x{k} {h}x{w} {c}", graph)


def scaled(h: int, w: int, c: int) -> Case:
    """An image times a number for each channel."""
    return Case(f"mul {h}x{w} {c}", one(Mul("f", ("x", "z"), "y"), image(h, w, c), image(1, 1, c, "z")))


def table(h: int, w: int, c: int) -> Case:
    """A function of each value."""
    return Case(f"unary {h}x{w} {c}", one(Unary("f", ("x",), "y", (Step("sigmoid"),)), image(h, w, c)))


def softmax(channels: int) -> Case:
    """A softmax of one vector."""
    x = Tensor("x", (1, channels), DType.INT8, Quant.per_tensor(0.1, 3))
    op = Softmax("f", ("x",), "y")
    out = Tensor("y", x.shape, DType.INT8, Quant.per_tensor(1 / 256, -128))
    return Case(f"softmax {channels}", Graph("g", ("x",), ("y",), (op,), {"x": x, "y": out}, "native"))


def cases() -> Iterator[Case]:
    """Shapes from small to large, with odd ones between; none is taken from a model."""
    for c, o, hw in ((8, 16, 48), (16, 32, 24), (32, 32, 24), (64, 64, 12), (96, 40, 9), (128, 128, 6), (256, 256, 3)):
        yield conv(hw, hw, c, o)
    yield conv(25, 5, 64, 64)
    yield conv(7, 7, 40, 17)
    yield conv(32, 32, 3, 16, 3)
    yield conv(96, 96, 3, 8, 3, 2)
    yield conv(49, 10, 1, 64, (10, 4), 2)
    for c, hw in ((8, 20), (16, 32), (32, 16), (64, 8), (24, 13), (128, 7)):
        yield conv(hw, hw, c, c, 3)
    for c, o, hw in ((16, 32, 32), (32, 64, 16), (24, 40, 15)):
        yield conv(hw, hw, c, o, 3, 2)
    yield conv(14, 14, 16, 24, 5)
    yield conv(1, 64, 16, 32, (1, 3))
    for c, hw, stride in ((8, 48, 1), (16, 48, 2), (32, 24, 1), (64, 12, 1), (64, 12, 2), (128, 6, 1), (256, 3, 1)):
        yield depthwise(hw, hw, c, 3, stride)
    yield depthwise(25, 5, 64)
    yield depthwise(15, 15, 30)
    yield depthwise(14, 14, 48, 5)
    yield depthwise(14, 14, 48, 7, 2)
    for k, o in ((640, 128), (128, 128), (8, 128), (128, 640), (256, 10), (64, 12)):
        yield dense(k, o)
        yield dense(k, o, lowest=True)
    for hw, c in ((32, 16), (16, 32), (7, 30)):
        yield add(hw, hw, c)
        yield scaled(hw, hw, c)
        yield table(hw, hw, c)
    for hw, c, k in ((8, 64, 8), (24, 16, 2), (15, 30, 3), (7, 10, 7), (12, 128, 12)):
        yield pool(AveragePool2D, hw, hw, c, k)
        yield pool(MaxPool2D, hw, hw, c, k)
    for channels in (2, 10, 100):
        yield softmax(channels)


def spacious(board: Board) -> Board:
    """The board with room for many cases in one image, where an emulator can give it."""
    return board.with_memory({"sram": 4 << 20, "flash": 8 << 20}) if board.emulator else board


def measure(found: Sequence[tuple[Case, Kernel]], board: Board, toolchain: str) -> Iterator[Row]:
    """Run these kernels in one image; AssertionError where an output is not what the specification says."""
    rng = np.random.default_rng(0)
    programs = [alone(case.graph, kernel) for case, kernel in found]
    inputs = []
    for case, _ in found:
        tensors = [case.graph.tensors[name] for name in case.graph.inputs]
        inputs.append({t.name: rng.integers(-128, 128, t.shape).astype(np.int8) for t in tensors})
    batch = combine(programs, inputs)
    symbols = [names[0] for names in batch.layers]
    with tempfile.TemporaryDirectory() as folder:
        compiler = find_toolchain("gcc" if toolchain == "gcc" else "zig")
        built = build_firmware(batch.sources, board, Path(folder), console="semihosting", toolchain=compiler)
        files = {"input.bin": batch.given}
        if board.emulator:
            run = emulate(built.elf, board, files=files, layers=symbols)
            costs = {cost.name: cost for cost in run.layers}
        else:
            run = emulate_in_qemu(built.elf, board, files=files)
            costs = {cost.name: cost for cost in run.functions}
    got, wanted = np.frombuffer(run.files["output.bin"], np.uint8), np.frombuffer(batch.expected, np.uint8)
    place = 0
    for (case, kernel), program, symbol in zip(found, programs, symbols, strict=True):
        size = program.graph.tensors[program.graph.outputs[0]].nbytes
        assert np.array_equal(got[place : place + size], wanted[place : place + size]), f"{case.name} {kernel.name}"
        place += -(-size // 4) * 4
        (op,) = case.graph.ops
        predicted = kernel_cycles(op, case.graph.io(op), kernel, board.core)
        yield Row(case, kernel, board, costs[symbol].instructions, costs[symbol].cycles, predicted)


def rows(board: Board, only: Sequence[str], toolchain: str) -> Iterator[Row]:
    """Every case with every kernel that the board can run, in images of ``BATCH``."""
    found: list[tuple[Case, Kernel]] = []
    for case in cases():
        (op,) = case.graph.ops
        for kernel in candidates(op, case.graph.io(op), board.abilities):
            if not only or any(text in f"{case.name} {kernel.name} {kernel.template}" for text in only):
                found.append((case, kernel))
    for i in range(0, len(found), BATCH):
        yield from measure(found[i : i + BATCH], board, toolchain)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--only", nargs="+", default=())
    parser.add_argument("--toolchain", choices=("zig", "gcc"), default="zig")
    chosen = parser.parse_args(arguments)
    print(
        "| case | kernel | core | instructions | cycles | a MAC or output | predicted |\n|---|---|---|--:|--:|--:|--:|"
    )
    for name in chosen.boards:
        for row in rows(spacious(load_board(name)), chosen.only, chosen.toolchain):
            cost = row.instructions if row.cycles is None else row.cycles
            cycles = "-" if row.cycles is None else f"{row.cycles:,}"
            table = row.kernel.template.split("/")[0]
            print(
                f"| {row.case.name} | {table} {row.kernel.name} | {row.board.core} | {row.instructions:,} "
                f"| {cycles} | {cost / row.case.macs:.3f} | {row.predicted / cost:.2f}x |",
                flush=True,
            )


if __name__ == "__main__":
    main()
