"""Graphs to ONNX: the float meaning of every op, in the graph's own layout, for ONNX Runtime to run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from tinycompile.ir import Array, DType, Graph, Op, Quant, Tensor

OPSET = 17
IR_VERSION = 8
RAW = "/unquantized"
"""Suffix of an activation's name before its quantisation is applied to it."""


def save(graph: Graph, path: Path | str) -> None:
    """Write ``to_model(graph)`` to a file."""
    Path(path).write_bytes(to_model(graph).SerializeToString())


def to_model(graph: Graph, all_tensors: bool = False) -> onnx.ModelProto:
    """A float32 ONNX model (opset 17) with the graph's tensor names and layout; labels are int32.

    A tensor with a quantisation goes through QuantizeLinear and DequantizeLinear, so the model computes what the
    annotated graph means; integer constants are written as the real values they stand for. ``all_tensors`` makes
    every activation an output, in the order of the ops.
    """
    writer = _Writer(graph)
    for name in graph.inputs:
        writer.quantized(graph.tensors[name])
    for op in graph.ops:
        writer.op(op)
    produced = [op.output for op in graph.ops]
    outputs = list(dict.fromkeys([*graph.outputs, *produced])) if all_tensors else list(graph.outputs)
    constants = [numpy_helper.from_array(_constant(t), t.name) for t in graph.tensors.values() if t.data is not None]
    onnx_graph = helper.make_graph(
        writer.nodes,
        graph.name,
        [_info(graph.tensors[name]) for name in graph.inputs],
        [_info(graph.tensors[name]) for name in outputs],
        [*constants, *writer.initializers],
    )
    return helper.make_model(
        onnx_graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="tinycompile"
    )


class _Writer:
    """An ``ir.OnnxWriter``: collects nodes, and gives intermediate values names the graph does not use."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._renamed = {n for n in graph.inputs if graph.tensors[n].quant is not None}
        self._count = 0

    def fresh(self) -> str:
        self._count += 1
        name = f"_{self._count}"
        return name if name not in self.graph.tensors else self.fresh()

    def node(self, op_type: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        output = output or self.fresh()
        self.nodes.append(helper.make_node(op_type, inputs, [output], f"{op_type}_{len(self.nodes)}", **attributes))
        return output

    def constant(self, values: ArrayLike) -> str:
        name = self.fresh()
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def op(self, op: Op) -> None:
        """Write one op; where its output is quantised, it first writes a tensor of another name."""
        inputs = tuple(n + RAW if n in self._renamed else n for n in op.inputs)
        out = self.graph.tensors[op.output]
        if out.quant is None:
            replace(op, inputs=inputs).to_onnx(self.graph.io(op), self)
            return
        replace(op, inputs=inputs, output=op.output + RAW).to_onnx(self.graph.io(op), self)
        self._round_trip(op.output + RAW, op.output, out.quant)

    def quantized(self, tensor: Tensor) -> None:
        """Round an input of the graph to its quantisation; consumers read the result, which has the other name."""
        if tensor.quant is not None:
            self._round_trip(tensor.name, tensor.name + RAW, tensor.quant)

    def _round_trip(self, x: str, y: str, quant: Quant) -> None:
        parameters = [self.constant(np.float32(quant.scalar)), self.constant(np.int8(quant.zero_point))]
        self.node("DequantizeLinear", [self.node("QuantizeLinear", [x, *parameters]), *parameters], y)


def _constant(tensor: Tensor) -> Array:
    values = tensor.real
    return values.astype(np.float32) if values.dtype != np.int32 or tensor.quant else values


def _info(tensor: Tensor) -> onnx.ValueInfoProto:
    kind = TensorProto.INT32 if tensor.dtype is DType.INT32 else TensorProto.FLOAT
    return helper.make_tensor_value_info(tensor.name, kind, tensor.shape)
