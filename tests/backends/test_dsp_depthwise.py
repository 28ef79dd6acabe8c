"""Depthwise kernels for cores with DSP: equal to the specification on the host and on emulated cores."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, pads, quants, weights
from tests.schedule.test_every_op_in_rows import fed
from tests.simulate.test_cores import few_batches, run_batch, run_programs
from tinycompile.backends import candidates
from tinycompile.backends.dsp.depthwise_block import Taps
from tinycompile.boards import load_board
from tinycompile.errors import UsageError
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor
from tinycompile.ir.graph import Rounding
from tinycompile.ops import Conv2D
from tinycompile.schedule import Goal, Plan, Program, Stage, schedule

M7 = frozenset({"dsp", "cortex-m7"})
"""Abilities of a core that all kernels here are for."""


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Depthwise convolutions, most of them 3x3; wide enough for several blocks in a row."""
    kernel = draw(st.just((3, 3)) | st.tuples(st.integers(1, 7), st.integers(1, 9)))
    stride = draw(st.just((1, 1)) | st.just((2, 2)) | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = (draw(st.just(1) | st.integers(1, 3)), 1)
    pad = draw(st.just(Pad(1, 1, 1, 1)) | pads(*kernel))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, span[0] - pad.top - pad.bottom), max(1, span[1] - pad.left - pad.right)]
    height, width = draw(st.integers(least[0], least[0] + 8)), draw(st.integers(least[1], least[1] + 20))
    channels = draw(st.integers(1, 9))
    repeat = draw(st.just(1) | st.integers(1, 3))
    x = Tensor("x", (1, height, width, channels), DType.INT8, draw(quants()))
    w = draw(weights((channels * repeat, *kernel, 1)))
    b = draw(biases(x, w))
    inputs = [x, w] + ([b] if b else [])
    op = Conv2D("f", tuple(t.name for t in inputs), "y", kernel, stride, dilation, pad, channels, draw(CLIPS))
    return one_op(op, inputs, draw(quants(1e-2, 20.0)), draw(st.just("native") | ROUNDINGS))


@settings(max_examples=4, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=6))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases], M7)


