"""Every TensorFlow Lite operator: a file of one operator, imported and run, equals LiteRT's reference kernel."""

from __future__ import annotations

import numpy as np
import pytest

from tests.equality import check, noise
from tests.frontends.litert import LiteRt
from tests.frontends.tflite_cases import CASES, Rng
from tinycompile.frontends import tflite
from tinycompile.ir import Array
from tinycompile.simulate import reference

TRIALS = 6


def run_both(content: bytes, rng: Rng) -> list[tuple[Array, Array]]:
    """(ours, LiteRT's) for each output, on inputs that use the whole range."""
    graph = tflite.convert(tflite.parse(content, "one"))
    assert graph.rounding == "tflite" and graph.is_quantized
    inputs = {n: rng.integers(-128, 128, graph.tensors[n].shape).astype(np.int8) for n in graph.inputs}
    theirs = LiteRt(content)(*inputs.values())
    ours = reference(graph, inputs)
    return list(zip((ours[n] for n in graph.outputs), theirs, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_equals_litert(name: str) -> None:
    rng = np.random.default_rng(sorted(CASES).index(name))
    for _ in range(TRIALS):
        for ours, theirs in run_both(CASES[name](rng), rng):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_c_equals_the_specification() -> None:
    graphs = [tflite.convert(tflite.parse(case(np.random.default_rng(3)), name)) for name, case in CASES.items()]
    single = [graph for graph in graphs if len(graph.ops) == 1 and not graph.ops[0].alias]
    assert len(single) > 40
    assert check([(graph, noise(graph)) for graph in single]) >= len(single)
