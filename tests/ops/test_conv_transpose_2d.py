"""ConvTranspose2D: specification against ONNX Runtime and against C."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, quants, weights
from tinycompile.ir import DType, Graph, Pad, Tensor
from tinycompile.ops import ConvTranspose2D


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any groups, strides, dilations, and padding that leaves at least one pixel."""
    kernel, stride, dilation = (draw(st.tuples(st.integers(1, n), st.integers(1, n))) for n in (4, 3, 2))
    extra = (draw(st.integers(0, stride[0] - 1)), draw(st.integers(0, stride[1] - 1)))
    groups, per_in, per_out = (
        draw(st.sampled_from([1, 1, 2, 3])),
        draw(st.integers(1, 5)),
        draw(st.integers(1, 5)),
    )
    x = Tensor(
        "x",
        (1, draw(st.integers(1, 4)), draw(st.integers(1, 4)), groups * per_in),
        DType.INT8,
        draw(quants()),
    )
    w = draw(weights((groups * per_out, *kernel, per_in)))
    b = draw(biases(x, w))
    inputs = [x, w] + ([b] if b else [])
    names = tuple(t.name for t in inputs)
    op = ConvTranspose2D("f", names, "y", kernel, stride, dilation, Pad(), extra, groups, draw(CLIPS))
    rows, columns = op.full(x.hw)
    top, left = (
        draw(st.integers(0, min(kernel[0], rows - 1))),
        draw(st.integers(0, min(kernel[1], columns - 1))),
    )
    bottom, right = (draw(st.integers(0, min(kernel[i], n - 1))) for i, n in enumerate((rows - top, columns - left)))
    op = ConvTranspose2D(
        "f", names, "y", kernel, stride, dilation, Pad(top, left, bottom, right), extra, groups, op.clip
    )
    return one_op(op, inputs, draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


@settings(max_examples=10, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=30))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_convolution(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed))
