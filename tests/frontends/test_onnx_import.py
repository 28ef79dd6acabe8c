"""What the ONNX front end makes of small models: every opset, every spelling, quantised forms, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tests.frontends.onnx_models import FLOAT, INT64, MODELS, ModelBuilder, conv_net, residual_net, shapes_net
from tests.frontends.onnx_runs import assert_same, graph_of, random_inputs
from tinycompile import frontends, passes
from tinycompile.errors import ImportFailed, UnsupportedOp
from tinycompile.frontends import onnx as frontend
from tinycompile.frontends.onnx.export import save, to_model
from tinycompile.frontends.onnx.reader import OPSETS
from tinycompile.frontends.onnx.registry import IMPORTERS, operator_table
from tinycompile.ir import Array
from tinycompile.ops import ArgMax, Conv2D, Dense, ImageDense, Reshape, Slice, Transpose


@pytest.mark.parametrize("name", MODELS)
def test_small_models(name: str) -> None:
    model = MODELS[name]()
    assert_same(model, graph_of(model))


@pytest.mark.parametrize("name", MODELS)
def test_import_of_an_export_is_the_identity(name: str, tmp_path: Path) -> None:
    graph = graph_of(MODELS[name]())
    save(graph, tmp_path / "again.onnx")
    again = passes.optimize(frontends.load(tmp_path / "again.onnx"))
    shape = [(type(op), [again.tensors[n].shape for n in op.inputs]) for op in again.ops]
    assert shape == [(type(op), [graph.tensors[n].shape for n in op.inputs]) for op in graph.ops]


def spelled(opset: int) -> onnx.ModelProto:
    """Operators whose inputs became attributes or back, as this opset spells them."""
    m = ModelBuilder(opset)

    def listed(name: str, since: int, values: list[int]) -> tuple[tuple[str, ...], dict[str, list[int]]]:
        return ((m.integers(*values),), {}) if opset >= since else ((), {name: values})

    inputs, fields = listed("pads", 11, [0, 0, 1, 0, 0, 0, 1, 2])
    x = m.node("Pad", "x", *inputs, **fields)
    x = m.node("Conv", x, m.random(6, 3, 3, 3), m.random(6))
    x = m.node("Clip", x, m.constant(0), m.constant(1)) if opset >= 11 else m.node("Clip", x, min=0.0, max=1.0)
    x = m.node("Dropout", x)
    if opset >= 10:
        x = m.node("Slice", x, m.integers(1), m.integers(5), m.integers(2))
    else:
        x = m.node("Slice", x, starts=[1], ends=[5], axes=[2])
    if opset in (7, 8):
        x = m.node("Upsample", x, scales=[1.0, 1.0, 2.0, 2.0], mode="nearest")
    elif opset == 9:
        x = m.node("Upsample", x, m.constant([1, 1, 2, 2]), mode="nearest")
    elif opset == 10:
        x = m.node("Resize", x, m.constant([1, 1, 2, 2]), mode="nearest")
    else:
        x = m.node("Resize", x, m.constant([]), m.constant([1, 1, 2, 2]), mode="linear")
    inputs, fields = listed("split", 13, [2, 4])
    m.node("Split", x, *inputs, output="part", count=2, axis=1, **fields)
    inputs, fields = listed("axes", 18, [2])
    x = m.node("ReduceMean", "part_1", *inputs, keepdims=1, **fields)
    inputs, fields = listed("axes", 13, [2])
    x = m.node("Squeeze", x, *inputs, **fields)
    x = m.node("Flatten", x)
    x = m.node("Gemm", x, m.random(4 * 16, 5), m.random(5), alpha=0.5, beta=2.0)
    m.node("Softmax", x, output="y")
    return m.build({"x": [1, 3, 8, 8]}, ["y"], opset=opset)


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset(opset: int) -> None:
    model = spelled(opset)
    assert_same(model, graph_of(model))


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Four random inputs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.inputs = iter([random_inputs(model, seed) for seed in range(4)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self.inputs, None)


@pytest.mark.parametrize("activations", [QuantType.QInt8, QuantType.QUInt8], ids=["int8", "uint8"])
@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=["qdq", "qoperator"])
@pytest.mark.parametrize("name", [n for n in MODELS if n != "quantised_net"])
def test_models_quantised_by_onnxruntime(name: str, form: QuantFormat, activations: QuantType, tmp_path: Path) -> None:
    """Exact to the last bit, and every parameter of the file is kept on a tensor."""
    model = MODELS[name]()
    source, target = tmp_path / "float.onnx", tmp_path / "quantised.onnx"
    onnx.save(model, source)
    quantize_static(
        source, target, Reader(model), quant_format=form, activation_type=activations,
        weight_type=QuantType.QInt8, per_channel=True,
    )  # fmt: skip
    quantised = onnx.load(target)
    graph = graph_of(quantised)
    assert_same(quantised, graph, tolerance=1e-6)
    linear = [op for op in graph.ops if isinstance(op, (Conv2D, Dense))]
    kept = [op for op in linear if graph.tensors[op.inputs[1]].quant is not None]
    assert kept and len(kept) >= len(linear) - 1, "weights lost their quantisation"


def test_quantised_constants_keep_their_parameters() -> None:
    m = ModelBuilder()
    scale, zero = m.constant(0.05), m.constant(3, np.int8)
    values = m.constant(m.rng.integers(-100, 100, (1, 4, 1, 1)), np.int8)
    c = m.node("DequantizeLinear", values, m.constant(0.03), m.constant(5, np.int8))
    y = m.node("Add", m.node("DequantizeLinear", "x", scale, zero), c)
    m.node("QuantizeLinear", y, scale, zero, output="y")
    model = m.build({"x": [1, 4, 5, 5]}, ["y"], dtype=TensorProto.INT8, out=TensorProto.INT8)
    graph = graph_of(model)
    assert_same(model, graph)
    (addend,) = (t for t in graph.tensors.values() if t.data is not None)
    assert addend.q.scalar == pytest.approx(0.03) and addend.zero_point == 5


def test_batch_is_one_and_shape_arithmetic_folds() -> None:
    graph = graph_of(shapes_net())
    assert graph.tensors["x"].shape == (1, 5, 5, 2)
    assert [type(op) for op in graph.ops] == [Conv2D, ImageDense, Reshape]


def test_dynamic_extents_are_asked_for() -> None:
    model = conv_net()
    dim = model.graph.input[0].type.tensor_type.shape.dim
    dim[2].dim_param = dim[3].dim_param = "size"
    with pytest.raises(ImportFailed, match=r"'x'.*1x3x\?x\?") as caught:
        graph_of(model)
    assert "--input-shape x:1x3x?x?" in caught.value.hint
    assert graph_of(model, {"x": (1, 3, 16, 16)}).tensors["x"].shape == (1, 16, 16, 3)
    with pytest.raises(ImportFailed, match="does not suit"):
        graph_of(model, {"x": (1, 4, 16, 16)})
    with pytest.raises(ImportFailed, match="no input 'z'"):
        graph_of(model, {"z": (1, 3, 16, 16)})


def test_all_unsupported_operators_at_once() -> None:
    m = ModelBuilder()
    x = m.node("LSTM", "x", m.random(1, 8, 2), m.random(1, 8, 2), hidden_size=2)
    x = m.node("Einsum", x, equation="abcd->abdc")
    z = m.node("MaxPool", "x", kernel_shape=[1, 1, 1])
    z = m.node("Convv", z)
    m.node("Concat", x, z, output="y", axis=0)
    with pytest.raises(UnsupportedOp) as caught:
        graph_of(m.build({"x": [4, 1, 2]}, ["y"]))
    assert [p.op for p in caught.value.problems] == ["LSTM", "Einsum", "MaxPool", "Convv"]
    assert "Conv" in caught.value.problems[3].nearest and caught.value.problems[2].nearest.startswith("1-D and 2-D")
    assert "node_1" in str(caught.value)


def test_second_outputs_are_refused_only_where_read() -> None:
    m = ModelBuilder()
    m.node("MaxPool", "x", output="y", count=2, kernel_shape=[2, 2])
    assert graph_of(m.build({"x": [1, 2, 4, 4]}, ["y"])).outputs == ("y",)
    with pytest.raises(UnsupportedOp, match="'y_1' is not supported"):
        graph_of(m.build({"x": [1, 2, 4, 4]}, ["y", "y_1"]))


def test_cyclic_graphs() -> None:
    model = conv_net()
    model.graph.node[0].input[0] = model.graph.node[3].output[0]
    with pytest.raises(ImportFailed, match="cycle"):
        graph_of(model)


def test_tensors_that_nothing_writes() -> None:
    model = conv_net()
    model.graph.node[0].input[0] = "missing"
    with pytest.raises(ImportFailed, match="'missing', which nothing writes"):
        graph_of(model)


def test_nodes_out_of_order_are_sorted() -> None:
    model = residual_net()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert len(graph_of(model).ops) == len(graph_of(residual_net()).ops)


@pytest.mark.parametrize("dims", [[2**40], [-1, 3], [1, 2**20, 2**20], [1] * 9])
def test_absurd_shapes(dims: list[int]) -> None:
    model = conv_net()
    model.graph.initializer[0].dims[:] = dims
    with pytest.raises(ImportFailed, match="impossible shape"):
        graph_of(model)


def test_absurd_constants_are_not_made() -> None:
    m = ModelBuilder()
    big = m.node("ConstantOfShape", m.integers(1 << 20, 1 << 20))
    m.node("Add", "x", big, output="y")
    with pytest.raises(UnsupportedOp, match="elements; the limit is"):
        graph_of(m.build({"x": [1, 4]}, ["y"]))


def test_many_large_constants_are_not_made() -> None:
    m = ModelBuilder()
    x = "x"
    for _ in range(8):
        x = m.node("Add", x, m.node("Cast", m.node("ConstantOfShape", m.integers(1 << 12, 1 << 12)), to=FLOAT))
    m.node("Relu", x, output="y")
    with pytest.raises(UnsupportedOp, match="of constants in all"):
        graph_of(m.build({"x": [1, 1]}, ["y"]))


@pytest.mark.parametrize("factor", [(1, 6, 4), (6, 4), (6,)])
def test_constant_factors(factor: tuple[int, ...]) -> None:
    m = ModelBuilder()
    m.node("MatMul", "x", m.random(*factor), output="y")
    model = m.build({"x": [1, 5, 6]}, ["y"])
    graph = graph_of(model)
    assert_same(model, graph)
    assert isinstance(graph.ops[0], Dense)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08", b"\x00" * 100, b"PK\x03\x04" * 50])
def test_files_that_are_no_models(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ImportFailed, match=r"model\.onnx"):
        frontends.load(path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="cannot be read"):
        frontends.load(tmp_path / "none.onnx")


def test_opsets_outside_the_range() -> None:
    model = conv_net()
    model.opset_import[0].version = 6
    with pytest.raises(ImportFailed, match="opset 6; 7 to 23"):
        graph_of(model)


def test_wrong_attribute_types() -> None:
    model = conv_net()
    model.graph.node[0].attribute[0].CopyFrom(helper.make_attribute(model.graph.node[0].attribute[0].name, "text"))
    with pytest.raises(UnsupportedOp, match="wrong type"):
        graph_of(model)


def with_external_data(location: str) -> onnx.ModelProto:
    """The weights of the first convolution in a file of their own."""
    model = conv_net()
    weights = model.graph.initializer[0]
    weights.data_location = TensorProto.EXTERNAL
    weights.ClearField("raw_data")
    for key, value in {"location": location, "offset": "4", "length": str(4 * 8 * 3 * 9)}.items():
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    return model


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    data = numpy_helper.to_array(conv_net().graph.initializer[0])
    (tmp_path / "weights.bin").write_bytes(b"pad!" + data.tobytes())
    (tmp_path / "model.onnx").write_bytes(with_external_data("weights.bin").SerializeToString())
    assert frontends.load(tmp_path / "model.onnx") == frontend.convert(
        frontend.parse(conv_net().SerializeToString(), tmp_path / "model.onnx")
    )


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "", "none.bin", "link.bin"])
def test_external_data_elsewhere_is_refused(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(4 * 8 * 3 * 9 + 4))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    (folder / "model.onnx").write_bytes(with_external_data(location).SerializeToString())
    with pytest.raises(ImportFailed, match="external data"):
        frontends.load(folder / "model.onnx")


def test_class_names_go_to_the_port() -> None:
    m = ModelBuilder()
    scores = m.node("Gemm", "x", m.random(4, 3))
    index = m.node("ArgMax", scores, axis=1)
    labels = m.constant([10, 20, 70], np.int64)
    label = m.node("ArrayFeatureExtractor", labels, index, domain="ai.onnx.ml")
    m.node("Cast", m.node("Reshape", label, m.integers(-1)), output="y", to=INT64)
    graph = graph_of(m.build({"x": [1, 4]}, ["y"], out=INT64))
    assert graph.port("y").classes == (10, 20, 70) and graph.port("y").dtype == "int64"
    assert any(isinstance(op, ArgMax) for op in graph.ops)


def test_uint8_images_are_read_as_quantised() -> None:
    """A graph that starts by casting bytes to float reads the bytes themselves."""
    m = ModelBuilder()
    x = m.node("Cast", "x", to=FLOAT)
    x = m.node("Mul", x, m.constant(1 / 255))
    m.node("Conv", x, m.random(2, 3, 3, 3), output="y")
    graph = graph_of(m.build({"x": [1, 3, 6, 6]}, ["y"], dtype=TensorProto.UINT8))
    quant = graph.tensors["x"].q
    assert (quant.scalar, quant.zero_point, graph.port("x").dtype) == (1.0, -128, "uint8")
    assert [type(op) for op in graph.ops] == [Conv2D]


def test_split_becomes_slices_and_layout_is_absorbed() -> None:
    graph = graph_of(MODELS["moving_net"]())
    assert sum(isinstance(op, Slice) for op in graph.ops) == 3
    assert not any(isinstance(op, Transpose) for op in graph.ops)
    assert graph.port("x").perm == graph.port("y").perm == (0, 2, 3, 1)


def test_every_rule_is_a_sentence_of_the_page() -> None:
    page = operator_table()
    for entry in IMPORTERS.values():
        assert len(entry.rule) > 5 and entry.op_type in page
    assert len(IMPORTERS) > 100


def test_export_gives_every_tensor_as_an_output() -> None:
    graph = graph_of(residual_net())
    names = [o.name for o in to_model(graph, all_tensors=True).graph.output]
    assert set(names) == {op.output for op in graph.ops}
