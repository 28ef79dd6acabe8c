"""Inputs made up where there is no calibration data: the same ones every time."""

from __future__ import annotations

import numpy as np

from tinycompile.data import Samples
from tinycompile.ir import Array, DType, Graph, Shape, Tensor
from tinycompile.quantize.ranges import span
from tinycompile.quantize.recipe import Recipe

COUNT = 32
GRAIN = 8
"""Pixels between the points of the coarse random grid that gives a sample its smooth structure."""
SEED = 20240229


def synthetic_samples(graph: Graph, recipe: Recipe) -> Samples:
    """``COUNT`` smooth random fields with some noise, each stretched over the input's assumed range.

    The range is the recipe's ``input_range``; else what the input's quantisation holds, where the file states
    one; else 0 .. 1 for images (four axes, 1, 3 or 4 channels), and -1 .. 1.
    """
    rng = np.random.default_rng(SEED)
    inputs = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        low, high = assumed_range(tensor, recipe)
        fields = np.stack([_field(rng, tensor.shape) for _ in range(COUNT)])
        inputs[name] = (low + (high - low) * fields).astype(
            np.float32 if tensor.dtype is DType.FLOAT32 else tensor.dtype.value
        )
    return Samples(inputs)


def assumed_range(tensor: Tensor, recipe: Recipe) -> tuple[float, float]:
    """The real values that a synthetic input spans."""
    if recipe.input_range is not None:
        return recipe.input_range
    if tensor.quant is not None:
        return span(tensor.quant)
    image = len(tensor.shape) == 4 and tensor.channels in (1, 3, 4) and min(tensor.shape[1:3]) > 1
    return (0.0, 1.0) if image else (-1.0, 1.0)


def _field(rng: np.random.Generator, shape: Shape) -> Array:
    """Values in 0 .. 1: a coarse random grid, interpolated along all axes but the last, plus noise."""
    coarse = tuple(-(-d // GRAIN) + 1 if 0 < axis < len(shape) - 1 else d for axis, d in enumerate(shape))
    field = rng.random(coarse)
    for axis in range(1, len(shape) - 1):
        field = _interpolated(field, axis, shape[axis])
    field = 0.8 * field + 0.2 * rng.random(shape)
    low, high = field.min(), field.max()
    return np.asarray((field - low) / (high - low)) if high > low else field


def _interpolated(field: Array, axis: int, size: int) -> Array:
    at = np.arange(size) / GRAIN
    left = at.astype(np.int64)
    share = (at - left).reshape([-1 if a == axis else 1 for a in range(field.ndim)])
    lower, upper = field.take(left, axis), field.take(left + 1, axis)
    return np.asarray(lower + share * (upper - lower))
