"""Dense: specification against ONNX Runtime and against C."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, quants, weights
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Dense


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Matrices of every remainder modulo the block of 4 outputs; one row or several."""
    lead = draw(st.sampled_from([(1,), (1,), (1, 3), (1, 2, 5), (1, 1)]))
    k, n = draw(st.integers(1, 40)), draw(st.integers(1, 14))
    x = Tensor("x", (*lead, k), DType.INT8, draw(quants()))
    w = draw(weights((n, k)))
    b = draw(biases(x, w))
    inputs = [x, w] + ([b] if b else [])
    op = Dense("f", tuple(t.name for t in inputs), "y", draw(CLIPS))
    return one_op(op, inputs, draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


@settings(max_examples=8, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=40))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_product(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed))


def test_rows_that_grow_push_the_output_down() -> None:
    x = Tensor("x", (1, 3, 4), DType.INT8, Quant.per_tensor(1.0))
    w = Tensor("w", (6, 4), DType.INT8, Quant.per_tensor(1.0))
    op = Dense("f", ("x", "w"), "y")
    y = Tensor("y", (1, 3, 6), DType.INT8, Quant.per_tensor(1.0))
    graph = Graph("g", ("x", "w"), ("y",), (op,), {t.name: t for t in (x, w, y)})
    assert op.lag(graph.io(op), 0) == 2 * (6 - 4)
