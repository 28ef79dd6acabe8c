"""Conv2D: specification against ONNX Runtime and against C; windows; what does not fit in int32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, pads, quants, weights
from tinycompile.errors import QuantizationFailed
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor, Window
from tinycompile.ops import Conv2D


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any convolution: groups, multipliers, strides, dilations, paddings larger than the kernel; or of all pixels."""
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)) | st.just((1, 1)) | st.just((3, 3)) | st.just((7, 6)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)) | st.just((1, 1)))
    dilation = draw(st.just((1, 1)) | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pad = draw(pads(*kernel))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, span[0] - pad.top - pad.bottom), max(1, span[1] - pad.left - pad.right)]
    height, width = (draw(st.integers(n, n + 5)) for n in least)
    if draw(st.integers(0, 3)) == 0:
        (height, width), dilation, pad = kernel, (1, 1), Pad()
    kind = draw(st.sampled_from(["plain", "depthwise", "depthwise", "groups"]))
    groups = 1 if kind == "plain" else draw(st.integers(1, 9 if kind == "depthwise" else 3))
    per_in = 1 if kind == "depthwise" else draw(st.integers(1, 9))
    per_out = draw(st.just(1) | st.integers(1, 3)) if kind == "depthwise" else draw(st.integers(1, 9))
    x = Tensor("x", (1, height, width, groups * per_in), DType.INT8, draw(quants()))
    w = draw(weights((groups * per_out, *kernel, per_in)))
    b = draw(biases(x, w))
    inputs = [x, w] + ([b] if b else [])
    op = Conv2D("f", tuple(t.name for t in inputs), "y", kernel, stride, dilation, pad, groups, draw(CLIPS))
    return one_op(op, inputs, draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


@settings(max_examples=6, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=20))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_convolution(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed))


@settings(max_examples=80, deadline=None)
@given(graphs(), st.integers(1, 4))
def test_a_kernel_of_all_pixels_folds(graph: Graph, most: int) -> None:
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    io, x = graph.io(op), noise(graph)[0]["x"]
    cuts = op.fold(io)
    assert (cuts is not None) == (op.kernel == io.x.hw and not op.pad and io.x.hw[0] > 1)
    if cuts is None:
        return
    state = np.zeros(io.out.channels, np.int32)
    for y in range(0, io.x.hw[0], most):
        state = op.accumulate(io, state, x[:, y : y + most], y)
    constants = (t.values for t in io.inputs[1:])
    assert (op.finish(io, state) == op.run(io, x, *constants)).all()
    assert [cut.windows[0] for cut in cuts] == [Window(y, 0, 1, io.x.hw[1]) for y in range(io.x.hw[0])]
    macs = sum(cut.op.features(io).macs for cut in cuts)
    assert macs == op.features(io).macs == io.inputs[1].size


def test_an_accumulator_that_may_leave_int32_is_refused() -> None:
    x = Tensor("x", (1, 1, 1, 2), DType.INT8, Quant.per_tensor(1.0))
    w = Tensor.constant("w", np.full((1, 1, 1, 2), 127, np.int8), Quant((1.0,)))
    b = Tensor.constant("b", np.array([2**31 - 1 - 2 * 127 * 128 + 1], np.int32), Quant((1.0,)))
    graph = one_op(Conv2D("f", ("x", "w", "b"), "y", (1, 1)), [x, w, b], Quant.per_tensor(1.0))
    with pytest.raises(QuantizationFailed, match="channel 0"):
        check([(graph, noise(graph))])
    b = Tensor.constant("b", b.values - 1, b.quant)
    graph = one_op(Conv2D("f", ("x", "w", "b"), "y", (1, 1)), [x, w, b], Quant.per_tensor(2.0**26))
    check([(graph, noise(graph))])


def test_a_depthwise_convolution_lags_by_one_row_and_one_pixel() -> None:
    x = Tensor("x", (1, 8, 8, 4), DType.INT8, Quant.per_tensor(1.0))
    w = Tensor.constant("w", np.ones((4, 3, 3, 1), np.int8), Quant((1.0,)))
    op = Conv2D("f", ("x", "w"), "y", (3, 3), pad=Pad(1, 1, 1, 1), groups=4)
    graph = one_op(op, [x, w], Quant.per_tensor(1.0))
    assert op.lag(graph.io(op), 0) == (8 + 1) * 4
