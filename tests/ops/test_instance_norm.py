"""InstanceNorm: specification against ONNX Runtime and against C, constant channels included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import SEEDS, one_op, quants
from tinycompile.errors import InternalError
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import InstanceNorm


@st.composite
def graphs(draw: st.DrawFn, moderate: bool = False) -> Graph:
    """Images of 1 to 64 pixels; unless ``moderate``, gains and biases over many orders of magnitude."""
    channels = draw(st.integers(1, 6))
    x = Tensor("x", (1, draw(st.integers(1, 8)), draw(st.integers(1, 8)), channels), DType.INT8, draw(quants()))
    rng = np.random.default_rng(draw(SEEDS))
    spread = 0.5 if moderate else draw(st.sampled_from([0.5, 5.0, 30.0]))
    scale = rng.normal(0, spread, channels)
    gamma = Tensor.constant("g", rng.integers(-127, 128, channels).astype(np.int8), per_value(np.exp(scale) / 127))
    units = tuple(x.q.scalar * s for s in gamma.q.scale)
    codes = np.clip(np.rint(rng.normal(0, 2, channels) / units), -(2**31), 2**31 - 1)
    beta = Tensor.constant("b", codes.astype(np.int32), Quant(units, 0, 0))
    op = InstanceNorm("f", ("x", "g", "b"), "y", draw(st.sampled_from([1e-5, 1e-3, 1.0])))
    return one_op(op, [x, gamma, beta], draw(quants(1e-2, 1.0)))


def per_value(scales: np.ndarray) -> Quant:
    """A scale for each value."""
    return Quant(tuple(map(float, scales)), 0, 0)


@settings(max_examples=10, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=40))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, [*noise(g), {"x": np.full_like(noise(g)[0]["x"], 5)}]) for g in cases])


@settings(max_examples=80, deadline=None)
@given(graphs(moderate=True), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_normalisation(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed), steps=0.52)


def test_an_image_too_wide_for_its_sums_of_squares_is_refused() -> None:
    tensors = (Tensor("x", (1, 1, 1 << 18, 1)), Tensor("scale", (1,)), Tensor("bias", (1,)))
    with pytest.raises(InternalError, match="columns"):
        InstanceNorm("f", ("x", "scale", "bias"), "y").infer(*tensors)
