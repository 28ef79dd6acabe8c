"""Mul: against ONNX Runtime in both roundings."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import noise
from tests.ops.broadcasting import binary_graphs
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import CLIPS, quants
from tinycompile.ir import Graph
from tinycompile.ops import Mul


@settings(max_examples=80, deadline=None)
@given(binary_graphs(Mul, st.just("native"), quants(1e-3, 1.0), clip=CLIPS), st.integers(0, 2**31))
def test_native_is_the_rounded_float_product(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed))


@settings(max_examples=80, deadline=None)
@given(binary_graphs(Mul, st.just("tflite"), quants(0.02, 0.2), clip=CLIPS), st.integers(0, 2**31))
def test_tflite_is_the_float_product_rounded_twice(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed), steps=1.0)
