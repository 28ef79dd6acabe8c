"""Transposes sink, cancel, reach ports and weights; what the graph computes stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.small import GraphBuilder, applied, kinds
from tinycompile.ir import Graph
from tinycompile.ops import (
    Add,
    Concat,
    Conv2D,
    Dense,
    Gather,
    MatMul,
    Mul,
    PadOp,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    Transpose,
    Unary,
)  # fmt: skip
from tinycompile.ops.unary import Step
from tinycompile.passes import settle_layout
from tinycompile.passes.transposes import axis_groups, moves_bytes

LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
TANH = (Step("tanh"),)


def conv(g: GraphBuilder, x: str, out: int = 4) -> str:
    """A convolution as the ONNX front end imports it: transposes around it."""
    channels = g.tensors[x].shape[1]
    image = g.add(Transpose, x, perm=LAST)
    y = g.add(Conv2D, image, g.constant(out, 1, 1, channels), kernel=(1, 1))
    return g.add(Transpose, y, perm=FIRST)


def settled(graph: Graph, left: int = 0) -> Graph:
    after = applied(settle_layout, graph)
    assert kinds(after).count("Transpose") == left
    return after


def test_chains_of_convolutions_need_no_transposes() -> None:
    g = GraphBuilder((1, 3, 5, 6))
    x = conv(g, g.add(Unary, conv(g, "x0"), steps=TANH))
    after = settled(g.build(x))
    assert after.port("x0").perm == after.port(x).perm == LAST
    assert after.tensors["x0"].shape == (1, 5, 6, 3)


def test_residuals_gates_and_concatenations() -> None:
    g = GraphBuilder((1, 3, 5, 6))
    a = conv(g, "x0")
    gate = g.add(Reduce, a, kind="mean", axes=(2, 3))
    b = g.add(Mul, conv(g, a), g.add(Unary, gate, steps=TANH))
    c = g.add(Concat, g.add(Add, a, b), a, axis=1)
    d = g.add(Mul, c, g.constant(1, 8, 1, 1))
    settled(g.build(conv(g, d)))


def test_slices_pads_and_gathers_change_their_axes() -> None:
    g = GraphBuilder((1, 4, 5, 6))
    x = g.add(Slice, conv(g, "x0"), starts=(0, 1, 0, 0), stops=(1, 4, 5, 6), steps=(1, 1, 2, 1))
    x = g.add(PadOp, x, before=(0, 0, 1, 0), after=(0, 0, 0, 2), value=0.5)
    x = g.add(Gather, x, indices=(2, 0, 0), axis=3)
    settled(g.build(conv(g, x)))


def test_ops_before_the_first_convolution() -> None:
    """Normalisation and padding of the input work in the graph's layout too."""
    g = GraphBuilder((1, 3, 5, 6))
    x = g.add(Mul, g.add(Unary, "x0", steps=TANH), g.constant(1, 3, 1, 1))
    x = g.add(PadOp, x, before=(0, 0, 1, 1), after=(0, 0, 1, 1))
    after = settled(g.build(conv(g, x)))
    assert after.port("x0").perm == LAST


def test_flatten_and_dense_permute_the_weights() -> None:
    g = GraphBuilder((1, 3, 5, 6))
    x = g.add(Reshape, conv(g, "x0"), shape=(1, 4 * 5 * 6))
    x = g.add(Unary, x, steps=TANH)
    settled(g.build(g.add(Dense, x, g.constant(7, 120), g.constant(7))))


def test_flatten_to_an_output_keeps_its_transpose() -> None:
    """The order of a flattened output is the model's meaning."""
    g = GraphBuilder((1, 3, 5, 6))
    settled(g.build(g.add(Reshape, conv(g, "x0"), shape=(1, 120))), left=1)


def test_heads_of_attention_keep_theirs() -> None:
    g = GraphBuilder((1, 6, 8))
    heads = g.add(Transpose, g.add(Reshape, "x0", shape=(1, 6, 2, 4)), perm=(0, 2, 1, 3))
    scores = g.add(Softmax, g.add(MatMul, heads, heads, transpose_b=True))
    mixed = g.add(Transpose, g.add(MatMul, scores, heads), perm=(0, 2, 1, 3))
    settled(g.build(g.add(Reshape, mixed, shape=(1, 6, 8))), left=2)


def test_merged_axes_pass_through_reshapes() -> None:
    """Detectors flatten rows and columns, then bring channels last."""
    g = GraphBuilder((1, 3, 5, 6))
    x = g.add(Reshape, conv(g, "x0"), shape=(1, 4, 30))
    settled(g.build(g.add(Transpose, x, perm=(0, 2, 1))))


