"""Relu and other clips move into the op before them."""

from __future__ import annotations

import math
from dataclasses import replace

from tinycompile.ir import DType, Graph, Op
from tinycompile.ops import Add, AveragePool2D, Conv2D, ConvTranspose2D, Dense, MatMul, MaxPool2D, Mul, Sub, Unary
from tinycompile.passes.rewrite import Sweep, rewrite

Clipping = (Add, AveragePool2D, Conv2D, ConvTranspose2D, Dense, MatMul, Mul, Sub)
"""Ops that clip their own output at no cost."""


def fuse_clip(graph: Graph) -> Graph:
    """``clip(op(x))`` as ``op<clip>(x)``, also where a max pooling stands between the two."""
    return rewrite(graph, into_producer, before_max_pool)


def clip_bounds(op: Op | None) -> tuple[float, float] | None:
    """The bounds of an op that is nothing but a clip."""
    if isinstance(op, Unary) and len(op.steps) == 1 and op.steps[0].function == "clip":
        low, high = op.steps[0].constants
        return low, high
    return None


def into_producer(op: Op, s: Sweep) -> Op | None:
    """A clip of the only use of an op's result becomes the op's own."""
    bounds = clip_bounds(op)
    before = s.sole(op.inputs[0]) if bounds else None
    if bounds is None or not isinstance(before, Clipping) or s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    if s.tensors[before.output].quant not in (None, s.tensors[op.output].quant):
        return None
    low, high = (min(max(bound, bounds[0]), bounds[1]) for bound in before.clip)
    return replace(before, output=op.output, clip=(low, high))


def before_max_pool(op: Op, s: Sweep) -> Op | None:
    """clip(max(x)) is max(clip(x)), so the clip can go on into the op before the pooling."""
    pool = s.sole(op.inputs[0]) if clip_bounds(op) else None
    if not isinstance(pool, MaxPool2D) or not isinstance(s.sole(pool.inputs[0]), Clipping):
        return None
    if s.tensors[pool.output].quant is not None or s.tensors[pool.inputs[0]].quant is not None:
        return None
    assert isinstance(op, Unary) and not math.isnan(op.steps[0].constants[0])
    clipped = s.emit(Unary, pool.inputs, f"{op.output}/clipped", steps=op.steps)
    return replace(pool, inputs=(clipped,), output=op.output)
