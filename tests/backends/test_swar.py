"""Kernels that put two products through one multiply: limits of their halves, on the host and on a Cortex-M0+."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.strategies import CLIPS, ROUNDINGS, SEEDS, biases, one_op, pads, quants, weights
from tests.simulate.test_cores import run_batch
from tinycompile.backends import candidates
from tinycompile.backends.swar.scale import native_scale
from tinycompile.backends.swar.weights import LARGEST, grouped, groups_of_weights, pairs_fit
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor
from tinycompile.numerics import Requantizer
from tinycompile.ops import Conv2D, Dense


def softened(draw: st.DrawFn, w: Tensor) -> Tensor:
    """The weights, or a quarter of them, all or nearly all: what takes each way through the inner blocks."""
    share = draw(st.sampled_from([0.0, 0.85, 1.0]))
    chosen = np.random.default_rng(draw(SEEDS)).random(w.shape) < share
    return Tensor.constant("w", np.where(chosen, w.values // 4, w.values), w.quant)


@st.composite
def convolutions(draw: st.DrawFn) -> Graph:
    """Convolutions in one group with symmetric weights, small or as large as they may be."""
    kernel = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (2, 3), (1, 4)]))
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    pad = draw(pads(*kernel)) if kernel != (1, 1) else Pad()
    height, width = draw(st.integers(kernel[0], 5)), draw(st.integers(kernel[1], 6))
    if draw(st.integers(0, 3)) == 0:
        (height, width), pad = kernel, Pad()
    x = Tensor("x", (1, height, width, draw(st.integers(1, 9))), DType.INT8, draw(quants()))
    w = draw(weights((draw(st.integers(1, 9)), *kernel, x.channels), asymmetric=False))
    w = softened(draw, w)
    b = draw(biases(x, w))
    op = Conv2D("f", ("x", "w", "b")[: 2 + bool(b)], "y", kernel, stride, (1, 1), pad, 1, draw(CLIPS))
    return one_op(op, [x, w] + ([b] if b else []), draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


@st.composite
def layers(draw: st.DrawFn) -> Graph:
    """Dense layers with symmetric weights; half of them of one row, half of whole words and blocks."""
    rows, unit = draw(st.just(1) | st.integers(1, 6)), draw(st.sampled_from([1, 4]))
    x = Tensor("x", (rows, unit * draw(st.integers(1, 40 // unit))), DType.INT8, draw(quants()))
    w = draw(weights((unit * draw(st.integers(1, 12 // unit)), x.channels), asymmetric=False))
    w = softened(draw, w)
    b = draw(biases(x, w))
    op = Dense("f", ("x", "w", "b")[: 2 + bool(b)], "y", draw(CLIPS))
    return one_op(op, [x, w] + ([b] if b else []), draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


@st.composite
def depthwise(draw: st.DrawFn) -> Graph:
    """Depthwise convolutions of whole words of channels, with symmetric weights, small or as large as they may be."""
    kernel = draw(st.sampled_from([(3, 3), (3, 3), (1, 4), (2, 5), (3, 1), (5, 5), (7, 7), (4, 2)]))
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 3)) | st.just((1, 1)))
    pad = draw(pads(*kernel))
    height, width = (draw(st.integers(k, k + 4)) for k in kernel)
    channels = 4 * draw(st.integers(1, 3))
    x = Tensor("x", (1, height, width, channels), DType.INT8, draw(quants()))
    w = draw(weights((channels, *kernel, 1), asymmetric=False))
    w = Tensor.constant("w", w.values // draw(st.sampled_from([1, 2, 8])), w.quant)
    b = draw(biases(x, w))
    op = Conv2D("f", ("x", "w", "b")[: 2 + bool(b)], "y", kernel, stride, (1, 1), pad, channels, draw(CLIPS))
    return one_op(op, [x, w] + ([b] if b else []), draw(quants(1e-2, 20.0)))


CORE = frozenset({"cortex-m0plus"})
CASES = st.one_of(convolutions(), layers(), depthwise())


@settings(max_examples=8, deadline=None)
@given(st.lists(CASES, min_size=1, max_size=20))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases], CORE)


@pytest.mark.slow
@pytest.mark.emulator
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CASES, min_size=20, max_size=20))
def test_specification_equals_a_cortex_m0plus(tmp_path_factory: pytest.TempPathFactory, cases: list[Graph]) -> None:
    run_batch(cases, "stm32g0b1", tmp_path_factory.mktemp("batch"))


def layer(weights_of_a_filter: list[int]) -> Graph:
    """A dense layer of one filter, its negative and one that cancels, whose scale shows the sum."""
    w = np.array([weights_of_a_filter, [-max(v, -127) for v in weights_of_a_filter]], np.int8)
    kernel = Tensor.constant("w", w, Quant((1.0,)))
    x_tensor = Tensor("x", (5, w.shape[1]), DType.INT8, Quant.per_tensor(1.0))
    return one_op(Dense("f", ("x", "w"), "y"), [x_tensor, kernel], Quant.per_tensor(2.0**9))


@pytest.mark.parametrize(
    "values", [[64, 64, 64, 63], [127, -1, 127, 0], [-128, 0, -127, 0], [-128, -128, 127, 127], [-64, -64, -64, -63]]
)
@pytest.mark.parametrize("x", [-128, 127])
def test_sums_at_the_limit(values: list[int], x: int) -> None:
    graph = layer(values)
    check([(graph, [{"x": np.full((5, 4), x, np.int8)}, *noise(graph, 1)])], CORE)


def test_two_of_the_least_weight_in_one_multiply_are_left_to_others() -> None:
    graph = layer([-128, 0, -128, 0])
    (op,) = graph.ops
    io = graph.io(op)
    assert not pairs_fit(io)
    assert [k.name for k in candidates(op, io, CORE)] == ["dense"]


def test_pairs_are_for_cores_without_simd() -> None:
    graph = layer([1, 2, 3, 4])
    (op,) = graph.ops
    names = [k.name for k in candidates(op, graph.io(op), CORE)]
    assert names == ["row_pairs", "dense_pairs", "dense"]


def test_whole_words_and_blocks_need_no_scratch() -> None:
    x, w = Tensor("x", (1, 8), DType.INT8, Quant((1.0,))), Tensor.constant("w", np.ones((4, 8), np.int8), Quant((1.0,)))
    graph = one_op(Dense("f", ("x", "w"), "y"), [x, w], Quant((9.0,)))
    (op,) = graph.ops
    found = [k for k in candidates(op, graph.io(op), CORE) if k.name == "row_words"]
    assert [k.scratch(op, graph.io(op)) for k in found] == [0]


def scaled(words: np.ndarray, sums: np.ndarray, shift: int) -> np.ndarray:
    """What ``Scale`` says that its words mean; a sum of three words may leave int32 only on the way."""
    low, high, below, above = (words[:, i].astype(np.int64) for i in range(4))
    high, above = (np.where(v >= 2**31, v - 2**32, v) for v in (high, above))
    assert (np.abs((sums >> 8) * low) < 2**31).all()
    return (sums * high + ((sums * low + below) >> shift) + above) >> (32 - shift)


@given(
    st.lists(st.tuples(st.floats(-30, -1), st.integers(-(2**20), 2**20)), min_size=1, max_size=5),
    st.integers(1, 2**22),
    st.integers(-128, 127),
    st.randoms(),
)
def test_a_scale_without_long_multiply_is_exact(
    channels: list[tuple[float, int]], largest: int, zero_point: int, random: Random
) -> None:
    rq = Requantizer.make("native", [2.0**s for s, _ in channels], zero_point, zero_point)
    bias = np.array([b for _, b in channels])
    bound = np.full(len(channels), largest)
    scale = native_scale(rq, bias, bound)
    if scale is None:
        return
    for sums in (bound, -bound, np.array([random.randint(-largest, largest) for _ in channels])):
        values = np.clip(scaled(scale.words, sums, scale.shift), 0, rq.high - rq.low) + rq.low
        assert (values == rq((sums + bias)[None])).all()


def test_usual_layers_have_a_scale() -> None:
    rq = Requantizer.make("native", [0.004, 0.0001], 3)
    for largest, kind in ((2**14, "SHORT"), (2**22, "LONG")):
        scale = native_scale(rq, np.array([1000, -(2**18)]), np.array([largest, largest]))
        assert scale is not None
        assert scale.kind == kind


@settings(max_examples=50, deadline=None)
@given(layers())
def test_smaller_weights_and_what_they_lack_are_the_weights(graph: Graph) -> None:
    io = graph.io(graph.ops[0])
    groups = groups_of_weights(io)
    whole = groups.weights.copy()
    whole[..., :2] += groups.missing
    assert (whole == grouped(io)).all()
    assert not groups.wide or np.abs(groups.weights).sum(axis=2).max() <= LARGEST
    assert groups.wide or not groups.fixed


def test_few_large_groups_are_fixed() -> None:
    values = np.full((8, 40), 20, np.int8)
    values[3, 17], values[5, 0:4] = -128, [127, 127, 127, -127]
    w = Tensor.constant("w", values, Quant((1.0,)))
    x = Tensor("x", (5, 40), DType.INT8, Quant.per_tensor(1.0))
    graph = one_op(Dense("f", ("x", "w"), "y"), [x, w], Quant.per_tensor(2.0**9))
    groups = groups_of_weights(graph.io(graph.ops[0]))
    assert groups.wide
    assert [len(f) for f in groups.fixes(8)] == [1, 1, 1, 1, 1, 3, 1, 1]
    check([(graph, noise(graph))], CORE)
