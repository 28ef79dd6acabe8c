"""Reduce: specification against ONNX Runtime and against C."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import ROUNDINGS, one_op, quants
from tinycompile.errors import QuantizationFailed
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Reduce


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any axes of up to four, neighbouring or not."""
    shape = (1, *draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    axes = tuple(sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    kind = draw(st.sampled_from(["mean", "sum", "max", "min"]))
    x = Tensor("x", shape, DType.INT8, draw(quants(1e-2, 1.0)))
    quant = x.q if draw(st.booleans()) else draw(quants(1e-2, 1.0))
    return one_op(Reduce("f", ("x",), "y", kind, axes, draw(st.booleans())), [x], quant, draw(ROUNDINGS))


@settings(max_examples=10, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=60))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=80, deadline=None)
@given(graphs(), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_reduction(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed))


def test_reductions_run_in_place() -> None:
    x = Tensor("x", (1, 4, 5, 6), DType.INT8, Quant.per_tensor(1.0))
    for axes in ((1, 2), (3,), (1,), (2, 3)):
        op = Reduce("f", ("x",), "y", "mean", axes)
        assert op.lag(one_op(op, [x], x.q).io(op), 0) == 0


def test_a_sum_too_long_for_int32_is_refused() -> None:
    x = Tensor("x", (1, 8_421_505), DType.INT8, Quant.per_tensor(1.0))
    graph = one_op(Reduce("f", ("x",), "y", "sum", (1,)), [x], x.q)
    with pytest.raises(QuantizationFailed, match="8,421,505 values may leave int32"):
        graph.ops[0].parameters(graph.io(graph.ops[0]))
