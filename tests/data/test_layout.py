"""Arrays are recognised by their shapes, or the error asks for --layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.graphs import nchw, one, plain
from tinycompile.data import samples_from_arrays
from tinycompile.errors import UsageError
from tinycompile.ir import Graph, Port

EXTENT = st.integers(1, 6)


def read(graph: Graph, x: np.ndarray, layout: str | None = None) -> np.ndarray:
    return samples_from_arrays({"x": x}, graph, layout=layout).inputs[graph.inputs[0]]


@given(st.integers(1, 3), EXTENT, EXTENT, EXTENT)
def test_both_layouts_give_the_same_samples_or_ask(n: int, c: int, h: int, w: int) -> None:
    graph = nchw(c, h, w)
    first = np.random.default_rng(n).random((n, c, h, w), np.float32)
    expected = first.transpose(0, 2, 3, 1)[:, None]
    for layout, x in (("NCHW", first), ("NHWC", first.transpose(0, 2, 3, 1))):
        np.testing.assert_array_equal(read(graph, x, layout), expected)
        try:
            np.testing.assert_array_equal(read(graph, x), expected)
        except UsageError as error:
            assert "--layout" in str(error)
            same = sorted(d for d in (c, h, w) if d > 1)
            assert len(set(same)) < len(same), "extents that differ tell the layouts apart"


def test_cube_asks_for_the_layout() -> None:
    x = np.zeros((2, 3, 3, 3), np.float32)
    with pytest.raises(UsageError, match="--layout NHWC"):
        read(nchw(3, 3, 3), x)


def test_missing_batch_and_channel_axes_are_accepted() -> None:
    x = np.arange(490, dtype=np.float32).reshape(49, 10)
    for shape in [(49, 10), (1, 49, 10), (49, 10, 1), (1, 49, 10, 1), (1, 1, 49, 10)]:
        np.testing.assert_array_equal(read(nchw(1, 49, 10), x.reshape(shape)), x.reshape(1, 1, 49, 10, 1))


def test_batch_of_plain_images() -> None:
    x = np.arange(2 * 6, dtype=np.uint8).reshape(2, 2, 3)
    assert read(nchw(1, 2, 3), x).shape == (2, 1, 2, 3, 1)


def test_time_first_and_features_first() -> None:
    graph = Graph("g", ("x",), ("x",), (), {"x": plain(5, 3).tensors["x"]}, ports={"x": Port((1, 3, 5), (0, 2, 1))})
    x = np.arange(15, dtype=np.float32).reshape(5, 3)
    np.testing.assert_array_equal(read(graph, x)[0, 0], x)
    np.testing.assert_array_equal(read(graph, x.T)[0, 0], x)


def test_vectors_take_anything_of_their_size_in_row_major_order() -> None:
    x = np.arange(128, dtype=np.uint8).reshape(2, 8, 8)
    np.testing.assert_array_equal(read(plain(64), x), x.reshape(2, 1, 64))
    assert read(plain(64), x[0]).shape == (1, 1, 64)


def test_wrong_shape_names_what_is_taken() -> None:
    with pytest.raises(UsageError, match=r"\(N, 3, 8, 8\).*\(N, 8, 8, 3\).*\(4, 8, 7, 3\)"):
        read(nchw(3, 8, 8), np.zeros((4, 8, 7, 3), np.uint8))


def test_unknown_layout() -> None:
    with pytest.raises(UsageError, match="layout"):
        read(plain(4), np.zeros((1, 4), np.float32), "HWCN")


def test_the_files_own_order_wins_where_its_channels_are_last() -> None:
    x = np.arange(2 * 4 * 4, dtype=np.float32).reshape(2, 4, 4)
    np.testing.assert_array_equal(read(plain(4, 4), x)[:, 0], x)
    np.testing.assert_array_equal(read(plain(4, 4), x, "NCHW")[:, 0], x.transpose(0, 2, 1))


def test_an_input_whose_first_axis_is_no_batch_has_the_files_order_alone() -> None:
    x = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    graph = one("x", (3, 1, 4, 4), Port((1, 3, 4, 4), (1, 0, 2, 3)))
    np.testing.assert_array_equal(read(graph, x)[:, :, 0], x)
