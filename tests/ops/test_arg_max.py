"""ArgMax: any axis against ONNX Runtime and C; the first of equals wins."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import float_outputs
from tests.ops.strategies import quants
from tinycompile.ir import DType, Graph, Tensor
from tinycompile.ops import ArgMax
from tinycompile.simulate import reference


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Rank 2 to 4, any axis, kept or not."""
    rank = draw(st.integers(2, 4))
    shape = (1, *(draw(st.integers(1, 7)) for _ in range(rank - 1)))
    x = Tensor("x", shape, DType.INT8, draw(quants()))
    op = ArgMax("f", ("x",), "y", draw(st.integers(0, rank - 1)), draw(st.booleans()))
    y = Tensor("y", op.infer(x), DType.INT32)
    return Graph("g", ("x",), ("y",), (op,), {"x": x, "y": y})


@settings(max_examples=3, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=40))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_specification_is_the_float_arg_max(graph: Graph) -> None:
    for values in noise(graph):
        assert np.array_equal(reference(graph, values)["y"], float_outputs(graph, values)["y"])
