"""From a float graph and the quantisation of its activations to the int8 graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tinycompile.ir import Array, DType, Graph, Op, Quant, Tensor
from tinycompile.ops.instance_norm import InstanceNorm
from tinycompile.quantize.constants import (
    accumulator_quant,
    fine_quant,
    kept_bias,
    quantized_bias,
    quantized_weights,
)


def integer_graph(graph: Graph, quants: Mapping[str, Quant]) -> Graph:
    """``graph`` with int8 activations and weights and int32 biases; ``quants`` names every float activation.

    An op that shares a constant with another gets its own, unless both need the same integers.
    """
    tensors = {name: _activation(t, quants.get(name)) for name, t in graph.tensors.items()}
    taken: dict[str, Tensor] = {name: tensors[name] for name in quants}
    ops = []
    for op in graph.ops:
        for constant in _constants(op, graph, quants):
            name = constant.name
            if taken.setdefault(name, constant) != constant or _is_shared_bias(op, name, graph):
                name = f"{constant.name}.{op.name}"
            op = replace(op, inputs=tuple(name if n == constant.name else n for n in op.inputs))
            tensors[name] = replace(constant, name=name)
        ops.append(op)
    return graph.with_ops(ops, tensors)


def _is_shared_bias(op: Op, name: str, graph: Graph) -> bool:
    """Biases are corrected op by op, so no two ops share one."""
    return op.role(op.inputs.index(name)) == "bias" and len(graph.consumers()[name]) > 1


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
    name = next(n for i, n in enumerate(op.inputs) if op.role(i) == "activation")
    scale = (quants.get(name) or graph.tensors[name].q).scalar
    integers = quantized_weights(weights, scale, None if bias is None else bias.real)
    if bias is None:
        return [integers]
    quant = _bias_quant(op, scale, integers, bias.real)
    if kept_bias(bias, quant):
        return [integers, replace(bias, quant=quant)]
    return [integers, quantized_bias(bias.name, bias.real, quant)]


def _bias_quant(op: Op, input_scale: float, weights: Tensor, real: Array) -> Quant:
    """What one unit of an op's bias is worth."""
    return fine_quant(real) if isinstance(op, InstanceNorm) else accumulator_quant(input_scale, weights)


def with_bias(graph: Graph, op: Op, real: Array) -> tuple[Op, Tensor]:
    """``op`` of an int8 graph with this bias (real values), added where it has none, and the bias."""
    names = {op.role(i): name for i, name in enumerate(op.inputs)}
    name = names.get("bias", f"{op.name}.bias")
    changed = op if "bias" in names else replace(op, inputs=(*op.inputs, name))
    scale, weights = graph.tensors[names["activation"]].q.scalar, graph.tensors[names["weight"]]
    return changed, quantized_bias(name, real, _bias_quant(op, scale, weights, real))