@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 4), st.integers(1, 40), st.integers(0, 2**31))
def test_steps_make_every_product_once(width: int, stride: int, pad: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, taps = rng.integers(-255, 256, width).astype(np.int16), Taps(width, stride, pad, columns)
    words = taps.pack(weights[None])[0].view(np.int16).reshape(-1, 2)
    for output in range(6):
        found = np.zeros(64, np.int64)
        for word in range(16):
            step = taps.step(word, output)
            if step is None:
                continue
            if step.name == "smlad":
                found[2 * word : 2 * word + 2] += words[step.weight]
            else:
                found[2 * word + "bt".index(step.name[4])] += words[step.weight]["bt".index(step.name[5])]
        expected = np.zeros(64, np.int64)
        expected[output * stride : output * stride + width] = weights
        expected = np.append(expected[pad : min(pad + columns, 64)], np.zeros(64))[:64]
        assert (found == expected).all()


CORES = [("stm32l4r5", "zig"), ("stm32l4r5", "gcc"), ("stm32f746", "zig"), ("stm32u575", "zig")]
NARROW = [
    (7, 5, 64, 3, 1, 1, 1), (5, 1, 8, 3, 1, 1, 1), (3, 3, 6, 3, 1, 1, 1), (6, 6, 7, 5, 1, 2, 1), (9, 12, 5, 3, 2, 1, 1),
    (4, 2, 9, 3, 1, 1, 2), (8, 8, 12, 3, 2, 1, 3), (5, 4, 4, 2, 1, 0, 1), (6, 9, 4, 4, 2, 1, 1),
    (8, 10, 8, 3, 2, 0, 1), (7, 7, 8, 3, 1, -1, 1),
]  # fmt: skip
WIDE = [
    (6, 24, 16, 3, 1, 1, 1), (7, 47, 8, 3, 2, 1, 1), (8, 33, 6, 5, 1, 2, 1), (4, 13, 3, 3, 1, 1, 2),
    (6, 29, 5, 3, 1, 1, 2), (9, 21, 4, 7, 2, 3, 1), (5, 6, 1100, 3, 1, 1, 1), (5, 3, 4, 5, 1, 4, 1),
]  # fmt: skip
"""Height, width, channels, kernel, stride, padding at all sides, outputs of a channel."""


def depthwise(
    height: int,
    width: int,
    channels: int,
    kernel: int,
    stride: int,
    pad: int,
    repeat: int,
    rounding: Rounding,
    columns: int | None = None,
) -> Graph:
    """One depthwise convolution with a zero point of its input that is far from zero."""
    rng = np.random.default_rng(width)
    count = channels * repeat
    size = kernel, columns or kernel
    values = rng.integers(-127, 128, (count, *size, 1)).astype(np.int8)
    x = Tensor("x", (1, height, width, channels), DType.INT8, Quant.per_tensor(0.02, -128 if width % 2 else 37))
    w = Tensor.constant("w", values, Quant(tuple(rng.uniform(0.001, 0.01, count)), 0, 0))
    b = Tensor.constant(
        "b", rng.integers(-999, 999, count).astype(np.int32), Quant(tuple(0.02 * s for s in w.quant.scale), 0, 0)
    )
    pads = Pad(pad, pad, pad, pad)
    op = Conv2D("f", ("x", "w", "b"), "y", size, (stride, stride), (1, 1), pads, channels, (-np.inf, np.inf))
    return one_op(op, [x, w, b], Quant.per_tensor(0.03, 3), rounding)


def row_by_row(cases: Iterable[Graph], board: str) -> list[Program]:
    """Those that can be streamed: one call for each row, from a ring that an op before fills row by row."""
    found = []
    for graph in cases:
        try:
            goal = Goal(plan=Plan((Stage(graph.outputs[0]),)))
            found.append(schedule(fed(graph), load_board(board), goal))
        except UsageError:
            continue
    return found


@pytest.mark.emulator
@pytest.mark.parametrize("board", ["stm32l4r5", "stm32f746"])
def test_constants_go_to_the_stack_by_twelves_and_the_last_by_itself(board: str, tmp_path: Path) -> None:
    graph = depthwise(11, 6, 9, 7, 1, 0, 3, "native", columns=6)
    io = graph.io(graph.ops[0])
    (planes, *_) = (k for k in candidates(graph.ops[0], io, M7) if k.name == "depthwise_planes_m7")
    assert planes.pack(graph.ops[0], io)["constants"].shape[1] % 12 == 1
    run_batch([graph], board, tmp_path)


@pytest.mark.emulator
@pytest.mark.parametrize("shapes", [NARROW, WIDE])
@pytest.mark.parametrize(("board", "toolchain"), CORES)
def test_rows_one_by_one_on_emulated_cores(
    board: str, toolchain: Literal["zig", "gcc"], shapes: list[tuple[int, ...]], tmp_path: Path
) -> None:
    cases = [depthwise(*shape, rounding) for shape in shapes for rounding in ("native", "double")]
    programs = row_by_row(cases, board)
    kernels = {call.kernel.name for program in programs for call in program.unrolled()}
    rings = [call for program in programs for call in program.unrolled() if any(view.turn for view in call.inputs)]
    assert len(programs) == len(cases) and rings
    assert {"depthwise_rows", "depthwise_rows_m7"} & kernels
    run_programs(programs, board, tmp_path, toolchain)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("shapes", [NARROW, WIDE])
@pytest.mark.parametrize("board", ["stm32l4r5", "stm32f746"])
def test_whole_images_and_windows_on_emulated_cores(
    board: str, shapes: list[tuple[int, int, int, int, int, int, int]], tmp_path: Path
) -> None:
    small = [shape for shape in shapes if shape[2] < 1000]  # an image of all variants must fit the board
    run_batch([depthwise(*shape, "native") for shape in small], board, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("shapes", [NARROW, WIDE])
def test_narrow_and_wide_rows_on_the_host(shapes: list[tuple[int, int, int, int, int, int, int]]) -> None:
    cases = [depthwise(*shape, "native") for shape in shapes]
    check([(g, noise(g)) for g in cases], frozenset({"dsp"}))


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize(("board", "toolchain"), CORES)
def test_on_emulated_cores(
    board: str, toolchain: Literal["zig", "gcc"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def run(cases: list[Graph]) -> None:
        run_batch(cases, board, tmp_path_factory.mktemp("batch"), toolchain)
        if programs := row_by_row(cases, board):
            run_programs(programs, board, tmp_path_factory.mktemp("rows"), toolchain)

    few_batches(graphs(), 6, run)
