"""DepthToSpace: both channel orders against ONNX Runtime and C; windows on block borders only."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import one_op
from tinycompile.errors import ImportFailed
from tinycompile.ir import DType, Graph, Quant, Tensor, Window
from tinycompile.ops import DepthToSpace

QUANT = Quant.per_tensor(0.5, -3)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Blocks of 1 to 3."""
    block = draw(st.integers(1, 3))
    shape = (1, draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 4)) * block**2)
    op = DepthToSpace("f", ("x",), "y", block, draw(st.sampled_from(["DCR", "CRD"])))
    return one_op(op, [Tensor("x", shape, DType.INT8, QUANT)], QUANT)


@settings(max_examples=3, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=40))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_specification_moves_the_float_values(graph: Graph) -> None:
    assert_close_to_float(graph, noise(graph), steps=0.01)


def test_windows_must_not_cut_blocks() -> None:
    graph = one_op(DepthToSpace("f", ("x",), "y", 2), [Tensor("x", (1, 4, 4, 8), DType.INT8, QUANT)], QUANT)
    op = graph.ops[0]
    assert op.restrict(graph.io(op), Window(0, 1, 2, 2)) is None
    cut = op.restrict(graph.io(op), Window(2, 4, 4, 2))
    assert cut is not None
    assert cut.windows == (Window(1, 2, 2, 1),)


def test_channels_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ImportFailed, match="multiples of 4"):
        DepthToSpace("f", ("x",), "y", 2).infer(Tensor("x", (1, 2, 2, 6)))
