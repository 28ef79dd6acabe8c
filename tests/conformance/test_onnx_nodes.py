"""Every ONNX node test of an operator that is read, through import, passes and export, equals what it should."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.conformance import node_cases
from tests.conformance.node_cases import Case
from tinycompile import passes
from tinycompile.errors import ImportFailed, TinycompileError, UnsupportedOp
from tinycompile.frontends import onnx as frontend
from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.export import to_model
from tinycompile.ir import Array, DType, Graph

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

EXPECTED = tomllib.loads((Path(__file__).parent / "expected.toml").read_text())["onnx"]
"""Node tests that do not pass, and why."""


def imported(case: Case) -> Graph:
    """The case as a graph, with as few inputs as constants as its importer wants."""
    floats = [n for n, x in case.inputs.items() if x.dtype == np.float32 and x.size > 1]
    others = [n for n in case.inputs if n not in floats]
    first = next(iter(case.inputs), "")
    problem: TinycompileError | None = None
    for constants in (others, [n for n in case.inputs if n != first], list(case.inputs)[:-1]):
        try:
            return frontend.convert(frontend.parse(case.with_constants(constants).SerializeToString(), Path(case.name)))
        except TinycompileError as error:
            if problem is None or "must be a constant" in str(problem):
                problem = error
    assert problem is not None
    raise problem


def folded(case: Case) -> dict[str, Array] | None:
    """The outputs, where the case folds because all it reads are constants or shapes; None elsewhere."""
    for constants in (list(case.inputs), []):
        model = frontend.parse(case.with_constants(constants).SerializeToString(), Path(case.name))
        builder = Builder(model, {})
        with contextlib.suppress(TinycompileError):
            builder.run()
        if all(name in builder.known for name in case.outputs):
            return {name: builder.known[name] for name in case.outputs}
    return None


def outputs(case: Case, graph: Graph) -> dict[str, Array]:
    """What ONNX Runtime computes from the exported graph, in the file's layout and type."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    model = to_model(graph)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    feeds = {}
    for name in graph.inputs:
        value = case.inputs[name]
        if value.size == 0:
            raise ImportFailed("its input is empty")
        quant = graph.tensors[name].quant
        if value.dtype == np.uint8:
            value = (value.astype(np.int16) - 128).astype(np.int8)
        feeds[name] = graph.port(name).to_graph(quant.decode(value) if quant else value.astype(np.float32))
    results = session.run(list(graph.outputs), feeds)
    return {n: _in_file(graph, n, np.asarray(y)) for n, y in zip(graph.outputs, results, strict=True)}


def _in_file(graph: Graph, name: str, value: Array) -> Array:
    port, quant = graph.port(name), graph.tensors[name].quant
    value = port.to_file(value)
    if port.dtype in ("int8", "uint8") and quant is not None:
        encoded = quant.encode(value, DType.INT8)
        return encoded if port.dtype == "int8" else (encoded.astype(np.int16) + 128).astype(np.uint8)
    return value


def failure(name: str) -> str:
    """Why the case does not pass; "" where it does."""
    case = node_cases.cases()[name]
    actuals: dict[str, Array] = {}
    try:
        actuals = outputs(case, passes.optimize(imported(case)))
    except TinycompileError as error:
        problem = error.problems[0].why if isinstance(error, UnsupportedOp) else error.what
        with contextlib.suppress(TinycompileError):
            actuals = folded(case) or {}
        if not actuals:
            return problem
    for output, actual in actuals.items():
        wanted = case.outputs[output]
        if wanted.size != actual.size:
            return f"shape {actual.shape} instead of {wanted.shape}"
        tolerance = 1 if wanted.dtype in (np.int8, np.uint8) else 1e-4
        if wanted.dtype.kind not in "fiub":
            if not np.array_equal(actual, wanted):
                return "the values differ"
        elif not np.allclose(_numbers(actual).reshape(wanted.shape), _numbers(wanted), 1e-3, tolerance, equal_nan=True):
            return "the values differ"
    return ""


def _numbers(x: Array) -> Array:
    return x.astype(np.float64)


@pytest.mark.parametrize("name", list(node_cases.cases()))
def test_node(name: str) -> None:
    """Passes, unless expected.toml gives the reason why it does not; then it must still fail."""
    assert bool(failure(name)) == (name in EXPECTED), failure(name) or "passes now: take it out of expected.toml"
