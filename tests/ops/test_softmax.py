"""Softmax and LogSoftmax: within half a step of the float result, equal in C, and within 32 bits."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import one_op, quants
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import LogSoftmax, Softmax
from tinycompile.ops.softmax import LogRatio, Ratio
from tinycompile.simulate import reference

SHAPES = st.one_of(
    st.tuples(st.just(1), st.integers(1, 12)),
    st.tuples(st.just(1), st.integers(1, 4), st.integers(1, 4), st.integers(1, 12)),
    st.just((1, 1000)),
)
PROBABILITIES = st.one_of(st.just(Quant.per_tensor(1 / 256, -128)), quants(1e-3, 0.02))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Either op; outputs at 1/256 or as a file may have fixed them."""
    x = Tensor("x", draw(SHAPES), DType.INT8, draw(quants(1e-3, 1.0)))
    if draw(st.booleans()):
        return one_op(Softmax("f", ("x",), "y"), [x], draw(PROBABILITIES))
    return one_op(LogSoftmax("f", ("x",), "y"), [x], draw(quants(1e-2, 1.0)))


@settings(max_examples=4, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=50))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_result(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed), steps=0.53)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 2**20), st.floats(1e-6, 100), quants(1e-7, 100))
def test_every_number_fits_its_word(length: int, scale: float, out: Quant) -> None:
    r = Ratio.make(length, scale, out)
    top = int(r.table[0])
    divisor = (top * length * r.divisor + 2**30) >> 31
    assert top * length < 2**32
    assert (top << r.up) + divisor // 2 < 2**32
    assert (top * r.divisor + 2**30) >> 31 > 0
    g = LogRatio.make(length, scale, out)
    octaves = length.bit_length() - 1
    low = g.constant - 255 * g.slope - octaves * g.octave - int(g.logs.max())
    assert low >= -(2**31)
    assert int(g.table[0]) * length < 2**32
    assert g.constant < 2**31
    assert (int(np.diff(g.logs.astype(np.int64)).max()) >> 6) * 4095 < 2**31


def test_equal_values_share_the_whole() -> None:
    x = Tensor("x", (1, 4), DType.INT8, Quant.per_tensor(0.1, 5))
    graph = one_op(Softmax("f", ("x",), "y"), [x], Quant.per_tensor(1 / 256, -128))
    assert reference(graph, {"x": np.full((1, 4), 77, np.int8)})["y"].tolist() == [[-64] * 4]
    single = one_op(Softmax("f", ("x",), "y"), [x.like(shape=(1, 1))], Quant.per_tensor(1 / 256, -128))
    assert reference(single, {"x": np.zeros((1, 1), np.int8)})["y"].tolist() == [[127]]
