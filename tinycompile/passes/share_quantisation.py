"""Ops that only move data share one quantisation, wherever the file wrote it."""

from __future__ import annotations

from tinycompile.ir import Graph, Op, Tensor


def share_quantisation(graph: Graph) -> Graph:
    """A tensor that an annotated one was moved to, or is moved to, takes its parameters if it has none."""
    tensors = dict(graph.tensors)
    users = graph.consumers()
    for op in graph.ops:
        if op.moves_data and len(_activations(op, tensors)) == 1:
            _give(tensors, op.inputs[0], op.output)
    for op in reversed(graph.ops):
        if not op.moves_data:
            continue
        for tensor in _activations(op, tensors):
            if len(users[tensor.name]) == 1 and tensor.name not in graph.outputs:
                _give(tensors, op.output, tensor.name)
    return graph.with_ops(graph.ops, tensors)


def _activations(op: Op, tensors: dict[str, Tensor]) -> list[Tensor]:
    return [tensors[n] for n in dict.fromkeys(op.inputs) if tensors[n].data is None]


def _give(tensors: dict[str, Tensor], source: str, target: str) -> None:
    if tensors[target].quant is None:
        tensors[target] = tensors[target].like(quant=tensors[source].quant)
