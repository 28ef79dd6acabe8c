"""Kernels for MVE: every shape and quantisation, in C on the host and as vector instructions in QEMU."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.broadcasting import binary_graphs
from tests.ops.strategies import CLIPS, ROUNDINGS, one_op, pads, quants, weighted_op, weights
from tests.simulate.test_cores import few_batches, run_batch
from tinycompile.backends.mve import depthwise, linear
from tinycompile.backends.mve.requantize import parameters, vectors
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor
from tinycompile.numerics import Requantizer
from tinycompile.ops import Add, Conv2D, Dense, Sub

COUNTS = st.integers(1, 20) | st.sampled_from([31, 32, 33, 48, 64, 127, 128, 129, 144, 160, 176, 260])
SCALES = quants(1e-3, 20.0)
"""Of outputs: some so small that every sum saturates and multipliers exceed one."""


@st.composite
def convolutions(draw: st.DrawFn) -> Graph:
    """One group or depthwise; odd and even numbers of pixels, down to one; any padding, stride and dilation."""
    kind = draw(st.sampled_from(["pointwise", "gathered", "depthwise"]))
    kernel = (1, 1) if kind == "pointwise" else draw(st.sampled_from([(3, 3), (3, 3), (1, 3), (4, 2), (2, 5), (1, 1)]))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)) | st.just((1, 1)))
    dilation = draw(st.just((1, 1)) | st.tuples(st.integers(1, 2), st.integers(1, 3)))
    pad = draw(st.just(Pad()) | pads(*kernel))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, span[0] - pad.top - pad.bottom), max(1, span[1] - pad.left - pad.right)]
    height, width = (draw(st.integers(n, n + 6)) for n in least)
    channels = draw(st.integers(1, 20) if kind == "gathered" else COUNTS)
    groups, outputs = (channels, channels) if kind == "depthwise" else (1, draw(st.integers(1, 10)))
    x = Tensor("x", (1, height, width, channels), DType.INT8, draw(quants()))
    w = draw(weights((outputs, *kernel, channels // groups)))
    clip = draw(CLIPS)
    return weighted_op(
        draw, x, w, lambda names: Conv2D("f", names, "y", kernel, stride, dilation, pad, groups, clip), SCALES
    )


@st.composite
def denses(draw: st.DrawFn) -> Graph:
    """One row or several."""
    lead, inputs = draw(st.sampled_from([(1,), (1,), (1, 3), (1, 2, 5)])), draw(COUNTS)
    x = Tensor("x", (*lead, inputs), DType.INT8, draw(quants()))
    w = draw(weights((draw(st.integers(1, 20)), inputs)))
    clip = draw(CLIPS)
    return weighted_op(draw, x, w, lambda names: Dense("f", names, "y", clip), SCALES)


GRAPHS = st.one_of(
    convolutions(),
    convolutions(),
    denses(),
    binary_graphs(Add, ROUNDINGS, clip=CLIPS),
    binary_graphs(Sub, ROUNDINGS, clip=CLIPS),
)


@settings(max_examples=6, deadline=None)
@given(st.lists(GRAPHS, min_size=1, max_size=16))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases], frozenset({"mve"}))


@given(st.integers(1, 40), st.integers(1, 9), st.sampled_from([4, 8]), st.integers(0, 2**31))
def test_a_stream_holds_every_weight_and_parameter_once(inputs: int, outputs: int, filters: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-128, 128, (outputs, inputs)).astype(np.int8)
    bias = rng.integers(-(2**31), 2**31, outputs).astype(np.int32)
    rq = Requantizer.make("native", np.exp(rng.uniform(-9, -1, outputs)), 0)
    stream = linear.stream(matrix, bias, rq, filters)
    steps = -(-inputs // 16)
    for index, block in enumerate(np.split(stream, -(-outputs // filters))):
        rows = block[: 16 * steps * filters].reshape(steps, filters, 16).transpose(1, 0, 2).reshape(filters, -1)
        unused = list(range(inputs % 16, 16)) if inputs % 16 else []
        own = matrix[index * filters : (index + 1) * filters]
        assert (np.delete(rows, unused, axis=1)[: len(own)] == own).all()
        assert not rows[:, unused].any() and not rows[len(own) :].any()
        words = block[16 * steps * filters :].view("<i4").reshape(-1, vectors(rq), 4)
        found = words[0] if filters == 4 else np.stack([words[0], words[1]], axis=2).reshape(vectors(rq), 8)
        wanted = parameters(bias, rq)[:, index * filters : (index + 1) * filters]
        assert (found[:, : wanted.shape[1]] == wanted).all()


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**31), st.booleans())
def test_groups_of_taps_never_leave_16_bits(channels: int, taps: int, seed: int, extreme: bool) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.choice([-128, 127], (channels, taps)) if extreme else rng.integers(-128, 128, (channels, taps))
    found = depthwise.groups(matrix.astype(np.int8))
    assert [t for group in found for t in group] == list(range(taps))
    for group in found:
        own = matrix[:, group].astype(np.int64)
        for x in (np.where(own > 0, 127, -128), np.where(own > 0, -128, 127)):
            assert abs((x * own).sum(axis=1) + 0.5).max() < 2**15 or len(group) == 1


@given(st.integers(1, 70))
def test_blocks_cover_all_channels_and_no_more(channels: int) -> None:
    starts = depthwise.starts(channels)
    covered = {start + i for start in starts for i in range(16)}
    assert covered >= set(range(channels))
    assert channels < 16 or max(covered) == channels - 1


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("toolchain", ["zig", pytest.param("gcc", marks=pytest.mark.gcc)])
def test_on_a_cortex_m55(toolchain: Literal["zig", "gcc"], tmp_path_factory: pytest.TempPathFactory) -> None:
    few_batches(
        GRAPHS,
        16,
        lambda cases: run_batch(cases, "mps3-an547", tmp_path_factory.mktemp("batch"), toolchain),
        examples=4,
    )


@pytest.mark.slow
@pytest.mark.qemu
def test_compiled_loops_keep_vectors_that_outlive_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Sums of three interleaved filters over many inputs, of several pixels: see ``deploy.toolchain``."""
    rng = np.random.default_rng(0)
    x = Tensor("x", (1, 9, 8, 9), DType.INT8, Quant.per_tensor(1.0))
    shape = (3, 7, 6, 9)
    w = Tensor.constant("w", rng.integers(-127, 128, shape).astype(np.int8), Quant((1.0,)))
    op = Conv2D("f", ("x", "w"), "y", (7, 6))
    scale = 127.0 * 74.0 * prod(shape[1:]) ** 0.5 / 127.0
    run_batch([one_op(op, [x, w], Quant.per_tensor(scale))], "mps3-an547", tmp_path_factory.mktemp("batch"))
