"""PRelu: against ONNX Runtime in both roundings."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import noise
from tests.ops.broadcasting import binary_graphs
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import quants
from tinycompile.ir import Graph
from tinycompile.ops import PRelu


@settings(max_examples=60, deadline=None)
@given(binary_graphs(PRelu, st.just("native"), quants(1e-2, 1.0)), st.integers(0, 2**31))
def test_native_is_the_rounded_float_result(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed))


@settings(max_examples=60, deadline=None)
@given(binary_graphs(PRelu, st.just("tflite"), quants(0.02, 0.2)), st.integers(0, 2**31))
def test_tflite_is_the_float_result_rounded_twice(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed), steps=1.0)
