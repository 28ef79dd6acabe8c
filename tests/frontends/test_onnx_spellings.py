"""Spellings that exporters use and that become tables, repetitions or normalisations here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from tests.frontends.onnx_models import ModelBuilder
from tests.frontends.onnx_runs import assert_same, graph_of, random_inputs, session
from tinycompile.errors import UnsupportedOp
from tinycompile.ir import Array

BOOL, FLOAT = onnx.TensorProto.BOOL, onnx.TensorProto.FLOAT
IMAGE = [1, 4, 6, 5]

Spelling = Callable[[ModelBuilder], str]


def hard_shrink(m: ModelBuilder) -> str:
    far = m.node("Or", m.node("Greater", "x", m.constant(0.5)), m.node("Less", "x", m.constant(-0.5)))
    return m.node("Where", m.node("Cast", far, to=BOOL), "x", m.constant(0.0))


def threshold(m: ModelBuilder) -> str:
    return m.node("Where", m.node("LessOrEqual", "x", m.constant([0.1])), m.constant(0.2), "x")


def softplus_with_threshold(m: ModelBuilder) -> str:
    near = m.node("Softplus", "x")
    return m.node("Where", m.node("GreaterOrEqual", m.constant(2.0), "x"), near, "x")


def counted(m: ModelBuilder) -> str:
    inside = m.node("And", m.node("Not", m.node("Less", "x", m.constant(-1.0))), m.node("Less", "x", m.constant(1.0)))
    return m.node("Mul", m.node("Cast", inside, to=FLOAT), m.node("Sigmoid", "x"))


def bent(m: ModelBuilder) -> str:
    return m.node("Div", "x", m.node("Add", m.node("Abs", "x"), m.constant(0.3)))


TABLES = [hard_shrink, threshold, softplus_with_threshold, counted, bent]


@pytest.mark.parametrize("spell", TABLES, ids=lambda f: f.__name__)
def test_functions_of_one_tensor_are_one_table(spell: Spelling) -> None:
    m = ModelBuilder(17)
    m.node("Conv", spell(m), m.random(3, 4, 1, 1), output="y")
    model = m.build({"x": IMAGE}, ["y"], opset=17)
    graph = graph_of(model)
    assert_same(model, graph)
    assert [type(op).__name__ for op in graph.ops] == ["Unary", "Conv2D"]


def test_choice_between_two_tensors() -> None:
    m = ModelBuilder(17)
    m.node("Where", m.node("Greater", "a", "b"), m.node("Sin", "a"), m.node("Cos", "b"), output="y")
    model = m.build({"a": IMAGE, "b": IMAGE}, ["y"], opset=17)
    assert_same(model, graph_of(model))


def test_choice_by_a_constant_mask() -> None:
    m = ModelBuilder(17)
    mask = m.constant(np.arange(5) % 2 == 0, bool)
    m.node("Where", mask, "x", m.constant([[-1.0] * 5]), output="y")
    model = m.build({"x": IMAGE}, ["y"], opset=17)
    assert_same(model, graph_of(model))


def test_a_mask_of_infinities_is_refused() -> None:
    m = ModelBuilder(17)
    m.node("Where", m.node("Greater", "x", "z"), "x", m.constant([-np.inf] * 5), output="y")
    with pytest.raises(UnsupportedOp, match="not finite"):
        graph_of(m.build({"x": IMAGE, "z": IMAGE}, ["y"], opset=17))


def test_expanded_gates_are_broadcast_for_free() -> None:
    m = ModelBuilder(17)
    gate = m.node("Sigmoid", m.node("GlobalAveragePool", "x"))
    m.node("Mul", "x", m.node("Expand", gate, m.integers(1, 4, 6, 5)), output="y")
    model = m.build({"x": IMAGE}, ["y"], opset=17)
    graph = graph_of(model)
    assert_same(model, graph)
    assert "Gather" not in [type(op).__name__ for op in graph.ops]


@pytest.mark.parametrize("repeats", [(1, 1, 2, 3), (1, 3, 1, 1), (1, 1, 1, 1)])
def test_tile(repeats: tuple[int, ...]) -> None:
    m = ModelBuilder(17)
    m.node("Relu", m.node("Tile", "x", m.integers(*repeats)), output="y")
    model = m.build({"x": IMAGE}, ["y"], opset=17)
    assert_same(model, graph_of(model))


def test_expand_adds_axes() -> None:
    m = ModelBuilder(17)
    m.node("Relu", m.node("Expand", "x", m.integers(3, 1, 4, 5)), output="y")
    model = m.build({"x": [1, 5]}, ["y"], opset=17)
    assert_same(model, graph_of(model))


def test_gather_nd_of_whole_slices() -> None:
    m = ModelBuilder(17)
    turned = m.node("Transpose", "x", perm=[1, 0, 2, 3])
    picked = m.node("GatherND", turned, m.constant([[3], [0], [2]], np.int64))
    m.node("Transpose", picked, perm=[1, 0, 2, 3], output="y")
    model = m.build({"x": IMAGE}, ["y"], opset=17)
    assert_same(model, graph_of(model))


@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization(opset: int) -> None:
    m = ModelBuilder(opset)
    count = 2 if opset < 21 else 4
    m.node("GroupNormalization", "x", m.random(count), m.random(count), num_groups=2, epsilon=1e-3, output="y")
    model = m.build({"x": IMAGE}, ["y"], opset=opset)
    assert_same(model, graph_of(model), tolerance=1e-4)


@pytest.mark.parametrize(("axis", "bias"), [(-1, True), (-1, False), (1, True), (2, True)])
def test_layer_normalization(axis: int, bias: bool) -> None:
    m = ModelBuilder(17)
    shape = IMAGE[axis:]
    parameters = [m.random(*shape), *([m.random(*shape)] if bias else [])]
    m.node("LayerNormalization", "x", *parameters, axis=axis, epsilon=1e-3, output="y")
    model = m.build({"x": IMAGE}, ["y"], opset=17)
    assert_same(model, graph_of(model), tolerance=1e-4)


@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalization(p: int) -> None:
    m = ModelBuilder(17)
    m.node("LpNormalization", "x", axis=1, p=p, output="y")
    model = m.build({"x": IMAGE}, ["y"], opset=17)
    assert_same(model, graph_of(model))


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_normalizer(norm: str) -> None:
    m = ModelBuilder(17)
    scores = m.node("Sigmoid", "x")
    m.node("Normalizer", scores, norm=norm, output="y", domain="ai.onnx.ml")
    model = m.build({"x": [1, 5]}, ["y"], opset=17)
    if not any(o.domain == "ai.onnx.ml" for o in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 1))
    assert_same(model, graph_of(model))


def test_max_pool_with_more_padding_than_onnxruntime_takes() -> None:
    """torch writes ceil_mode so; its values are those of the same pooling without the surplus."""

    def pooled(bottom: int) -> onnx.ModelProto:
        m = ModelBuilder(17)
        m.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, bottom, 1], output="y")
        return m.build({"x": [1, 3, 7, 7]}, ["y"], opset=17)

    wide, plain = graph_of(pooled(2)), pooled(1)
    inputs = random_inputs(plain)
    from tests.frontends.onnx_runs import run_graph

    (wanted,) = session(plain).run(None, inputs)
    actual: Array = run_graph(wide, inputs)["y"]
    np.testing.assert_array_equal(actual, wanted)
