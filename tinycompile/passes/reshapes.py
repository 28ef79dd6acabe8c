"""Reshapes sink below elementwise ops, so that an op and the function of its result become neighbours."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tinycompile.ir import Op, Shape
from tinycompile.ops import Concat, PadOp, Reshape, Slice, Unary
from tinycompile.ops.broadcast import Broadcast
from tinycompile.passes.rewrite import Sweep

Places = dict[int, int]
"""For the axes of a reshaped tensor that are longer than 1: the axis before the reshape."""


def sink_reshape(op: Op, s: Sweep) -> Op | None:
    """op(R(x)) becomes R(op(x)), where the op can work on the other shape."""
    found = next((r for r in map(s.producer, op.inputs) if isinstance(r, Reshape)), None)
    if found is None or s.tensors[found.output].quant not in (None, s.tensors[found.inputs[0]].quant):
        return None
    if isinstance(op, Unary):
        return _below(op, found.inputs, {}, s)
    places = unit_places(s.tensors[found.inputs[0]].shape, found.shape)
    if places is None:
        return None
    source = s.tensors[found.inputs[0]].shape
    if isinstance(op, Broadcast):
        return _through_broadcast(op, found, places, source, s)
    if isinstance(op, (PadOp, Slice)):
        return _through_window(op, found, places, source, s)
    if isinstance(op, Concat):
        return _through_concat(op, places, source, s)
    return None


def unit_places(source: Shape, target: Shape) -> Places | None:
    """Where the long axes of ``target`` are in ``source``; None unless the shapes differ in axes of 1 alone."""
    before = [i for i, d in enumerate(source) if d > 1]
    after = [i for i, d in enumerate(target) if d > 1]
    if [source[i] for i in before] != [target[i] for i in after]:
        return None
    return dict(zip(after, before, strict=True))


def _below(op: Op, inputs: tuple[str, ...], changes: dict[str, Any], s: Sweep) -> Op:
    own = {f.name: getattr(op, f.name) for f in fields(op) if f.name not in ("name", "inputs", "output")}
    out = s.tensors[op.output]
    inner = s.emit(type(op), inputs, f"{op.output}/inner", out.quant, **{**own, **changes})
    return Reshape(s.fresh(f"{op.name}/reshape"), (inner,), op.output, shape=out.shape)


def _through_broadcast(op: Op, found: Reshape, places: Places, source: Shape, s: Sweep) -> Op | None:
    """Every operand must have a free form in the other shape: a constant, or a reshape that this one undoes."""
    if s.tensors[op.output].shape != found.shape:
        return None
    inputs = []
    for name in op.inputs:
        moved = _operand(name, found, places, source, s)
        if moved is None:
            return None
        inputs.append(moved)
    return _below(op, tuple(inputs), {}, s)


def _operand(name: str, found: Reshape, places: Places, source: Shape, s: Sweep) -> str | None:
    if name == found.output:
        return found.inputs[0]
    tensor, op = s.tensors[name], s.producer(name)
    if len(tensor.shape) != len(found.shape):
        return None
    wanted = [1] * len(source)
    for axis, extent in enumerate(tensor.shape):
        if extent > 1:
            if axis not in places:
                return None
            wanted[places[axis]] = extent
    shape = tuple(wanted)
    if tensor.data is not None:
        return s.put(name, tensor.data.reshape(shape), tensor.quant)
    if isinstance(op, Reshape) and s.tensors[op.inputs[0]].shape == shape:
        return op.inputs[0] if tensor.quant in (None, s.tensors[op.inputs[0]].quant) else None
    if name in s.graph.inputs and found.inputs[0] not in s.graph.inputs:
        return s.emit(Reshape, (name,), f"{name}/view", tensor.quant, shape=shape)
    return None


def _through_window(op: PadOp | Slice, found: Reshape, places: Places, source: Shape, s: Sweep) -> Op | None:
    """Padding or slicing of long axes alone."""
    out = s.tensors[op.output].shape
    if any(out[i] != d for i, d in enumerate(found.shape) if i not in places):
        return None
    names = ("before", "after") if isinstance(op, PadOp) else ("starts", "stops", "steps")
    defaults: dict[str, list[int]] = {
        "before": [0] * len(source), "after": [0] * len(source), "starts": [0] * len(source),
        "stops": list(source), "steps": [1] * len(source),
    }  # fmt: skip
    changes = {}
    for field in names:
        values = list(defaults[field])
        for axis, origin in places.items():
            values[origin] = getattr(op, field)[axis]
        changes[field] = tuple(values)
    return _below(op, found.inputs, changes, s)


def _through_concat(op: Concat, places: Places, source: Shape, s: Sweep) -> Op | None:
    """All inputs are reshaped alike."""
    if op.axis not in places:
        return None
    inputs = []
    for name in op.inputs:
        reshape = s.producer(name)
        if not isinstance(reshape, Reshape) or s.tensors[name].quant not in (None, s.tensors[reshape.inputs[0]].quant):
            return None
        before = s.tensors[reshape.inputs[0]].shape
        same_rest = [d for i, d in enumerate(before) if i != places[op.axis]] == [
            d for i, d in enumerate(source) if i != places[op.axis]
        ]
        if len(before) != len(source) or unit_places(before, reshape.shape) != places or not same_rest:
            return None
        inputs.append(reshape.inputs[0])
    return _below(op, tuple(inputs), {"axis": places[op.axis]}, s)
