"""Runs an ONNX model, and the graph it became, on the same inputs in ONNX Runtime without its optimisations.

(The optimised int8 kernels of ONNX Runtime saturate products on some x86 cores and then give other values.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from tinycompile import passes
from tinycompile.frontends import onnx as frontend
from tinycompile.frontends.onnx.export import to_model
from tinycompile.ir import Array, DType, Graph, Shape


def session(model: onnx.ModelProto | bytes) -> onnxruntime.InferenceSession:
    """A session of one thread that computes node by node what the model says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


def graph_of(model: onnx.ModelProto, shapes: dict[str, Shape] | None = None) -> Graph:
    """The model imported and optimised."""
    return passes.optimize(frontend.convert(frontend.parse(model.SerializeToString(), Path("small.onnx")), shapes))


def run_graph(graph: Graph, inputs: dict[str, Array]) -> dict[str, Array]:
    """The graph's outputs for inputs in the file's layout and type, in the file's layout and type."""
    feeds = {name: real(graph, name, x) for name, x in inputs.items()}
    results = session(to_model(graph)).run(list(graph.outputs), feeds)
    return {name: in_file(graph, name, np.asarray(y)) for name, y in zip(graph.outputs, results, strict=True)}


def real(graph: Graph, name: str, x: Array) -> Array:
    """An input of the file as real values in the graph's layout."""
    quant = graph.tensors[name].quant
    if x.dtype == np.uint8:
        x = (x.astype(np.int16) - 128).astype(np.int8)
    y = graph.port(name).to_graph(x)
    return quant.decode(y) if quant is not None and y.dtype == np.int8 else y.astype(np.float32)


def in_file(graph: Graph, name: str, y: Array) -> Array:
    """An output of the graph as the file has it."""
    port, quant = graph.port(name), graph.tensors[name].quant
    y = port.to_file(y)
    if quant is None or port.dtype not in ("int8", "uint8"):
        return y
    encoded = quant.encode(y, DType.INT8)
    return encoded if port.dtype == "int8" else (encoded.astype(np.int16) + 128).astype(np.uint8)


def random_inputs(model: onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Inputs of every declared shape (batch 1 where it is open)."""
    rng = np.random.default_rng(seed)
    constants = {t.name for t in model.graph.initializer}
    found: dict[str, Array] = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.elem_type == onnx.TensorProto.INT8:
            found[value.name] = rng.integers(-128, 128, shape).astype(np.int8)
        else:
            found[value.name] = rng.normal(0, 2, shape).astype(np.float32)
    return found


def assert_same(model: onnx.ModelProto, graph: Graph, tolerance: float = 1e-5) -> None:
    """Model and graph compute the same, relative to the largest value; integers exactly."""
    for seed in range(3):
        inputs = random_inputs(model, seed)
        wanted = dict(zip([o.name for o in model.graph.output], session(model).run(None, inputs), strict=True))
        actual = run_graph(graph, inputs)
        assert set(actual) == set(wanted)
        for name, values in wanted.items():
            assert actual[name].shape == values.shape
            bound = 0 if values.dtype == np.int8 else tolerance * max(1.0, float(np.abs(values).max()))
            np.testing.assert_allclose(actual[name].astype(np.float64), values, rtol=0, atol=bound, err_msg=name)
