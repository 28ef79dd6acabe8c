"""ImageDense: it is Dense to the last bit, under either rounding, and C computes the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, quants, weights
from tinycompile.ir import DType, Graph, Tensor
from tinycompile.ops import Dense, ImageDense
from tinycompile.simulate import reference


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Images of any extent, one row or column included."""
    hw = draw(st.tuples(st.integers(1, 7), st.integers(1, 5)))
    x = Tensor("x", (1, *hw, draw(st.integers(1, 9))), DType.INT8, draw(quants()))
    w = draw(weights((draw(st.integers(1, 13)), *x.shape[1:])))
    b = draw(biases(x, w))
    inputs = [x, w] + ([b] if b else [])
    op = ImageDense("f", tuple(t.name for t in inputs), "y", hw, clip=draw(CLIPS))
    return one_op(op, inputs, draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


@settings(max_examples=6, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=20))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_layer(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_it_is_a_dense_layer(graph: Graph) -> None:
    (op,) = graph.ops
    assert isinstance(op, ImageDense)
    x, w = graph.tensors["x"], graph.tensors["w"]
    flat = Tensor("x", (1, x.size), x.dtype, x.quant)
    inputs = [flat, Tensor.constant("w", w.values.reshape(w.shape[0], -1), w.quant)]
    inputs += [graph.tensors[n] for n in op.inputs[2:]]
    dense = one_op(Dense("f", op.inputs, "y", op.clip), inputs, graph.tensors["y"].q, graph.rounding)
    for values in noise(graph):
        wanted = reference(dense, {"x": values["x"].reshape(1, -1)})["y"]
        np.testing.assert_array_equal(reference(graph, values)["y"].ravel(), wanted.ravel())
