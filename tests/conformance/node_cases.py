"""The node tests that the onnx package ships: one operator each, with inputs and the expected outputs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from tinycompile.frontends.onnx.reader import OPSETS
from tinycompile.frontends.onnx.registry import IMPORTERS
from tinycompile.ir import Array


@dataclass(frozen=True)
class Case:
    """One node test; ``inputs`` and ``outputs`` are the arrays of its first data set, by name."""

    name: str
    model: onnx.ModelProto
    inputs: dict[str, Array]
    outputs: dict[str, Array]

    def with_constants(self, names: list[str]) -> onnx.ModelProto:
        """The model with some inputs given as initializers, as exporters write weights, axes and shapes."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        kept = [i for i in model.graph.input if i.name not in names]
        del model.graph.input[:]
        model.graph.input.extend(kept)
        model.graph.initializer.extend(numpy_helper.from_array(self.inputs[n], n) for n in names)
        for opset in model.opset_import:
            if opset.domain == "":
                opset.version = min(max(opset.version, OPSETS[0]), OPSETS[-1])
        return model


@cache
def cases() -> dict[str, Case]:
    """Node tests of operators that are read, by name; expansions of functions into several nodes are left out."""
    state = np.random.get_state()
    np.random.seed(0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    np.random.set_state(state)
    return {c.name: _case(c) for c in found if _is_read(c.model) and "_expanded" not in c.name and c.data_sets}


TYPES = {
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BOOL, TensorProto.STRING, TensorProto.INT8,
    TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64,
    TensorProto.UINT64,
}  # fmt: skip
"""Element types that NumPy has; floats of 8 bits or less and integers of 4 or less are outside the scope."""


def _is_read(model: onnx.ModelProto) -> bool:
    nodes, values = model.graph.node, [*model.graph.input, *model.graph.output]
    types = {v.type.tensor_type.elem_type for v in values}
    return len(nodes) == 1 and (nodes[0].domain, nodes[0].op_type) in IMPORTERS and types <= TYPES


def _case(test: Any) -> Case:
    inputs, outputs = test.data_sets[0]
    return Case(test.name, test.model, _named(test.model.graph.input, inputs), _named(test.model.graph.output, outputs))


def _named(values: Any, arrays: Any) -> dict[str, Array]:
    return {v.name: _array(x) for v, x in zip(values, arrays, strict=True)}


def _array(value: Any) -> Array:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
