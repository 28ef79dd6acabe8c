"""Add: the native sum against ONNX Runtime, and the tflite sum against values worked out by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import noise
from tests.ops.broadcasting import binary_graphs
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import CLIPS, ROUNDINGS, one_op, quants
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Add
from tinycompile.ops.weighted_sum import NativeSum, weighted_sum
from tinycompile.simulate import reference


@settings(max_examples=80, deadline=None)
@given(binary_graphs(Add, ROUNDINGS, quants(0.02, 0.2), clip=CLIPS), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_sum(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed), steps=0.55)


@settings(max_examples=200, deadline=None)
@given(quants(1e-6, 1e3), quants(1e-6, 1e3), quants(1e-6, 1e3))
def test_native_sum_stays_within_32_bits_and_errs_by_its_multipliers_only(a: Quant, b: Quant, out: Quant) -> None:
    x, y = (Tensor(n, (1, 2), DType.INT8, q) for n, q in (("a", a), ("b", b)))
    graph = one_op(Add("f", ("a", "b"), "y"), [x, y], out)
    total = weighted_sum(graph.io(graph.ops[0]), (1, 1), (-np.inf, np.inf))
    assert isinstance(total, NativeSum)
    assert all(abs(m) < 2**15 for m in total.multipliers)
    assert sum(abs(m) for m in total.multipliers) * 128 + abs(total.constant) < 2**31
    if max(a.scalar, b.scalar) / out.scalar < 2**14:
        step = 2.0 ** -(total.shift + 1)
        assert_close_to_float(graph, noise(graph), steps=0.51 + 2 * 255 * step)


def test_equal_scales_add_exactly() -> None:
    q = Quant.per_tensor(0.25, 0)
    graph = one_op(Add("f", ("a", "b"), "y"), [Tensor(n, (1, 3), DType.INT8, q) for n in "ab"], q)
    values = {"a": np.array([[1, 100, -100]], np.int8), "b": np.array([[2, 100, -100]], np.int8)}
    assert reference(graph, values)["y"].tolist() == [[3, 127, -128]]


def test_tflite_sum_rounds_half_away_from_zero() -> None:
    q, half = Quant.per_tensor(0.5, 0), Quant.per_tensor(1.0, 0)
    graph = one_op(Add("f", ("a", "b"), "y"), [Tensor(n, (1, 4), DType.INT8, q) for n in "ab"], half, "tflite")
    values = {"a": np.array([[1, -1, 3, -3]], np.int8), "b": np.array([[0, 0, 0, 0]], np.int8)}
    assert reference(graph, values)["y"].tolist() == [[1, -1, 2, -2]]
