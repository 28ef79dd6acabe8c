"""The shared ONNX files: imported and optimised graphs compute what ONNX Runtime computes, without transposes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import corpus
from tests.frontends.onnx_runs import run_graph, session
from tinycompile import frontends, passes
from tinycompile.ir import Graph
from tinycompile.ops import Transpose

pytestmark = pytest.mark.corpus

FILES = corpus("*.onnx")
ids = pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
TRANSFORMER = "tiny_vit"
"""The one family whose meaning needs transposes: attention heads."""


def optimised(path: Path) -> Graph:
    """The graph; dynamic extents are those of the reference inputs."""
    with np.load(path.with_suffix(".ref.npz")) as ref:
        shapes = {k.removeprefix("in0/"): ref[k].shape for k in ref.files if k.startswith("in0/")}
    return passes.optimize(frontends.load(path, input_shapes=shapes))


@ids
def test_equals_the_reference(path: Path) -> None:
    """Float files against their stored outputs, quantised ones exactly against the file run node by node."""
    graph = optimised(path)
    with np.load(path.with_suffix(".ref.npz")) as ref:
        for i in range(4):
            inputs = {name: ref[f"in{i}/{name}"] for name in graph.inputs}
            outputs = run_graph(graph, inputs)
            exact = next(iter(inputs.values())).dtype == np.int8
            wanted = (
                dict(zip(graph.outputs, session(path.read_bytes()).run(list(graph.outputs), inputs), strict=True))
                if exact
                else {name: ref[f"out{i}/{name}"] for name in graph.outputs}
            )
            for name, values in wanted.items():
                assert outputs[name].shape == values.shape
                if exact:
                    np.testing.assert_array_equal(outputs[name], values)
                else:
                    bound = 1e-5 * float(np.abs(values).max())
                    np.testing.assert_allclose(outputs[name], values, rtol=0, atol=bound, err_msg=name)


@ids
def test_no_transposes_are_left(path: Path) -> None:
    if path.stem.startswith(TRANSFORMER):
        pytest.skip("attention permutes heads: its transposes are in the model's meaning")
    assert not [op.name for op in optimised(path).ops if isinstance(op, Transpose)]


@ids
def test_names_of_inputs_and_outputs_stay(path: Path) -> None:
    graph, wanted = optimised(path), session(path.read_bytes())
    assert list(graph.inputs) == [i.name for i in wanted.get_inputs()]
    assert list(graph.outputs) == [o.name for o in wanted.get_outputs()]


def test_the_corpus_is_there() -> None:
    assert len(FILES) >= 18


def test_a_wrong_weight_is_found() -> None:
    """The comparison can fail."""
    path = next(p for p in FILES if p.stem == "mlperf_kws_dscnn")
    graph = optimised(path)
    weights = graph.tensors[graph.ops[0].inputs[1]]
    changed = graph.with_tensors(weights.like(data=np.roll(weights.values, 1, axis=0)))
    with np.load(path.with_suffix(".ref.npz")) as ref:
        inputs = {name: ref[f"in0/{name}"] for name in graph.inputs}
        assert np.abs(run_graph(changed, inputs)["output"] - ref["out0/output"]).max() > 1e-3