def test_a_signal_that_several_ops_read_is_given_with_channels_last() -> None:
    g = GraphBuilder((1, 3, 16))
    made = []
    for stride in (1, 1):
        image = g.add(Transpose, g.add(Reshape, "x0", shape=(1, 1, 3, 16)), perm=(0, 3, 1, 2))
        made.append(g.add(Conv2D, image, g.constant(4, 3, 1, 3), kernel=(3, 1), stride=(stride, 1)))
    graph = g.build(g.add(Add, *made))
    after = applied(settle_layout, graph)
    assert kinds(after) == ["Reshape", "Conv2D", "Conv2D", "Add"]
    assert after.tensors["x0"].shape == (1, 16, 3)
    assert after.port("x0").perm == (0, 2, 1)


def test_views_of_an_input_that_differ_keep_their_transposes() -> None:
    g = GraphBuilder((1, 3, 16))
    one = g.add(Transpose, g.add(Reshape, "x0", shape=(1, 1, 3, 16)), perm=(0, 3, 1, 2))
    other = g.add(Transpose, g.add(Reshape, "x0", shape=(1, 1, 3, 16)), perm=(0, 1, 3, 2))
    graph = g.build(g.add(Unary, one, steps=TANH), g.add(Unary, g.add(Softmax, other), steps=TANH), "x0")
    after = applied(settle_layout, graph)
    assert after.tensors["x0"].shape == (1, 3, 16)


def test_signals_keep_time_in_rows() -> None:
    g = GraphBuilder((1, 3, 16))
    x = "x0"
    for _ in range(2):
        x = g.add(Reshape, g.add(Transpose, x, perm=(0, 2, 1)), shape=(1, 16, 1, 3))
        x = g.add(Conv2D, x, g.constant(3, 1, 1, 3), kernel=(1, 1))
        x = g.add(Transpose, g.add(Reshape, x, shape=(1, 16, 3)), perm=(0, 2, 1))
        x = g.add(Unary, x, steps=TANH)
    assert kinds(settled(g.build(x))) == ["Reshape", "Conv2D", "Unary", "Conv2D", "Unary", "Reshape"]


@pytest.mark.parametrize("shape, perm, moves", [((1, 3, 1, 1), FIRST, False), ((1, 5, 6, 1), FIRST, False),
                                                ((1, 5, 6, 2), FIRST, True), ((4, 1), (1, 0), False)])  # fmt: skip
def test_moving_axes_of_one_is_free(shape: tuple[int, ...], perm: tuple[int, ...], moves: bool) -> None:
    assert moves_bytes(shape, perm) == moves
    x = np.arange(np.prod(shape)).reshape(shape)
    assert (not np.array_equal(x.transpose(perm).ravel(), x.ravel())) == moves


def test_axis_groups() -> None:
    assert axis_groups((1, 4, 5, 6), (1, 4, 30)) == [([0], [0]), ([1], [1]), ([2, 3], [2])]
    assert axis_groups((1, 8, 5), (1, 2, 4, 5, 1)) == [([0], [0]), ([1], [1, 2]), ([2], [3, 4])]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_random_graphs(data: st.DataObject) -> None:
    """Any mixture of transposes, reshapes and elementwise ops computes the same afterwards."""
    g = GraphBuilder((1, 2, 3, 4), seed=data.draw(st.integers(0, 99)))
    live = ["x0"]
    for _ in range(data.draw(st.integers(1, 10))):
        x = data.draw(st.sampled_from(live))
        shape = g.tensors[x].shape
        kind = data.draw(st.sampled_from(["transpose", "unary", "conv", "constant", "join", "reshape", "reduce"]))
        if kind == "transpose":
            live.append(g.add(Transpose, x, perm=tuple(data.draw(st.permutations(range(len(shape)))))))
        elif kind == "unary":
            live.append(g.add(Unary, x, steps=TANH))
        elif kind == "conv" and len(shape) == 4 and shape[0] == 1:
            live.append(g.add(Conv2D, x, g.constant(2, 1, 1, shape[3]), kernel=(1, 1)))
        elif kind == "constant":
            axis = data.draw(st.integers(0, len(shape) - 1))
            live.append(g.add(Mul, x, g.constant(*(d if i == axis else 1 for i, d in enumerate(shape)))))
        elif kind == "join":
            others = [n for n in live if g.tensors[n].shape == shape]
            live.append(
                g.add(Concat, x, data.draw(st.sampled_from(others)), axis=data.draw(st.integers(0, len(shape) - 1)))
            )
        elif kind == "reshape":
            size = int(np.prod(shape))
            choices = [(1, size), (size,), (1, size // 2, 2), (1, *shape), (1, 1, size // 2, 2)]
            live.append(g.add(Reshape, x, shape=data.draw(st.sampled_from([c for c in choices if np.prod(c) == size]))))
        elif kind == "reduce" and len(shape) > 1:
            live.append(g.add(Reduce, x, kind="sum", axes=(data.draw(st.integers(0, len(shape) - 1)),)))
    if len(live) > 1:
        applied(settle_layout, g.build(*dict.fromkeys(live[-2:]) if "x0" not in live[-2:] else [live[-1]]))
