"""From a float graph and the quantisation of its activations to the int8 graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tinycompile.ir import Array, DType, Graph, Op, Quant, Tensor
from tinycompile.quantize.constants import kept_bias, quantized_bias, quantized_weights


def integer_graph(graph: Graph, quants: Mapping[str, Quant]) -> Graph:
    """``graph`` with int8 activations and weights and int32 biases; ``quants`` names every float activation.

    Each op gets weights and bias of its own where it shares them with another op: their scales depend on its
    input.
    """
    tensors = {name: _activation(t, quants.get(name)) for name, t in graph.tensors.items()}
    shared = {name for name, users in graph.consumers().items() if len(users) > 1}
    ops = []
    for op in graph.ops:
        for constant in _constants(op, graph, quants):
            name = f"{constant.name}.{op.name}" if constant.name in shared else constant.name
            op = replace(op, inputs=tuple(name if n == constant.name else n for n in op.inputs))
            tensors[name] = replace(constant, name=name)
        ops.append(op)
    return graph.with_ops(ops, tensors)


def _activation(tensor: Tensor, quant: Quant | None) -> Tensor:
    if quant is None or tensor.dtype is not DType.FLOAT32:
        return tensor
    data = None if tensor.data is None else quant.encode(tensor.data, DType.INT8)
    return replace(tensor, dtype=DType.INT8, quant=quant, data=data)


def _constants(op: Op, graph: Graph, quants: Mapping[str, Quant]) -> list[Tensor]:
    """The integer weights and bias of ``op``; none for ops without weights."""
    roles = {op.role(i): graph.tensors[name] for i, name in enumerate(op.inputs)}
    weights, bias = roles.get("weight"), roles.get("bias")
    if weights is None:
        return []
    scale = input_quant(op, graph, quants).scalar
    integers = quantized_weights(weights, scale, None if bias is None else bias.real)
    if bias is None:
        return [integers]
    if kept_bias(bias, scale, integers):
        exact = Quant(tuple(scale * s for s in integers.q.scale), 0, integers.q.axis)
        return [integers, replace(bias, quant=exact)]
    return [integers, quantized_bias(bias.name, bias.real, scale, integers)]


def input_quant(op: Op, graph: Graph, quants: Mapping[str, Quant]) -> Quant:
    """The quantisation of the activation that an op with weights reads."""
    name = next(n for i, n in enumerate(op.inputs) if op.role(i) == "activation")
    return quants[name] if name in quants else graph.tensors[name].q


def with_bias(graph: Graph, op: Op, real: Array) -> tuple[Op, Tensor]:
    """``op`` of an int8 graph with this bias (real values), added where it has none, and the bias."""
    names = {op.role(i): name for i, name in enumerate(op.inputs)}
    scale = graph.tensors[names["activation"]].q.scalar
    name = names.get("bias", f"{op.name}.bias")
    changed = op if "bias" in names else replace(op, inputs=(*op.inputs, name))
    return changed, quantized_bias(name, real, scale, graph.tensors[names["weight"]])
