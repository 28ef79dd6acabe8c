"""Convolutions and dense layers on cores with DSP: every shape and quantisation, on the host and as firmware."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.strategies import CLIPS, one_op, pads, quants, weighted_op, weights
from tests.simulate.test_cores import few_batches, run_batch
from tinycompile.backends.dsp.filters import filters
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor
from tinycompile.ops import Conv2D, Dense

COUNTS = st.integers(1, 12) | st.sampled_from([16, 17, 31, 34, 35, 64])
SCALES = quants(1e-2, 20.0)
"""Of outputs."""


@st.composite
def convolutions(draw: st.DrawFn) -> Graph:
    """One group; few inputs or many; images down to one pixel or as large as the kernel; paddings beyond the kernel."""
    kernel = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (1, 3), (4, 2), (2, 5)]))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)) | st.just((1, 1)))
    dilation = draw(st.just((1, 1)) | st.tuples(st.integers(1, 2), st.integers(1, 3)))
    pad = draw(st.just(Pad()) | pads(*kernel))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, span[0] - pad.top - pad.bottom), max(1, span[1] - pad.left - pad.right)]
    height, width = (draw(st.integers(n, n + 6)) for n in least)
    if draw(st.integers(0, 4)) == 0:
        (height, width), dilation, pad = kernel, (1, 1), Pad()
    channels = draw(COUNTS if prod(kernel) == 1 else st.integers(1, 9))
    x = Tensor("x", (1, height, width, channels), DType.INT8, draw(quants()))
    w = draw(weights((draw(st.integers(1, 10)), *kernel, channels)))
    return weighted_op(
        draw, x, w, lambda names: Conv2D("f", names, "y", kernel, stride, dilation, pad, 1, draw(CLIPS)), SCALES
    )


@st.composite
def denses(draw: st.DrawFn) -> Graph:
    """One row or several."""
    lead, inputs = draw(st.sampled_from([(1,), (1,), (1, 3), (1, 2, 5)])), draw(COUNTS)
    x = Tensor("x", (*lead, inputs), DType.INT8, draw(quants()))
    w = draw(weights((draw(st.integers(1, 20)), inputs)))
    return weighted_op(draw, x, w, lambda names: Dense("f", names, "y", draw(CLIPS)), SCALES)


@settings(max_examples=6, deadline=None)
@given(st.lists(convolutions() | denses(), min_size=1, max_size=20))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", ["stm32l4r5", "stm32f746", "stm32u575"])
@pytest.mark.parametrize("toolchain", ["zig", pytest.param("gcc", marks=pytest.mark.gcc)])
def test_specification_equals_firmware(
    board: str, toolchain: Literal["zig", "gcc"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    few_batches(
        convolutions() | denses(),
        15,
        lambda cases: run_batch(cases, board, tmp_path_factory.mktemp("batch"), toolchain),
    )


def pointwise(values: np.ndarray, bias: int | np.ndarray, scale: tuple[float, ...] = (1.0,)) -> Graph:
    """Weights (O, K) of a 1x1 convolution of 5 pixels."""
    x = Tensor("x", (1, 1, 5, values.shape[1]), DType.INT8, Quant.per_tensor(1.0))
    axis = 0 if len(scale) > 1 else None
    w = Tensor.constant("w", values[:, None, None].astype(np.int8), Quant(scale, 0, axis))
    b = Tensor.constant("b", np.broadcast_to(bias, len(values)).astype(np.int32), Quant(scale, 0, axis))
    op = Conv2D("f", ("x", "w", "b"), "y", (1, 1))
    return one_op(op, [x, w, b], Quant.per_tensor(2.0**16))


@pytest.mark.parametrize(
    ("first", "second", "bias", "mixed"),
    [(127, 127, 0, True), (-1, -127, 0, True), (-1, -128, 0, False), (0, -128, 0, True), (1, 1, 1 << 23, False)],
)
def test_filters_are_mixed_only_where_sums_can_be_told_apart(first: int, second: int, bias: int, mixed: bool) -> None:
    case = pointwise(np.repeat([[first], [second]], 40, axis=1), bias)
    (op,) = case.ops
    assert isinstance(op, Conv2D)
    assert filters(op, case.io(op)).can_mix == mixed
    x = {"x": np.full((1, 1, 5, 40), -128, np.int8)}
    check([(case, [x, {"x": -1 - x["x"]}, *noise(case)])])


@pytest.mark.parametrize("channels", [8, 7])
def test_filters_without_influence_become_a_bias_and_are_mixed(channels: int) -> None:
    scale = tuple(1e-6 if o % 2 else 1.0 for o in range(channels))
    bias = np.where(np.arange(channels) % 2, 1 << 30, 0)
    case = pointwise(np.random.default_rng(0).integers(-127, 128, (channels, 40)), bias, scale)
    (op,) = case.ops
    assert isinstance(op, Conv2D)
    these = filters(op, case.io(op))
    assert these.can_mix and not these.weights[1::2].any() and these.weights[0::2].any()
    check([(case, noise(case))])


def endings() -> list[Graph]:
    """Blocks that end in every way: mixed filters or not, sums without room for 8 more bits, outputs beyond int16;
    ranges of outputs whose ends are both inside int8, far apart or near.
    """
    found = []
    rng = np.random.default_rng(1)
    for inputs in (3, 40):
        weights = rng.integers(-127, 128, (9, inputs))
        for bias, scale in ((0, 2.0**-4), (1 << 23, 2.0**-16), (0, 2.0**-9)):
            for clip in ((-np.inf, np.inf), (-100.0, 90.0), (-5.0, 7.0), (0.0, np.inf), (3.0, 3.0)):
                case = pointwise(weights, bias * np.resize([0, 1], 9))
                (op,) = case.ops
                out = Tensor("y", case.tensors["y"].shape, DType.INT8, Quant.per_tensor(1.0 / scale, -7))
                clipped = replace(op, clip=tuple(c / scale for c in clip))
                found.append(replace(case, ops=(clipped,), tensors={**case.tensors, "y": out}))
    return found


def test_blocks_end_as_specified() -> None:
    check([(g, noise(g)) for g in endings()])


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", ["stm32l4r5", "stm32f746", "stm32u575"])
def test_blocks_end_as_specified_in_firmware(board: str, tmp_path: Path) -> None:
    run_batch(endings(), board, tmp_path)
