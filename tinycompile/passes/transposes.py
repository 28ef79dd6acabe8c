"""Moves transposes: below the ops that can work in another layout, above those at an input, into weights."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinycompile.ir import Op, Shape
from tinycompile.ops import (
    ArgMax,
    Concat,
    Dense,
    Gather,
    LogSoftmax,
    PadOp,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    Transpose,
    Unary,
)  # fmt: skip
from tinycompile.ops.broadcast import Broadcast
from tinycompile.passes.rewrite import Sweep, permuted

Perm = tuple[int, ...]


def inverse(perm: Perm) -> Perm:
    """The permutation that undoes ``perm``."""
    return tuple(int(i) for i in np.argsort(perm))


def moves_bytes(shape: Shape, perm: Perm) -> bool:
    """Whether permuting a tensor of ``shape`` changes the order of its elements (axes of extent 1 are free)."""
    order = [axis for axis in perm if shape[axis] > 1]
    return order != sorted(order)


# One that sinks


def sink_transpose(op: Op, s: Sweep) -> Op | None:
    """Below an op that can work on the transposed input: op(T(x)) becomes T(op(x))."""
    found = next((t for t in map(s.producer, op.inputs) if isinstance(t, Transpose)), None)
    if found is None or isinstance(op, Transpose) or waits_at_input(found.inputs[0], s):
        return None
    if isinstance(op, Reshape):
        return _through_reshape(op, found, s)
    if isinstance(op, (Broadcast, Concat)):
        return _through_join(op, found, s)
    changes = _attributes(op, found.perm)
    if changes is None:
        return None
    return _below(op, found.perm, (found.inputs[0], *op.inputs[1:]), changes, s)


def _below(op: Op, perm: Perm, inputs: tuple[str, ...], changes: dict[str, Any], s: Sweep) -> Op:
    """``op`` on other inputs, with the transpose behind it."""
    fields = {k: v for k, v in vars(op).items() if k not in ("name", "inputs", "output")}
    dtype = s.tensors[op.output].dtype
    inner = s.emit(type(op), inputs, f"{op.output}/inner", s.tensors[op.output].quant, **{**fields, **changes})
    s.tensors[inner] = s.tensors[inner].like(dtype=dtype)
    return Transpose(s.fresh(f"{op.name}/transpose"), (inner,), op.output, perm=perm)


def _attributes(op: Op, perm: Perm) -> dict[str, Any] | None:
    """Fields of ``op`` that change when its input comes untransposed; None where it cannot."""
    back = inverse(perm)
    if isinstance(op, Unary):
        return {}
    if isinstance(op, (Softmax, LogSoftmax, Dense)):
        return {} if perm[-1] == len(perm) - 1 else None
    if isinstance(op, Slice):
        return {k: permuted(getattr(op, k), back) for k in ("starts", "stops", "steps")}
    if isinstance(op, PadOp):
        return {k: permuted(getattr(op, k), back) for k in ("before", "after")}
    if isinstance(op, Gather):
        return {"axis": perm[op.axis]}
    if isinstance(op, ArgMax) and op.keepdims:
        return {"axis": perm[op.axis]}
    if isinstance(op, Reduce) and op.keepdims:
        return {"axes": tuple(sorted(perm[a] for a in op.axes))}
    return None


def _through_join(op: Op, found: Transpose, s: Sweep) -> Op | None:
    """Several inputs: the others get the inverse transpose, if that moves fewer bytes in all."""
    perm, back = found.perm, inverse(found.perm)
    rank = len(perm)
    if any(len(s.tensors[n].shape) != rank for n in op.inputs):
        return None
    before = sum(s.tensors[n].nbytes for n in set(op.inputs) if isinstance(s.producer(n), Transpose))
    inserted = sum(_cost(n, perm, s) for n in set(op.inputs))
    after = inserted + s.tensors[op.output].nbytes
    if after > before and inserted > 0:
        return None
    if inserted and after >= before:
        return None
    inputs = tuple(_untransposed(n, perm, back, s) for n in op.inputs)
    return _below(op, perm, inputs, {"axis": perm[op.axis]} if isinstance(op, Concat) else {}, s)


def _cost(name: str, perm: Perm, s: Sweep) -> int:
    """Bytes that the inverse transpose of an operand moves."""
    tensor, op = s.tensors[name], s.producer(name)
    if tensor.data is not None or (isinstance(op, Transpose) and op.perm == perm):
        return 0
    if name in s.graph.inputs and s.uses[name] == 1:
        return 0
    return tensor.nbytes if moves_bytes(tensor.shape, inverse(perm)) else 0


def _untransposed(name: str, perm: Perm, back: Perm, s: Sweep) -> str:
    tensor, op = s.tensors[name], s.producer(name)
    if isinstance(op, Transpose) and op.perm == perm:
        return op.inputs[0]
    if tensor.data is not None:
        return s.put(name, tensor.data.transpose(back), tensor.quant)
    if moves_bytes(tensor.shape, back):
        return s.emit(Transpose, (name,), f"{name}/transposed", tensor.quant, perm=back)
    return s.emit(Reshape, (name,), f"{name}/view", tensor.quant, shape=permuted(tensor.shape, back))


def _through_reshape(op: Reshape, found: Transpose, s: Sweep) -> Op | None:
    """R(T(x)) as T'(R'(x)), where every axis that T moves stays whole in R or is only split or merged in place."""
    groups = axis_groups(s.tensors[op.inputs[0]].shape, op.shape)
    spans = []
    for sources, targets in groups:
        axes = [found.perm[i] for i in sources]
        if axes != list(range(axes[0], axes[0] + len(axes))):
            return None
        spans.append((axes[0], targets))
    order = sorted(range(len(spans)), key=lambda i: spans[i][0])
    shape = tuple(op.shape[t] for i in order for t in spans[i][1])
    placed = [t for i in order for t in spans[i][1]]
    perm = tuple(placed.index(t) for t in range(len(op.shape)))
    quant = s.tensors[op.output].quant
    inner = s.emit(Reshape, found.inputs, f"{op.output}/inner", quant, shape=shape)
    return Transpose(op.name, (inner,), op.output, perm=perm)


def axis_groups(source: Shape, target: Shape) -> list[tuple[list[int], list[int]]]:
    """The finest pairing of consecutive axes of two shapes such that paired axes hold the same elements."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(source) or j < len(target):
        left, right = [], []
        if i < len(source):
            left, i = [i], i + 1
        if j < len(target) and left:
            right, j = [j], j + 1
        while prod(source[k] for k in left) != prod(target[k] for k in right):
            if prod(source[k] for k in left) < prod(target[k] for k in right) and i < len(source):
                left, i = [*left, i], i + 1
            elif j < len(target):
                right, j = [*right, j], j + 1
            else:
                break
        if not left:
            groups[-1][1].extend(range(j, len(target)))
            break
        groups.append((left, right))
    return groups


