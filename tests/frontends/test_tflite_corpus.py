"""The shared int8 TensorFlow Lite files: every layer equals LiteRT's reference kernels bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tflite as schema

from tests.conftest import corpus
from tests.frontends.litert import LiteRt
from tinycompile.frontends import tflite
from tinycompile.ir import Array, Graph
from tinycompile.simulate import reference

pytestmark = pytest.mark.corpus

FILES = corpus("*_int8.tflite")
ids = pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])


def inputs_of(path: Path, graph: Graph, count: int) -> list[dict[str, Array]]:
    """Quantised inputs of the file's reference data, where it has some, then random ones over the whole range."""
    (name,) = graph.inputs
    tensor = graph.tensors[name]
    found = []
    data = path.with_name(path.name.replace("_int8.tflite", ".ref.npz"))
    if data.exists():
        with np.load(data) as arrays:
            for key in sorted(k for k in arrays if k.startswith("in")):
                x = arrays[key]
                if x.ndim == 4 and x.size == tensor.size and x.shape != tensor.shape:
                    x = x.transpose(0, 2, 3, 1)
                if x.size == tensor.size:
                    found.append({name: tensor.q.encode(x.reshape(tensor.shape), tensor.dtype)})
    rng = np.random.default_rng(0)
    found += [{name: rng.integers(-128, 128, tensor.shape).astype(np.int8)} for _ in range(count)]
    return found


def repaired(content: bytes) -> bytes:
    """The file with the axis of every bias's scales at 0: old converters wrote 3, which LiteRT refuses."""
    data = bytearray(content)
    graph = schema.Model.GetRootAs(data, 0).Subgraphs(0)
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        quant = tensor.Quantization()
        field = quant._tab.Offset(QUANTIZED_DIMENSION) if quant else 0
        if field and tensor.ShapeLength() == 1:
            data[quant._tab.Pos + field : quant._tab.Pos + field + 4] = bytes(4)
    return bytes(data)


QUANTIZED_DIMENSION = 16
"""Where a QuantizationParameters table keeps its seventh field, in its vtable."""


@ids
def test_imports_and_runs(path: Path) -> None:
    graph = tflite.load(path)
    assert graph.rounding == "tflite" and graph.is_quantized
    outputs = reference(graph, inputs_of(path, graph, 1)[0])
    assert set(outputs) == set(graph.outputs)


@ids
def test_every_layer_equals_litert(path: Path) -> None:
    graph = tflite.load(path)
    if graph.port(graph.inputs[0]).dtype != "int8":
        pytest.skip("float32 input: compared by its output below")
    litert = LiteRt(repaired(path.read_bytes()))
    compared = 0
    for x in inputs_of(path, graph, 3):
        theirs = litert(*x.values())
        layers = litert.tensors()
        for name, ours in reference(graph, x, every=True).items():
            if name in layers:
                np.testing.assert_array_equal(ours, layers[name], err_msg=name)
                compared += 1
        for name, values in zip(graph.outputs, theirs, strict=True):
            np.testing.assert_array_equal(reference(graph, x)[name], values)
    assert compared >= 3 * (len(graph.ops) - 1)


@ids
def test_output_of_float_files_equals_litert(path: Path) -> None:
    graph = tflite.load(path)
    (name,) = graph.inputs
    if graph.port(name).dtype != "float32":
        pytest.skip("int8 input: compared layer by layer above")
    litert = LiteRt(path.read_bytes())
    for x in inputs_of(path, graph, 2):
        (theirs,) = litert(graph.tensors[name].q.decode(x[name]))
        output = graph.tensors[graph.outputs[0]]
        ours = output.q.decode(reference(graph, x)[output.name])
        np.testing.assert_array_equal(ours, theirs)


def test_the_corpus_is_there() -> None:
    assert len(FILES) >= 9


def test_a_wrong_weight_is_found() -> None:
    """The comparison can fail: after a change of one layer's weights its output is another."""
    path = next(p for p in FILES if "kws" in p.name)
    graph = tflite.load(path)
    x = inputs_of(path, graph, 1)[-1]
    litert = LiteRt(path.read_bytes())
    litert(*x.values())
    first = graph.ops[0]
    weights = graph.tensors[first.inputs[1]]
    changed = graph.with_tensors(weights.like(data=np.roll(weights.values, 1, axis=0)))
    ours = reference(changed, x, every=True)[first.output]
    assert not np.array_equal(ours, litert.tensors()[first.output])
