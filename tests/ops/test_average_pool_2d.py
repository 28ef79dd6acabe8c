"""AveragePool2D: specification against ONNX Runtime and against C."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import CLIPS, ROUNDINGS, one_op, pads, quants
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor, Window
from tinycompile.ops import AveragePool2D
from tinycompile.simulate import reference


@st.composite
def graphs(draw: st.DrawFn, onnx: bool = False) -> Graph:
    """Any pool; with ``onnx`` only what ONNX can spell: padding below the kernel's, all counted."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pad = draw(pads(kernel[0] - onnx, kernel[1] - onnx))
    height = draw(st.integers(0, 5)) + max(1, kernel[0] - pad.top - pad.bottom)
    width = draw(st.integers(0, 5)) + max(1, kernel[1] - pad.left - pad.right)
    if draw(st.integers(0, 4)) == 0:
        (height, width), pad = kernel, Pad()
    x = Tensor("x", (1, height, width, draw(st.integers(1, 5))), DType.INT8, draw(quants(1e-2, 1.0)))
    include = draw(st.booleans())
    uncounted = (0, 0)
    if include and not onnx:
        uncounted = (draw(st.integers(0, pad.bottom)), draw(st.integers(0, pad.right)))
    op = AveragePool2D("f", ("x",), "y", kernel, stride, pad, include, draw(CLIPS), uncounted)
    quant = x.q if draw(st.booleans()) else draw(quants(1e-2, 1.0))
    return one_op(op, [x], quant, draw(ROUNDINGS))


@settings(max_examples=10, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=40))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=80, deadline=None)
@given(graphs(onnx=True), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_pool(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed))


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 4))
def test_a_mean_of_everything_folds(graph: Graph, most: int) -> None:
    (small,) = graph.ops
    x = graph.tensors["x"]
    op = AveragePool2D("f", ("x",), "y", x.hw)
    graph = one_op(op, [x], graph.tensors["y"].q, graph.rounding)
    assert (small.fold(graph.io(small)) is None) == (small.kernel != x.hw or bool(small.pad))
    io, rows = graph.io(op), noise(graph)[0]["x"]
    state = np.zeros(x.channels, np.int32)
    for y in range(0, x.hw[0], most):
        state = op.accumulate(io, state, rows[:, y : y + most], y)
    assert (op.finish(io, state) == op.run(io, rows)).all()
    assert [cut.windows[0] for cut in op.fold(io) or ()] == [Window(y, 0, 1, x.hw[1]) for y in range(x.hw[0])]


def test_padding_added_for_ceil_mode_is_not_counted() -> None:
    x = Tensor("x", (1, 3, 3, 1), DType.INT8, Quant.per_tensor(1.0))
    op = AveragePool2D("f", ("x",), "y", (2, 2), (2, 2), Pad(0, 0, 1, 1), True, uncounted=(1, 1))
    graph = one_op(op, [x], Quant.per_tensor(1.0))
    values = {"x": np.arange(9, dtype=np.int8).reshape(1, 3, 3, 1) * 4}
    assert reference(graph, values)["y"].ravel().tolist() == [8, 14, 26, 32]
    assert_close_to_float(graph, [values])


def test_tflite_averages_raw_values_and_rounds_half_away_from_zero() -> None:
    x = Tensor("x", (1, 1, 2, 2), DType.INT8, Quant.per_tensor(0.5, 3))
    op = AveragePool2D("f", ("x",), "y", (1, 2))
    values = {"x": np.array([[[[1, -1], [2, -2]]]], np.int8)}
    assert reference(one_op(op, [x], x.q, "tflite"), values)["y"].ravel().tolist() == [2, -2]
