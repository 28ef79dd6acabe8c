"""Concat: against NumPy's meaning by ONNX Runtime, against C, and its errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import SEEDS, one_op, quants
from tinycompile.errors import ImportFailed
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Concat


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """One to ten inputs of rank 2 to 4, some of them constants, joined along any axis but the batch."""
    rank = draw(st.integers(2, 4))
    shape = [1, *(draw(st.integers(1, 5)) for _ in range(rank - 1))]
    axis = draw(st.integers(1, rank - 1) | st.just(rank - 1))
    quant = draw(quants())
    rng = np.random.default_rng(draw(SEEDS))
    inputs = []
    for i in range(draw(st.integers(1, 4) | st.integers(8, 10))):
        mine = (*shape[:axis], draw(st.integers(1, 5)), *shape[axis + 1 :])
        if i and draw(st.integers(0, 5)) == 0:
            inputs.append(Tensor.constant(f"x{i}", rng.integers(-128, 128, mine).astype(np.int8), quant))
        else:
            inputs.append(Tensor(f"x{i}", mine, DType.INT8, quant))
    return one_op(Concat("f", tuple(t.name for t in inputs), "y", axis), inputs, quant)


@settings(max_examples=4, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=50))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_specification_moves_the_float_values(graph: Graph) -> None:
    assert_close_to_float(graph, noise(graph), steps=0.01)


def test_inputs_that_differ_elsewhere_are_named() -> None:
    a, b = (Tensor(n, s, DType.INT8, Quant.per_tensor(1.0)) for n, s in (("a", (1, 2, 3)), ("b", (1, 3, 3))))
    with pytest.raises(ImportFailed, match="axis 2 cannot join 'a'"):
        Concat("f", ("a", "b"), "y", 2).infer(a, b)
