"""TensorFlow Lite's integer softmax: its parts against real arithmetic, and specification against C."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tinycompile.errors import QuantizationFailed
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops.fixed_softmax import LONGEST, OUTPUT, FixedSoftmax, exp_of_negative, one_over_one_plus
from tinycompile.ops.softmax import Softmax


def graph(shape: tuple[int, ...], scale: float, zero: int, beta: float) -> Graph:
    tensors = {
        "x": Tensor("x", shape, DType.INT8, Quant.per_tensor(scale, zero)),
        "y": Tensor("y", shape, DType.INT8, OUTPUT),
    }
    return Graph("g", ("x",), ("y",), (Softmax("s", ("x",), "y", beta=beta),), tensors, rounding="tflite")


GRAPHS = st.builds(
    graph,
    st.tuples(st.just(1), st.integers(1, 4), st.one_of(st.integers(1, 20), st.sampled_from([500, 1200, LONGEST]))),
    st.one_of(st.floats(1e-4, 3), st.sampled_from([1e-12, 2.0**-8, 0.5])),
    st.integers(-128, 127),
    st.sampled_from([1.0, 0.5, 2.0]),
)


@settings(max_examples=5, deadline=None)
@given(st.lists(GRAPHS, min_size=1, max_size=20))
def test_specification_equals_c(cases: list[Graph]) -> None:
    level = [{"x": np.full(g.tensors["x"].shape, 9, np.int8)} for g in cases]
    check([(g, [*noise(g), flat]) for g, flat in zip(cases, level, strict=True)])


def test_exponential_is_near_the_real_one() -> None:
    x = -np.linspace(0, 31.9, 5000) * 2**26
    fixed = exp_of_negative(x.astype(np.int64)) / 2**31
    worst = np.abs(fixed - np.exp(x.astype(np.int64) / 2**26)).max()
    assert worst < 3e-7  # the fifth term of the series: (1 / 8) ** 5 / 120


def test_reciprocal_is_near_the_real_one() -> None:
    x = np.linspace(0, 1, 5000) * (2**31 - 1)
    fixed = one_over_one_plus(x.astype(np.int64)) / 2**31
    assert np.abs(fixed - 1 / (1 + x / 2**31)).max() < 1e-8


def test_rows_add_up_to_one() -> None:
    x = np.random.default_rng(0).integers(-128, 128, (50, 10)).astype(np.int8)
    sums = (FixedSoftmax.make(10, 0.02)(x).astype(int) + 128).sum(axis=1)
    assert np.abs(sums - 256).max() <= 10


def test_longer_rows_are_refused() -> None:
    with pytest.raises(QuantizationFailed, match="4,095"):
        FixedSoftmax.make(LONGEST + 1, 0.1)
