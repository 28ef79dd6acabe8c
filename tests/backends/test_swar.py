"""Kernels that put two products through one multiply: limits of their halves, on the host and on a Cortex-M0+."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, pads, quants, weights
from tests.simulate.test_cores import run_batch
from tinycompile.backends import candidates
from tinycompile.backends.swar.linear import LARGEST, magnitudes
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor
from tinycompile.ops import Conv2D, Dense


@st.composite
def convolutions(draw: st.DrawFn) -> Graph:
    """Convolutions in one group with symmetric weights, small or as large as they may be."""
    kernel = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (2, 3), (1, 4)]))
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    pad = draw(pads(*kernel)) if kernel != (1, 1) else Pad()
    height, width = draw(st.integers(kernel[0], 5)), draw(st.integers(kernel[1], 6))
    x = Tensor("x", (1, height, width, draw(st.integers(1, 9))), DType.INT8, draw(quants()))
    w = draw(weights((draw(st.integers(1, 9)), *kernel, x.channels), asymmetric=False))
    if draw(st.booleans()):
        w = Tensor.constant("w", w.values // 4, w.quant)
    b = draw(biases(x, w))
    op = Conv2D("f", ("x", "w", "b")[: 2 + bool(b)], "y", kernel, stride, (1, 1), pad, 1, draw(CLIPS))
    return one_op(op, [x, w] + ([b] if b else []), draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


@settings(max_examples=8, deadline=None)
@given(st.lists(convolutions(), min_size=1, max_size=20))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@pytest.mark.slow
@pytest.mark.emulator
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(convolutions(), min_size=20, max_size=20))
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
    check([(graph, [{"x": np.full((5, 4), x, np.int8)}, *noise(graph, 1)])])


def test_two_of_the_least_weight_in_one_multiply_are_left_to_others() -> None:
    graph = layer([-128, 0, -128, 0])
    (op,) = graph.ops
    io = graph.io(op)
    assert magnitudes(io)[1] > LARGEST
    assert [k.name for k in candidates(op, io, frozenset({"cortex-m0plus"}))] == ["dense"]


def test_pairs_are_for_cores_without_simd() -> None:
    graph = layer([1, 2, 3, 4])
    (op,) = graph.ops
    names = [k.name for k in candidates(op, graph.io(op), frozenset({"cortex-m0plus"}))]
    assert names == ["dense_pairs", "dense"]
