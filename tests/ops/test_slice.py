"""Slice: positive and negative steps on every axis, against ONNX Runtime and C; windows; what lies outside."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import one_op
from tinycompile.errors import ImportFailed
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Slice

QUANT = Quant.per_tensor(0.5, -3)


@st.composite
def bounds(draw: st.DrawFn, size: int) -> tuple[int, int, int]:
    """A range inside an axis of this size that holds at least one index."""
    if draw(st.booleans()):
        return 0, size, 1
    first, last = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
    step = draw(st.integers(1, 3)) * (1 if first <= last else -1)
    stop = last + 1 if step > 0 else last - 1
    return first, stop, step


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Images mostly, and tensors of rank 2 to 5."""
    rank = draw(st.sampled_from([2, 3, 4, 4, 4, 5]))
    shape = (1, *(draw(st.integers(1, 8 if rank < 5 else 4)) for _ in range(rank - 1)))
    starts, stops, steps = zip(*(draw(bounds(d)) for d in shape), strict=True)
    return one_op(Slice("f", ("x",), "y", starts, stops, steps), [Tensor("x", shape, DType.INT8, QUANT)], QUANT)


@settings(max_examples=4, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=50))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_specification_moves_the_float_values(graph: Graph) -> None:
    assert_close_to_float(graph, noise(graph), steps=0.01)


@pytest.mark.parametrize("bound", [(0, 5, 1), (3, 3, 1), (-1, 2, 1), (2, -2, -1)])
def test_ranges_outside_the_input_are_refused(bound: tuple[int, int, int]) -> None:
    start, stop, step = bound
    with pytest.raises(ImportFailed, match="from axis 1"):
        Slice("f", ("x",), "y", (0, start), (1, stop), (1, step)).infer(Tensor("x", (1, 4), DType.INT8, QUANT))