# One behind ops that start at an input


def waits_at_input(name: str, s: Sweep) -> bool:
    """Whether a transpose of this tensor will become part of the input's port."""
    return name in s.graph.inputs and s.readers[name] == 1


def hoist_transpose(op: Op, s: Sweep) -> Op | None:
    """T(op(input)) becomes op(T(input)): above an input's first ops, a transpose is absorbed by the port."""
    if not isinstance(op, Transpose):
        return None
    chain: list[Op] = []
    name = op.inputs[0]
    while not waits_at_input(name, s):
        before = s.producer(name)
        if before is None or s.readers[name] != 1 or name in s.graph.outputs or not _flexible(before, s):
            return None
        chain.insert(0, before)
        name = next(n for n in before.inputs if s.tensors[n].data is None)
    if not chain:
        return None
    value = s.emit(Transpose, (name,), f"{name}/transposed", s.tensors[name].quant, perm=op.perm)
    back = inverse(op.perm)
    for index, step in enumerate(chain):
        inputs = tuple(value if s.tensors[n].data is None else _turned(n, op.perm, s) for n in step.inputs)
        changes = {} if isinstance(step, Broadcast) else _attributes(step, back) or {}
        if index == len(chain) - 1:
            return replace(step, name=op.name, inputs=inputs, output=op.output, **changes)
        fields = {k: v for k, v in vars(step).items() if k not in ("name", "inputs", "output")}
        quant = s.tensors[step.output].quant
        value = s.emit(type(step), inputs, f"{step.output}/inner", quant, **{**fields, **changes})
    return None


def _turned(constant: str, perm: Perm, s: Sweep) -> str:
    return s.put(constant, s.tensors[constant].values.transpose(perm), s.tensors[constant].quant)


def _flexible(op: Op, s: Sweep) -> bool:
    """Whether the op works in every layout, on one activation of as many axes as its result."""
    if isinstance(op, Broadcast):
        rank = len(s.tensors[op.output].shape)
        activations = [n for n in op.inputs if s.tensors[n].data is None]
        return len(activations) == 1 and all(len(s.tensors[n].shape) == rank for n in op.inputs)
    return isinstance(op, (Unary, Slice, PadOp, Gather))


# One that meets a dense layer


def permute_weights(op: Op, s: Sweep) -> Op | None:
    """Dense(flatten(T(x))) as Dense(flatten(x)) with the columns of its weights permuted."""
    flat = s.producer(op.inputs[0]) if isinstance(op, Dense) else None
    turn = s.producer(flat.inputs[0]) if isinstance(flat, Reshape) else None
    if flat is None or not isinstance(turn, Transpose):
        return None
    weights = s.tensors[op.inputs[1]]
    turned = s.tensors[turn.output]
    columns = weights.shape[-1]
    if columns != turned.size or weights.data is None:
        return None
    if {s.tensors[turn.output].quant, s.tensors[flat.output].quant} - {None, s.tensors[turn.inputs[0]].quant}:
        return None
    back = (0, *(1 + axis for axis in inverse(turn.perm)))
    values = weights.data.reshape(-1, *turned.shape).transpose(back).reshape(weights.shape)
    quant, shape = s.tensors[turn.inputs[0]].quant, s.tensors[flat.output].shape
    view = s.emit(Reshape, turn.inputs, f"{flat.output}/flat", quant, shape=shape)
    return replace(op, inputs=(view, s.put(weights.name, values, weights.quant), *op.inputs[2:]))
