"""PadOp: all modes and ranks against ONNX Runtime and C; windows that need nothing but padding."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import one_op, quants
from tinycompile.errors import ImportFailed
from tinycompile.ir import DType, Graph, Quant, Tensor, Window
from tinycompile.ops import PadOp


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Padding on any axis but the batch; reflections narrower than the tensor."""
    rank = draw(st.sampled_from([2, 3, 4, 4, 4, 5]))
    shape = (1, *(draw(st.integers(1, 5)) for _ in range(rank - 1)))
    mode = draw(st.sampled_from(["constant", "reflect", "edge"]))
    most = [0, *(d - 1 if mode == "reflect" else 6 for d in shape[1:])]
    before, after = (tuple(draw(st.integers(0, m) | st.just(0)) for m in most) for _ in range(2))
    quant = draw(quants())
    op = PadOp("f", ("x",), "y", before, after, mode, draw(st.sampled_from([0.0, -1.0, 3.3, -1e9])))
    return one_op(op, [Tensor("x", shape, DType.INT8, quant)], quant)


@settings(max_examples=4, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=50))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_specification_is_the_float_pad(graph: Graph) -> None:
    assert_close_to_float(graph, noise(graph))


def test_a_window_in_the_padding_still_reads_one_row() -> None:
    x = Tensor("x", (1, 3, 3, 1), DType.INT8, Quant.per_tensor(1.0))
    graph = one_op(PadOp("f", ("x",), "y", (0, 4, 0, 0), (0, 4, 0, 0)), [x], x.q)
    op = graph.ops[0]
    above = op.restrict(graph.io(op), Window(0, 0, 2, 3))
    assert above is not None
    assert above.windows == (Window(0, 0, 1, 3),)
    assert isinstance(above.op, PadOp)
    assert (above.op.pad.top, above.op.pad.bottom) == (4, -3)


def test_wide_reflections_are_refused() -> None:
    with pytest.raises(ImportFailed, match="narrower"):
        PadOp("f", ("x",), "y", (0, 3), (0, 0), "reflect").infer(Tensor("x", (1, 3)))
