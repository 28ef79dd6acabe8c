"""Winograd convolutions: the transforms by themselves, and the kernel against the specification on host and cores."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise, variants
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, pads, quants, weights
from tests.simulate.test_cores import few_batches, run_batch, run_programs
from tinycompile.backends import EVERYTHING, candidates
from tinycompile.backends.dsp.winograd import ROWS, SCALE, channel_pairs, pair_count, transformed
from tinycompile.boards import load_board
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor, verify
from tinycompile.ops import Conv2D

INPUT = {
    2: np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
    4: np.array([
        [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
    ]),
}  # fmt: skip
OUTPUT = {
    2: np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
    4: np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]),
}


@st.composite
def graphs(draw: st.DrawFn, many: tuple[int, ...] = (16, 33, 34, 70)) -> Graph:
    """Three columns, without stride along them: odd extents, any padding, few or many channels; mostly three rows."""
    rows, stride, dilation = draw(
        st.just((3, 1, 1)) | st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))
    )
    span = (rows - 1) * dilation + 1
    pad = draw(pads(span, 3))
    least = [max(1, span - pad.top - pad.bottom), max(1, 3 - pad.left - pad.right)]
    height, width = draw(st.integers(least[0], least[0] + 6)), draw(st.integers(least[1], least[1] + 14))
    channels = draw(st.integers(1, 12) | st.sampled_from(many))
    x = Tensor("x", (1, height, width, channels), DType.INT8, draw(quants()))
    w = draw(weights((draw(st.integers(1, 9)), rows, 3, channels)))
    b = draw(biases(x, w))
    inputs = [x, w] + ([b] if b else [])
    op = Conv2D("f", tuple(t.name for t in inputs), "y", (rows, 3), (stride, 1), (dilation, 1), pad, clip=draw(CLIPS))
    return one_op(op, inputs, draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([2, 4]))
def test_the_transforms_make_multiples_of_the_direct_sums(seed: int, extreme: bool, columns: int) -> None:
    rng = np.random.default_rng(seed)
    d, g = rng.integers(-128, 128, (4, columns + 2)), rng.integers(-128, 128, (1, 3, 3, 1))
    if extreme:
        d, g = np.where(d < 0, -128, 127), np.where(g < 0, -128, 127)
    into, out = INPUT[columns], OUTPUT[columns]
    direct = (np.lib.stride_tricks.sliding_window_view(d, (3, 3)) * g[0, :, :, 0]).sum(axis=(2, 3))
    u, v = transformed(g, True, columns)[0, :, :, 0].astype(np.int64), INPUT[2] @ d @ into.T
    assert abs(v).max() < 2**15
    assert (OUTPUT[2] @ (u * v) @ out.T == 2 * SCALE[columns] * direct).all()
    u, v = transformed(g, False, columns)[0, :, :, 0].astype(np.int64), d[:3] @ into.T
    assert abs(v).max() < 2**15
    assert ((u * v).sum(axis=0) @ out.T == SCALE[columns] * direct[0]).all()


@given(st.integers(1, 200))
def test_every_channel_has_one_place(channels: int) -> None:
    assert len(channel_pairs(channels)) == pair_count(channels)
    order = channel_pairs(channels).ravel()
    assert sorted(order[order >= 0]) == list(range(channels))


@settings(max_examples=8, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=12))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_flash_is_what_is_packed(graph: Graph) -> None:
    (op,) = graph.ops
    io = graph.io(op)
    for kernel in candidates(op, io, EVERYTHING):
        if kernel in ROWS:
            assert kernel.flash(op, io) == sum(a.nbytes for a in kernel.pack(op, io).values())


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("toolchain", ["zig", pytest.param("gcc", marks=pytest.mark.gcc)])
@pytest.mark.parametrize("board", ["stm32l4r5", "stm32h743", "stm32u575"])
def test_on_emulated_cores(
    board: str, toolchain: Literal["zig", "gcc"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    abilities = load_board(board).abilities

    def run(cases: list[Graph]) -> None:
        programs = [p for graph in cases for p in variants(verify(graph), abilities)]
        ours = [p for p in programs if any(call.kernel in ROWS for call in p.unrolled())]
        if ours:
            run_programs(ours, board, tmp_path_factory.mktemp("batch"), toolchain)

    few_batches(graphs(many=(16, 33, 34)), 5, run, examples=3)


@pytest.mark.emulator
def test_many_channels_on_an_emulated_core(tmp_path: Path) -> None:
    """Positions of the transformed tiles lie further apart than immediate offsets reach."""
    rng = np.random.default_rng(0)
    x = Tensor("x", (1, 3, 9, 130), DType.INT8, Quant.per_tensor(0.02, -11))
    values = rng.integers(-128, 128, (5, 3, 3, 130)).astype(np.int8)
    w = Tensor.constant("w", values, Quant((0.01,) * 5, 0, 0))
    op = Conv2D("f", ("x", "w"), "y", (3, 3), (1, 1), (1, 1), Pad(1, 1, 1, 1))
    graph = one_op(op, [x, w], Quant.per_tensor(0.9, 3), "native")
    assert {kernel.name for kernel in candidates(op, graph.io(op), EVERYTHING)} >= {kernel.name for kernel in ROWS}
    run_batch([graph], "stm32h743", tmp_path, "zig")
