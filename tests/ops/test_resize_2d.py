"""Resize2D: every coordinate and rounding mode against ONNX Runtime and C."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import ROUNDINGS, one_op
from tinycompile.ir import DType, Graph, Quant, Tensor, Window
from tinycompile.ir.op import Rounding
from tinycompile.ops import Resize2D
from tinycompile.ops.resize_2d import COORDINATES, NEAREST
from tinycompile.simulate import reference

QUANT = Quant.per_tensor(0.5, -3)
NOT_IN_OPSET_17 = {"half_pixel_symmetric", "tf_half_pixel_for_nn"}
"""The former came with opset 19, the latter went with opset 13."""
COORDINATE_MODES = sorted(set(COORDINATES) - NOT_IN_OPSET_17)


@st.composite
def resizes(draw: st.DrawFn, mode: str, coordinates: list[str], roundings: st.SearchStrategy[Rounding]) -> Graph:
    """Sizes by whole factors half of the time; with or without the file's own scales."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    if draw(st.booleans()):
        size = (height * draw(st.integers(1, 3)), width * draw(st.integers(1, 3)))
    else:
        size = (draw(st.integers(1, 13)), draw(st.integers(1, 13)))
    scales = None
    if draw(st.booleans()) and size != (height, width):
        # What is left over of a source pixel; ONNX Runtime ignores it where no extent changes.
        more = draw(st.sampled_from([1e-3, 0.5]))
        scales = ((size[0] + more) / height, (size[1] + more) / width)
    x = Tensor("x", (1, height, width, draw(st.integers(1, 5))), DType.INT8, QUANT)
    nearest = draw(st.sampled_from(sorted(NEAREST)))
    op = Resize2D("f", ("x",), "y", size, mode, draw(st.sampled_from(coordinates)), nearest, scales)
    return one_op(op, [x], QUANT, draw(roundings))


NATIVE = st.just("native")


def graphs() -> st.SearchStrategy[Graph]:
    """Either mode, any coordinates and rounding."""
    return st.one_of(*(resizes(mode, sorted(COORDINATES), ROUNDINGS) for mode in ("nearest", "bilinear")))


@settings(max_examples=4, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=50))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=100, deadline=None)
@given(resizes("nearest", COORDINATE_MODES, NATIVE))
def test_nearest_takes_the_values_that_onnx_runtime_takes(graph: Graph) -> None:
    assert_close_to_float(graph, noise(graph), steps=0.01)


@settings(max_examples=100, deadline=None)
@given(resizes("bilinear", COORDINATE_MODES, NATIVE))
def test_bilinear_is_the_float_interpolation(graph: Graph) -> None:
    assert_close_to_float(graph, noise(graph), steps=0.65)


def test_tflite_bilinear_with_half_pixels_by_two() -> None:
    x = Tensor("x", (1, 1, 2, 1), DType.INT8, Quant.per_tensor(1.0))
    graph = one_op(Resize2D("f", ("x",), "y", (1, 4), "bilinear", "half_pixel"), [x], x.q, "tflite")
    values = {"x": np.array([-3, 3], np.int8).reshape(1, 1, 2, 1)}
    assert reference(graph, values)["y"].ravel().tolist() == [-3, -2, 2, 3]


def test_half_pixel_symmetric_centres_what_the_scale_leaves_over() -> None:
    x = Tensor("x", (1, 1, 4, 1), DType.INT8, QUANT)
    op = Resize2D("f", ("x",), "y", (1, 2), "nearest", "half_pixel_symmetric", "floor", (1.0, 0.6))
    io = one_op(op, [x], QUANT).io(op)
    expected = 2 * (1 - 2 / (0.6 * 4)) + (np.arange(2) + 0.5) / 0.6 - 0.5
    assert op.positions(io, 1) == pytest.approx(expected)


def test_a_window_may_start_within_a_source_pixel() -> None:
    x = Tensor("x", (1, 3, 3, 1), DType.INT8, QUANT)
    op = Resize2D("f", ("x",), "y", (6, 9), "nearest", "asymmetric", "floor")
    io = one_op(op, [x], QUANT).io(op)
    assert op.factor(io) == (2, 3)
    cut = op.restrict(io, Window(3, 4, 2, 3))
    assert cut is not None
    assert cut.windows == (Window(1, 1, 2, 2),)
    assert cut.op.label().endswith("skip=(1, 1)>")
