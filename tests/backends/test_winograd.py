"""Winograd convolutions: the transforms by themselves, and the kernel against the specification on host and cores."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, pads, quants, weights
from tests.simulate.test_cores import few_batches, run_batch
from tinycompile.backends import EVERYTHING, candidates
from tinycompile.backends.dsp.winograd import ROWS, channel_pairs, pair_count, transformed
from tinycompile.ir import DType, Graph, Tensor
from tinycompile.ops import Conv2D

INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])


@st.composite
def graphs(draw: st.DrawFn, most: int = 12) -> Graph:
    """Three columns, without stride along them: odd extents, any padding, few or many channels; mostly three rows."""
    rows, stride, dilation = draw(
        st.just((3, 1, 1)) | st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))
    )
    span = (rows - 1) * dilation + 1
    pad = draw(pads(span, 3))
    least = [max(1, span - pad.top - pad.bottom), max(1, 3 - pad.left - pad.right)]
    height, width = (draw(st.integers(n, n + 6)) for n in least)
    channels = draw(st.integers(1, most) | st.sampled_from([16, 33, 34, 70]))
    x = Tensor("x", (1, height, width, channels), DType.INT8, draw(quants()))
    w = draw(weights((draw(st.integers(1, 9)), rows, 3, channels)))
    b = draw(biases(x, w))
    inputs = [x, w] + ([b] if b else [])
    op = Conv2D("f", tuple(t.name for t in inputs), "y", (rows, 3), (stride, 1), (dilation, 1), pad, clip=draw(CLIPS))
    return one_op(op, inputs, draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_transforms_make_four_times_the_direct_sums(seed: int, extreme: bool) -> None:
    rng = np.random.default_rng(seed)
    d, g = rng.integers(-128, 128, (4, 4)), rng.integers(-128, 128, (1, 3, 3, 1))
    if extreme:
        d, g = np.where(d < 0, -128, 127), np.where(g < 0, -128, 127)
    u, v = transformed(g, square=True)[0, :, :, 0].astype(np.int64), INPUT @ d @ INPUT.T
    assert abs(u).max() <= 9 * 128
    assert abs(v).max() <= 4 * 128
    windows = np.lib.stride_tricks.sliding_window_view(d, (3, 3))
    assert (OUTPUT @ (u * v) @ OUTPUT.T == 4 * (windows * g[0, :, :, 0]).sum(axis=(2, 3))).all()
    u, v = transformed(g, square=False)[0, :, :, 0].astype(np.int64), d[:3] @ INPUT.T
    assert ((u * v).sum(axis=0) @ OUTPUT.T == 2 * (windows[0] * g[0, :, :, 0]).sum(axis=(1, 2))).all()


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
@pytest.mark.parametrize("board", ["stm32l4r5", "stm32f746", "stm32u575"])
def test_on_emulated_cores(
    board: str, toolchain: Literal["zig", "gcc"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    few_batches(graphs(), 10, lambda cases: run_batch(cases, board, tmp_path_factory.mktemp("batch"), toolchain))
