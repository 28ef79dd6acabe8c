"""Min and Max: against ONNX Runtime; operands of one quantisation are compared as they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import noise
from tests.ops.broadcasting import binary_graphs
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import ROUNDINGS, one_op, quants
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Max, Min
from tinycompile.ops.weighted_sum import rescale
from tinycompile.simulate import reference

NEAR = quants(0.02, 0.2)


@settings(max_examples=80, deadline=None)
@given(st.one_of(binary_graphs(Min, ROUNDINGS, NEAR), binary_graphs(Max, ROUNDINGS, NEAR)), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_result(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed), steps=0.53)


@pytest.mark.parametrize("zero_point", [-128, -7, 0, 127])
@pytest.mark.parametrize("scale", [1e-5, 0.3, 7.0])
def test_one_quantisation_compares_the_integers(scale: float, zero_point: int) -> None:
    q = Quant.per_tensor(scale, zero_point)
    assert rescale(q, q).is_identity
    inputs = [Tensor(n, (1, 256), DType.INT8, q) for n in "ab"]
    a = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)
    values = {"a": a, "b": np.ascontiguousarray(a[:, ::-1])}
    low, high = (reference(one_op(op("f", ("a", "b"), "y"), inputs, q), values)["y"] for op in (Min, Max))
    assert np.array_equal(low, np.minimum(values["a"], values["b"]))
    assert np.array_equal(high, np.maximum(values["a"], values["b"]))
