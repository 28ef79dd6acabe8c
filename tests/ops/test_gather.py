"""Gather: any axis, repeated indices, against ONNX Runtime and C."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import one_op
from tinycompile.errors import ImportFailed
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Gather

QUANT = Quant.per_tensor(0.5, -3)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Indices along any axis of images and of tensors of rank 2 and 3; some axes need 16-bit indices."""
    rank = draw(st.sampled_from([2, 3, 4, 4]))
    shape = [1, *(draw(st.integers(1, 6)) for _ in range(rank - 1))]
    axis = draw(st.integers(0, rank - 1) | st.just(rank - 1))
    if axis and draw(st.integers(0, 4)) == 0:
        shape[axis] = 300
    indices = draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=8 if axis else 1))
    x = Tensor("x", tuple(shape), DType.INT8, QUANT)
    return one_op(Gather("f", ("x",), "y", tuple(indices), axis), [x], QUANT)


@settings(max_examples=4, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=50))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_specification_moves_the_float_values(graph: Graph) -> None:
    assert_close_to_float(graph, noise(graph), steps=0.01)


def test_indices_outside_the_axis_are_refused() -> None:
    with pytest.raises(ImportFailed, match=r"indices 1 \.\. 4 from axis 1"):
        Gather("f", ("x",), "y", (4, 1), 1).infer(Tensor("x", (1, 4), DType.INT8, QUANT))
