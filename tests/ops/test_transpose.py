"""Transpose: any permutation against ONNX Runtime and C."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import one_op
from tinycompile.errors import ImportFailed
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Transpose

QUANT = Quant.per_tensor(0.5, -3)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Rank 2 to 5, the batch anywhere."""
    rank = draw(st.integers(2, 5))
    shape = (1, *(draw(st.integers(1, 5)) for _ in range(rank - 1)))
    perm = tuple(draw(st.permutations(range(rank))))
    return one_op(Transpose("f", ("x",), "y", perm), [Tensor("x", shape, DType.INT8, QUANT)], QUANT)


@settings(max_examples=4, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=50))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_specification_moves_the_float_values(graph: Graph) -> None:
    assert_close_to_float(graph, noise(graph), steps=0.01)


def test_what_is_no_permutation_is_refused() -> None:
    with pytest.raises(ImportFailed, match="does not permute"):
        Transpose("f", ("x",), "y", (0, 0)).infer(Tensor("x", (1, 3)))
