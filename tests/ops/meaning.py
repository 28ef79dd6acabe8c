"""The float meaning of a one-op graph, by ONNX Runtime, to hold the integer specification against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tinycompile.ir import Array, DType, Graph
from tinycompile.simulate import reference


class Writer:
    """Collects the nodes that ``to_onnx`` writes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, op_type: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        name = output or f"node_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
        return name

    def constant(self, values: Array) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name


def float_outputs(graph: Graph, inputs: dict[str, Array]) -> dict[str, Array]:
    """What ONNX Runtime computes in float32 from the real values of integer ``inputs``."""
    w = Writer()
    for op in graph.ops:
        op.to_onnx(graph.io(op), w)
    constants = [t for t in graph.tensors.values() if t.data is not None]
    w.initializers += [numpy_helper.from_array(t.real, t.name) for t in constants]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, graph.tensors[n].shape) for n in graph.inputs]
    kinds = {DType.INT32: TensorProto.INT32}
    ends = [graph.tensors[n] for n in graph.outputs]
    outs = [helper.make_tensor_value_info(t.name, kinds.get(t.dtype, TensorProto.FLOAT), t.shape) for t in ends]
    model = helper.make_model(
        helper.make_graph(w.nodes, "g", infos, outs, w.initializers), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    feeds = {n: graph.tensors[n].q.decode(a) for n, a in inputs.items()}
    return dict(zip(graph.outputs, session.run(list(graph.outputs), feeds), strict=True))


def assert_close_to_float(graph: Graph, inputs: Sequence[dict[str, Array]], steps: float | None = None) -> None:
    """The specification's output is within ``steps`` quantisation steps of the saturated float result.

    By default half a step, which is what rounding costs, and a quarter more where TensorFlow Lite rounds twice.
    Float32 itself is only exact to some 2^-20 of the largest sum, which adds to the bound.
    """
    steps = steps or (0.51 if graph.rounding == "native" else 0.76)
    for values in inputs:
        expected = float_outputs(graph, values)
        for name, actual in reference(graph, values).items():
            quant = graph.tensors[name].q
            ideal = expected[name].astype(np.float64) / quant.scalar + quant.zero_point
            error = np.abs(np.clip(ideal, -128, 127) - actual)
            slack = np.abs(ideal) * 1e-5
            assert (error <= steps + slack).all(), f"{error.max():.3f} steps off in {graph}"
