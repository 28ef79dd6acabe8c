"""Batch norm, bias, and scalar or per-channel factors move into the weights of the linear op beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array, DType, Graph, Op
from tinycompile.ops import Add, Conv2D, ConvTranspose2D, Dense, Mul, Reshape, Sub, Unary
from tinycompile.passes.rewrite import Sweep, only_last_axis, rewrite

Linear = (Conv2D, ConvTranspose2D, Dense)


@dataclass(frozen=True, eq=False)
class Affine:
    """x * scale + shift, float64[channels] each."""

    x: str
    scale: Array
    shift: Array

    @property
    def uniform(self) -> bool:
        """The same for every channel."""
        return bool(np.ptp(self.scale) == 0 and np.ptp(self.shift) == 0)


def fold_affine(graph: Graph) -> Graph:
    """``a * linear(x) + b`` and ``linear(a * x + b)`` as one linear op; what no op takes becomes a depthwise one."""
    graph = rewrite(graph, into_producer, into_consumer)
    return rewrite(graph, into_producer, as_depthwise)


def affine_of(op: Op | None, s: Sweep) -> Affine | None:
    """What the op computes, if that is one factor and one addend per channel (last axis) of one activation."""
    if op is None or s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    channels = s.tensors[op.output].channels if s.tensors[op.output].shape else 1
    if isinstance(op, Unary):
        return _of_unary(op, channels)
    if not isinstance(op, (Add, Sub, Mul)) or op.clip != (-math.inf, math.inf):
        return None
    for x, other, first in ((op.inputs[0], op.inputs[1], True), (op.inputs[1], op.inputs[0], False)):
        values = s.constant(other)
        if values is None or s.tensors[x].data is not None or s.tensors[x].shape != s.tensors[op.output].shape:
            continue
        vector = only_last_axis(values, channels)
        if vector is not None:
            return _of_binary(op, x, vector, first)
    return None


def _of_unary(op: Unary, channels: int) -> Affine | None:
    scale, shift = 1.0, 0.0
    for step in op.steps:
        if step.function == "affine":
            scale, shift = scale * step.constants[0], shift * step.constants[0] + step.constants[1]
        elif step.function == "neg":
            scale, shift = -scale, -shift
        else:
            return None
    return Affine(op.inputs[0], np.full(channels, scale), np.full(channels, shift)) if op.steps else None


def _of_binary(op: Op, x: str, vector: Array, first: bool) -> Affine:
    one = np.ones_like(vector)
    if isinstance(op, Mul):
        return Affine(x, vector, 0 * vector)
    if isinstance(op, Add):
        return Affine(x, one, vector)
    return Affine(x, one, -vector) if first else Affine(x, -one, vector)


# a * linear(x) + b


def into_producer(op: Op, s: Sweep) -> Op | None:
    """Scale the rows of the weights, and add to the bias."""
    affine, bounds = affine_of(op, s), (-math.inf, math.inf)
    if affine is None:
        hard = _hard_sigmoid(op, s)
        if hard is None:
            return None
        affine, bounds = hard, (0.0, 1.0)
    before = s.sole(affine.x)
    if not isinstance(before, Linear) or s.tensors[before.output].quant is not None:
        return None
    clip = _clip_after(before.clip, affine)
    if clip is None or np.any(affine.scale == 0) or not np.all(np.isfinite([affine.scale, affine.shift])):
        return None
    inputs = _scaled_rows(before, affine, s)
    if inputs is None:
        return None
    low, high = (min(max(bound, bounds[0]), bounds[1]) for bound in clip)
    return replace(before, output=op.output, inputs=inputs, clip=(low, high))


def _hard_sigmoid(op: Op, s: Sweep) -> Affine | None:
    """A hard sigmoid is an affine function, clipped to 0 .. 1."""
    if not isinstance(op, Unary) or len(op.steps) != 1 or op.steps[0].function != "hard_sigmoid":
        return None
    if s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    alpha, beta = op.steps[0].constants
    channels = s.tensors[op.output].channels
    return Affine(op.inputs[0], np.full(channels, alpha), np.full(channels, beta))


def _clip_after(clip: tuple[float, float], affine: Affine) -> tuple[float, float] | None:
    """The bounds of a * clip(x) + b; None where channels would need different ones."""
    if clip == (-math.inf, math.inf):
        return clip
    if not affine.uniform or affine.scale[0] == 0:
        return None
    bounds = sorted(float(bound * affine.scale[0] + affine.shift[0]) for bound in clip)
    return bounds[0], bounds[1]


def _scaled_rows(op: Op, affine: Affine, s: Sweep) -> tuple[str, ...] | None:
    weights = s.constant(op.inputs[1])
    rows = s.tensors[op.inputs[1]].shape[0]
    if affine.scale.size != rows:
        return None
    pure_bias = bool(np.all(affine.scale == 1)) and len(op.inputs) == 2
    if weights is None and not pure_bias:
        return None
    bias = s.constant(op.inputs[2]) if len(op.inputs) == 3 else np.zeros(rows)
    if bias is None:
        return None
    name = op.inputs[1]
    if weights is not None and not np.all(affine.scale == 1):
        name = s.put(name, weights * affine.scale.reshape(-1, *[1] * (weights.ndim - 1)))
    total = bias.astype(np.float64) * affine.scale + affine.shift
    label = op.inputs[2] if len(op.inputs) == 3 else f"{op.output}/bias"
    if len(op.inputs) == 2 and not np.any(total):
        return op.inputs[0], name
    return op.inputs[0], name, s.put(label, total)


# linear(a * x + b)


def into_consumer(op: Op, s: Sweep) -> Op | None:
    """Scale the columns of the weights; what is added reaches the bias, where no padding lies in between."""
    if not isinstance(op, Linear):
        return None
    affine = affine_of(s.sole(op.inputs[0]), s)
    weights = s.constant(op.inputs[1])
    bias = s.constant(op.inputs[2]) if len(op.inputs) == 3 else np.zeros(s.tensors[op.inputs[1]].shape[0])
    if affine is None or weights is None or bias is None or s.tensors[op.inputs[0]].quant is not None:
        return None
    if not np.all(np.isfinite([affine.scale, affine.shift])):
        return None
    if np.any(affine.shift) and (isinstance(op, ConvTranspose2D) or (isinstance(op, Conv2D) and op.pad)):
        return None
    columns = _columns(op, weights)
    scaled = weights * columns(affine.scale)
    total = bias + (weights.astype(np.float64) * columns(affine.shift)).reshape(weights.shape[0], -1).sum(axis=1)
    inputs: tuple[str, ...] = (affine.x, s.put(op.inputs[1], scaled))
    if len(op.inputs) == 3 or np.any(total):
        inputs = (*inputs, s.put(op.inputs[2] if len(op.inputs) == 3 else f"{op.output}/bias", total))
    return replace(op, inputs=inputs)


def _columns(op: Op, weights: Array) -> Callable[[Array], Array]:
    """Spread a vector over the input channels to the shape of the weights (O, ..., I / groups)."""
    groups = getattr(op, "groups", 1)
    if groups == 1:
        return lambda v: v
    middle = [1] * (weights.ndim - 2)
    return lambda v: np.repeat(v.reshape(groups, *middle, -1), weights.shape[0] // groups, axis=0)


# what no neighbour takes


def as_depthwise(op: Op, s: Sweep) -> Op | None:
    """A factor and an addend for each channel: a depthwise convolution with a kernel of one pixel."""
    affine, out = affine_of(op, s), s.tensors[op.output]
    if affine is None or not out.shape:
        return None
    if len(out.shape) == 4 and out.shape[0] == 1:
        if affine.uniform:
            return None
        inputs = _pixelwise(op, affine, affine.x, s)
        return Conv2D(op.name, inputs, op.output, kernel=(1, 1), groups=affine.scale.size)
    if _continues(op, s):
        return None
    while s.tensors[affine.x].quant is None and (before := affine_of(s.sole(affine.x), s)) is not None:
        affine = Affine(before.x, before.scale * affine.scale, before.shift * affine.scale + affine.shift)
    if affine.uniform:
        return None
    rows = (1, out.size // out.channels, 1, out.channels)
    x = s.emit(Reshape, (affine.x,), f"{op.output}/image", s.tensors[affine.x].quant, shape=rows)
    y = s.emit(Conv2D, _pixelwise(op, affine, x, s), f"{op.output}/pixels", out.quant, kernel=(1, 1), groups=rows[3])
    return Reshape(op.name, (y,), op.output, shape=out.shape)


def _pixelwise(op: Op, affine: Affine, x: str, s: Sweep) -> tuple[str, str, str]:
    weights = s.put(f"{op.output}/weights", affine.scale.reshape(-1, 1, 1, 1))
    return x, weights, s.put(f"{op.output}/bias", affine.shift)


def _continues(op: Op, s: Sweep) -> bool:
    """Whether the only reader of an op's result is affine as well, and will take the op in."""
    if op.output in s.graph.outputs or s.tensors[op.output].quant is not None or s.uses[op.output] != 1:
        return False
    return any(op.output in reader.inputs and affine_of(reader, s) is not None for reader in s.graph.ops)
