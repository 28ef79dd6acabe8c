"""Settles the layout: transposes sink until they cancel, meet an op that needs them, or reach a port.

Front ends import ops in the file's layout, with transposes around those that need channels last. Here a
transpose moves below every op that can work in the other layout, two that meet become one, and graph inputs and
outputs absorb theirs into their ``Port``. What is left is in the model's meaning. Reshapes, which cost nothing,
sink too, so that neighbours come together that later passes fuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinycompile.ir import Graph, Op, Shape
from tinycompile.ops import Reshape, Transpose
from tinycompile.passes.reshapes import sink_reshape, unit_places
from tinycompile.passes.rewrite import Sweep, permuted, rewrite
from tinycompile.passes.transposes import (
    Perm,
    hoist_transpose,
    inverse,
    moves_bytes,
    permute_weights,
    sink_transpose,
)  # fmt: skip


def settle_layout(graph: Graph) -> Graph:
    """The graph with as few transposes as its meaning needs."""
    rules = (cancel, share_view, hoist_transpose, sink_transpose, sink_reshape, permute_weights)
    while True:
        graph = rewrite(graph, *rules)
        absorbed = absorb_outputs(absorb_inputs(graph))
        if absorbed is graph:
            return graph
        graph = absorbed


# Two that meet


def cancel(op: Op, s: Sweep) -> Op | str | None:
    """Compose transposes and reshapes, drop identities, and make transposes of unit axes reshapes."""
    if not isinstance(op, (Transpose, Reshape)):
        return None
    source, out = s.tensors[op.inputs[0]], s.tensors[op.output]
    before = s.producer(source.name)
    if isinstance(op, Transpose):
        if not moves_bytes(source.shape, op.perm):
            return Reshape(op.name, op.inputs, op.output, shape=out.shape)
        if isinstance(before, Transpose) and _same_quant(s, source.name, before.inputs[0]):
            return replace(op, inputs=before.inputs, perm=permuted(before.perm, op.perm))
    elif isinstance(before, Reshape) and _same_quant(s, source.name, before.inputs[0]):
        return replace(op, inputs=before.inputs)
    elif source.shape == out.shape:
        return s.identity(op, source.name)
    return None


def share_view(op: Op, s: Sweep) -> Op | str | None:
    """Two reshapes of one tensor to the same shape are one."""
    if not isinstance(op, Reshape):
        return None
    out = s.tensors[op.output]
    for other in s.ops.values():
        if isinstance(other, Reshape) and other.inputs == op.inputs:
            known = s.tensors[other.output]
            if known.shape == out.shape and known.quant == out.quant:
                return s.identity(op, known.name)
    return None


def _same_quant(s: Sweep, a: str, b: str) -> bool:
    """A tensor between two ops that move data may go where it adds no rounding of its own."""
    return s.tensors[a].quant in (None, s.tensors[b].quant)


# Those that reach a port


def absorb_inputs(graph: Graph) -> Graph:
    """Inputs that are only read through one transpose are given in that layout."""
    users = graph.consumers()
    for name in graph.inputs:
        views = [view for op in users[name] for view in _views(op, graph, users)]
        perms = {perm for _, perm in views}
        if len(perms) != 1 or name in graph.outputs:
            continue
        (perm,) = perms
        if perm is None:
            continue
        port, tensor = graph.port(name), graph.tensors[name]
        ports = {**graph.ports, name: replace(port, perm=permuted(port.perm, perm))}
        read = {op.name: Reshape(op.name, (name,), op.output, shape=graph.tensors[op.output].shape) for op, _ in views}
        ops = [read.get(op.name, op) for op in graph.ops if op.name in read or name not in op.inputs]
        tensors = {**graph.tensors, name: tensor.like(shape=permuted(tensor.shape, perm))}
        return absorb_inputs(graph.with_ops(ops, tensors, ports=ports))
    return graph


def _views(op: Op, graph: Graph, users: Mapping[str, list[Op]]) -> list[tuple[Op, Perm | None]]:
    """The ops through which a reader of an input is read, and what each does to the input's axes (None: more than
    permute them): the reader itself, or the transposes behind a reshape that only adds or drops axes of extent 1."""
    perm = _as_transpose(op, graph)
    source, target = graph.tensors[op.inputs[0]].shape, graph.tensors[op.output]
    places = unit_places(source, target.shape) if isinstance(op, Reshape) and perm is None else None
    behind = users[op.output]
    same = target.quant in (None, graph.tensors[op.inputs[0]].quant) and op.output not in graph.outputs
    if places is None or not same or not behind or not all(isinstance(t, Transpose) for t in behind):
        return [(op, perm)]
    return [
        (t, _on_long_axes(source, [places[i] for i in t.perm if i in places]))
        for t in behind
        if isinstance(t, Transpose)
    ]


def _on_long_axes(shape: Shape, order: Sequence[int]) -> Perm | None:
    """The permutation that puts the axes longer than 1 into this order; None where it changes nothing."""
    long = iter(order)
    perm = tuple(next(long) if extent > 1 else i for i, extent in enumerate(shape))
    return perm if perm != tuple(range(len(shape))) else None


def _as_transpose(op: Op, graph: Graph) -> Perm | None:
    """The permutation that ``op`` is; a reshape that only moves axes of extent 1 is one as well."""
    if isinstance(op, Transpose):
        return op.perm
    source, target = graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape
    places = unit_places(source, target)
    if not isinstance(op, Reshape) or len(source) != len(target) or source == target or places is None:
        return None
    units = iter(i for i in range(len(source)) if source[i] == 1)
    return tuple(places[i] if i in places else next(units) for i in range(len(target)))


def absorb_outputs(graph: Graph) -> Graph:
    """Outputs that are only transposes are given in the layout before them."""
    producers, users = graph.producers(), graph.consumers()
    for name in graph.outputs:
        op = producers.get(name)
        perm = _as_transpose(op, graph) if op is not None else None
        if op is None or perm is None or users[name]:
            continue
        source = graph.tensors[op.inputs[0]]
        if source.name not in producers or source.name in graph.outputs:
            continue
        if graph.tensors[name].quant not in (None, source.quant):
            continue
        port = graph.port(name)
        ports = {**graph.ports, name: replace(port, perm=permuted(port.perm, inverse(perm)))}
        return absorb_outputs(_renamed_output(graph, op, ports))
    return graph


def _renamed_output(graph: Graph, dropped: Op, ports: dict[str, Any]) -> Graph:
    """The graph without ``dropped``: its input takes over the name of its output."""
    old, new = dropped.inputs[0], dropped.output
    ops = []
    for op in graph.ops:
        if op is not dropped:
            inputs = [new if n == old else n for n in op.inputs]
            ops.append(replace(op, inputs=tuple(inputs), output=new if op.output == old else op.output))
    tensors = {**graph.tensors, new: graph.tensors[old].like(name=new)}
    return graph.with_ops(ops, tensors, ports=ports)
