"""Reductions along one axis after another become one; the mean of whole images becomes average pooling."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.ir import DType, Graph, Op
from tinycompile.ops import AveragePool2D, Reduce
from tinycompile.passes.rewrite import Sweep, rewrite


def merge_reductions(graph: Graph) -> Graph:
    """``mean(mean(x))`` as one mean (of equal groups, so the same value), and image means as pooling."""
    return rewrite(graph, into_one, as_pooling, into_pooling)


def into_one(op: Op, s: Sweep) -> Op | None:
    """The same kind of reduction twice, along different axes."""
    if not isinstance(op, Reduce) or not op.keepdims:
        return None
    before = s.sole(op.inputs[0])
    if not isinstance(before, Reduce) or not before.keepdims or before.kind != op.kind:
        return None
    if s.tensors[before.output].quant is not None or s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    axes = tuple(sorted({*before.axes, *op.axes}))
    return replace(op, inputs=before.inputs, axes=axes)


def as_pooling(op: Op, s: Sweep) -> Op | None:
    """The mean of rows and columns, and of nothing else that is longer than 1."""
    if not isinstance(op, Reduce) or op.kind != "mean" or not op.keepdims:
        return None
    source = s.tensors[op.inputs[0]]
    if len(source.shape) != 4 or source.shape[0] != 1 or s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    reduced = {a for a in op.axes if source.shape[a] > 1}
    if not reduced or reduced != {a for a in (1, 2) if source.shape[a] > 1}:
        return None
    return AveragePool2D(op.name, op.inputs, op.output, kernel=source.hw)


def into_pooling(op: Op, s: Sweep) -> Op | None:
    """The mean of a whole image whose rows or columns are means already."""
    if not isinstance(op, AveragePool2D) or op.pad or op.kernel != s.tensors[op.inputs[0]].hw:
        return None
    before = s.sole(op.inputs[0])
    if not isinstance(before, Reduce) or before.kind != "mean" or not before.keepdims or not {*before.axes} <= {1, 2}:
        return None
    if s.tensors[before.output].quant is not None or s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    return replace(op, inputs=before.inputs, kernel=s.tensors[before.inputs[0]].hw, stride=(1, 1))
