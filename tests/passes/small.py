"""Graphs of a few ops, made by hand, and the check that a pass keeps what they compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.frontends.onnx_runs import run_graph
from tinycompile.ir import Array, Graph, Op, Quant, Shape, Tensor, verify


class GraphBuilder:
    """Adds ops one by one; tensors are named by number."""

    def __init__(self, *shapes: Shape, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs = [f"x{i}" for i in range(len(shapes))]
        self.tensors = {n: Tensor(n, s) for n, s in zip(self.inputs, shapes, strict=True)}
        self.ops: list[Op] = []

    def constant(self, *shape: int) -> str:
        """Random values."""
        return self.values(self.rng.normal(0, 1, shape))

    def values(self, values: Any) -> str:
        """Given values, float32."""
        name = f"c{len(self.tensors)}"
        self.tensors[name] = Tensor.constant(name, np.asarray(values, np.float32))
        return name

    def add(self, op_type: type[Op], /, *inputs: str, quant: Quant | None = None, **fields: Any) -> str:
        """Append an op; returns its output."""
        name = f"t{len(self.tensors)}"
        op = op_type(name, inputs, name, **fields)
        self.ops.append(op)
        self.tensors[name] = Tensor(name, op.infer(*(self.tensors[i] for i in inputs)), quant=quant)
        return name

    def build(self, *outputs: str) -> Graph:
        """The verified graph."""
        return verify(Graph("small", tuple(self.inputs), outputs, tuple(self.ops), self.tensors))


def outputs(graph: Graph, seed: int = 0) -> list[Array]:
    """What the graph computes in float32 from random inputs in the file's layout."""
    rng = np.random.default_rng(seed)
    inputs = {n: rng.normal(0, 3, graph.port(n).shape).astype(np.float32) for n in graph.inputs}
    found = run_graph(graph, inputs)
    return [found[n] for n in graph.outputs]


def applied(run: Callable[[Graph], Graph], graph: Graph) -> Graph:
    """The graph after the pass, which must be valid and compute the same."""
    after = verify(run(graph), run.__name__)
    for seed in range(3):
        for actual, wanted in zip(outputs(after, seed), outputs(graph, seed), strict=True):
            bound = 2e-5 * max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=bound)
    return after


def kinds(graph: Graph) -> list[str]:
    """Names of the ops' classes, in order."""
    return [type(op).__name__ for op in graph.ops]
