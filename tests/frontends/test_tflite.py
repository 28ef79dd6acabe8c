"""What a TensorFlow Lite file becomes: ports, types, folded shapes; and what is refused, with which words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.frontends.tflite_cases import CASES
from tests.frontends.tflite_file import Node, T, build, constant
from tinycompile.errors import ImportFailed, UnsupportedOp
from tinycompile.frontends import tflite
from tinycompile.ir import DType, Graph, Quant
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.unary import Unary
from tinycompile.simulate import reference

X, Y = (0.05, 3), (0.04, -7)
CONV = {"StrideW": 1, "StrideH": 1, "DilationWFactor": 1, "DilationHFactor": 1}


def imported(content: bytes, **shapes: tuple[int, ...]) -> Graph:
    return tflite.convert(tflite.parse(content, "model"), shapes)


def test_float_input_and_output_become_int8() -> None:
    tensors = [T((1, 8), "float32"), T((1, 8), "int8", *X), T((1, 8), "int8", *Y), T((1, 8), "float32")]
    nodes = [Node("QUANTIZE", (0,), (1,)), Node("RELU", (1,), (2,)), Node("DEQUANTIZE", (2,), (3,))]
    graph = imported(build(tensors, nodes, (0,), (3,)))
    assert [type(op) for op in graph.ops] == [Unary]
    assert (graph.inputs, graph.outputs) == (("t0",), ("t3",))
    assert graph.port("t0").dtype == graph.port("t3").dtype == "float32"
    assert graph.tensors["t0"].dtype is DType.INT8
    assert graph.tensors["t0"].quant == Quant.per_tensor(float(np.float32(0.05)), 3)
    assert graph.tensors["t3"].quant == Quant.per_tensor(float(np.float32(0.04)), -7)


def test_uint8_input_is_shifted_without_an_op() -> None:
    tensors = [T((1, 8), "uint8", 0.05, 131), T((1, 8), "int8", *X), T((1, 8), "int8", *Y)]
    graph = imported(build(tensors, [Node("QUANTIZE", (0,), (1,)), Node("RELU", (1,), (2,))], (0,), (2,)))
    assert [type(op) for op in graph.ops] == [Unary]
    assert graph.port("t0").dtype == "uint8"
    assert graph.tensors["t0"].zero_point == 3


def test_uint8_model_means_the_same() -> None:
    rng = np.random.default_rng(0)
    w = rng.integers(0, 256, (4, 3, 3, 2))
    b = rng.integers(-500, 500, 4)
    tensors = [
        T((1, 6, 6, 2), "uint8", 0.02, 120), constant(w, "uint8", scale=0.01, zero=130),
        constant(b, "int32", scale=0.0002), T((1, 6, 6, 4), "uint8", 0.03, 100),
    ]  # fmt: skip
    graph = imported(build(tensors, [Node("CONV_2D", (0, 1, 2), (3,), "Conv2DOptions", CONV)], (0,), (3,)))
    x = rng.integers(0, 256, (1, 6, 6, 2))
    ours = reference(graph, {"t0": (x - 128).astype(np.int8)})["t3"].astype(int) + 128
    padded = np.pad((x - 120) * 0.02, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[0]
    real = np.einsum("yxchw,ohwc->yxo", windows, (w - 130) * 0.01) + b * 0.0002
    assert np.abs(ours[0] - np.clip(real / 0.03 + 100, 0, 255)).max() < 0.51


@pytest.mark.parametrize("axis", [0, 3])
def test_axis_of_weight_scales_is_the_output_channels(axis: int) -> None:
    """Old converters wrote the wrong axis for some weights."""
    w = constant(np.ones((2, 1, 1, 3)), "int8", scale=(0.01, 0.02), axis=axis)
    tensors = [T((1, 4, 4, 3), "int8", *X), w, T((1, 4, 4, 2), "int8", *Y)]
    graph = imported(build(tensors, [Node("CONV_2D", (0, 1, -1), (2,), "Conv2DOptions", CONV)], (0,), (2,)))
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    assert graph.tensors[op.inputs[1]].q.axis == 0


def test_shape_arithmetic_folds() -> None:
    tensors = [
        T((1, 4, 6), "int8", *X), T((3,), "int32"), constant([0]), constant([1]), constant([1]), T((), "int32"),
        constant(-1), T((2,), "int32"), T((1, 24), "int8", *X),
    ]  # fmt: skip
    nodes = [
        Node("SHAPE", (0,), (1,), "ShapeOptions"),
        Node("STRIDED_SLICE", (1, 2, 3, 4), (5,), "StridedSliceOptions", {"ShrinkAxisMask": 1}),
        Node("PACK", (5, 6), (7,), "PackOptions", {"ValuesCount": 2, "Axis": 0}),
        Node("RESHAPE", (0, 7), (8,), "ReshapeOptions"),
    ]
    graph = imported(build(tensors, nodes, (0,), (8,)))
    assert [type(op) for op in graph.ops] == [Reshape]
    assert set(graph.tensors) == {"t0", "t8"}


def test_float_file_is_a_float_graph() -> None:
    tensors = [T((1, 4), "float32"), constant(np.ones((3, 4)), "float32"), T((1, 3), "float32")]
    graph = imported(build(tensors, [Node("FULLY_CONNECTED", (0, 1, -1), (2,))], (0,), (2,)))
    assert graph.rounding == "native"
    assert {t.dtype for t in graph.tensors.values()} == {DType.FLOAT32}


def test_input_that_is_an_output_is_copied() -> None:
    graph = imported(build([T((1, 8), "int8", *X), T((1, 8), "int8", *Y)], [Node("RELU", (0,), (1,))], (0,), (1, 0)))
    x = np.arange(8, dtype=np.int8)[None]
    assert len(set(graph.outputs)) == 2
    np.testing.assert_array_equal(reference(graph, {"t0": x})[graph.outputs[1]], x)


def test_concatenation_requantizes_what_has_another_scale() -> None:
    tensors = [T((1, 2), "int8", 0.1, 0), T((1, 2), "int8", 0.2, 0), T((1, 4), "int8", 0.2, 0)]
    node = Node("CONCATENATION", (0, 1), (2,), "ConcatenationOptions", {"Axis": 1})
    graph = imported(build(tensors, [node], (0, 1), (2,)))
    inputs = {"t0": np.array([[10, 20]], np.int8), "t1": np.array([[10, 20]], np.int8)}
    np.testing.assert_array_equal(reference(graph, inputs)["t2"], [[5, 10, 10, 20]])


def test_no_model() -> None:
    with pytest.raises(ImportFailed, match="TFL3"):
        tflite.parse(b"\x08\x07\x12\x08pytorch and so on", "model")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match=r"none\.tflite"):
        tflite.load(tmp_path / "none.tflite")


@pytest.mark.parametrize("kept", [9, 40, 200, 0.5, 0.9])
def test_truncated(kept: float) -> None:
    content = CASES["conv"](np.random.default_rng(0))
    with pytest.raises((ImportFailed, UnsupportedOp)):
        imported(content[: int(kept if kept > 1 else kept * len(content))])


def test_all_unsupported_operators_at_once() -> None:
    tensors = [T((1, 8), "int8", *X)] * 4
    nodes = [Node("LSTM", (0,), (1,)), Node("RELU", (1,), (2,)), Node("TOPK_V2", (2,), (3,))]
    with pytest.raises(UnsupportedOp) as caught:
        imported(build(tensors, nodes, (0,), (3,)))
    assert [p.op for p in caught.value.problems] == ["LSTM", "TOPK_V2"]
    assert "t1" in str(caught.value)


def test_float_in_the_middle_is_named() -> None:
    tensors = [T((1, 8), "int8", *X), T((1, 8), "float32"), T((1, 8), "float32"), T((1, 8), "int8", *Y)]
    nodes = [Node("DEQUANTIZE", (0,), (1,)), Node("RELU", (1,), (2,)), Node("QUANTIZE", (2,), (3,))]
    with pytest.raises(UnsupportedOp, match="RELU 't2': computes in float32"):
        imported(build(tensors, nodes, (0,), (3,)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dtype": "int16"}, "int16"),
        ({"scale": None}, "no quantisation parameters"),
        ({"scale": 0.0}, "not a positive number"),
        ({"scale": (0.1, 0.2)}, "2 scales instead of one"),
        ({"zero": 300}, "zero point 300"),
        ({"shape": (1, 9)}, "declares"),
    ],
)
def test_impossible_output(change: dict[str, object], words: str) -> None:
    tensors = [T((1, 8), "int8", *X), replace(T((1, 8), "int8", *Y), **change)]  # type: ignore[arg-type]
    with pytest.raises(UnsupportedOp, match=words):
        imported(build(tensors, [Node("RELU", (0,), (1,))], (0,), (1,)))


def test_constant_of_the_wrong_size_is_named() -> None:
    w = replace(constant(np.ones((2, 1, 1, 3)), "int8", scale=0.01), shape=(2, 1, 1, 4))
    tensors = [T((1, 4, 4, 4), "int8", *X), w, T((1, 4, 4, 2), "int8", *Y)]
    with pytest.raises(UnsupportedOp, match=r"'t1' .*needs 8 bytes, the file holds 6"):
        imported(build(tensors, [Node("CONV_2D", (0, 1, -1), (2,), "Conv2DOptions", CONV)], (0,), (2,)))


def test_read_before_written() -> None:
    tensors = [T((1, 8), "int8", *X), T((1, 8), "int8", *Y), T((1, 8), "int8", *Y)]
    with pytest.raises(UnsupportedOp, match="reads tensor 't2' before anything writes it"):
        imported(build(tensors, [Node("ADD", (0, 2), (1,), "AddOptions"), Node("RELU", (1,), (2,))], (0,), (2,)))


def test_input_shapes_may_only_agree() -> None:
    content = build([T((1, 8), "int8", *X), T((1, 8), "int8", *Y)], [Node("RELU", (0,), (1,))], (0,), (1,))
    assert imported(content, t0=(1, 8)).inputs == ("t0",)
    with pytest.raises(ImportFailed, match="does not suit input 't0'"):
        imported(content, t0=(1, 9))
    with pytest.raises(ImportFailed, match="no input 'other'"):
        imported(content, other=(1, 8))


def test_every_operator_has_a_rule_and_a_test() -> None:
    table = tflite.operator_table()
    assert table.count("\n") == len(table.splitlines()) > 50
    assert "| CONV_2D | int8 or uint8, constant weights" in table
