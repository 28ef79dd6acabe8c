"""MaxPool2D: specification against ONNX Runtime and against C."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import one_op, pads, quants
from tinycompile.ir import DType, Graph, Pad, Tensor
from tinycompile.ops import MaxPool2D


@st.composite
def graphs(draw: st.DrawFn, onnx: bool = False) -> Graph:
    """Any pool, also windows of nothing but padding; with ``onnx`` only padding below the kernel's extent."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.just((1, 1)) | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pad = draw(pads(kernel[0] - onnx, kernel[1] - onnx))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    height = draw(st.integers(0, 5)) + max(1, span[0] - pad.top - pad.bottom)
    width = draw(st.integers(0, 5)) + max(1, span[1] - pad.left - pad.right)
    if draw(st.integers(0, 4)) == 0:
        (height, width), pad, dilation = kernel, Pad(), (1, 1)
    x = Tensor("x", (1, height, width, draw(st.integers(1, 5))), DType.INT8, draw(quants(1e-2, 1.0)))
    return one_op(MaxPool2D("f", ("x",), "y", kernel, stride, pad, dilation), [x], x.q)


@settings(max_examples=8, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=30))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=60, deadline=None)
@given(graphs(onnx=True), st.integers(0, 2**31))
def test_specification_is_the_float_pool(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed), steps=1e-3)
