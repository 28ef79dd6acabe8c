"""Shape arithmetic that a file computes from constants: evaluated in NumPy at import."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinycompile.frontends.tflite.node import Node, Rejected
from tinycompile.frontends.tflite.strides import strided_slice
from tinycompile.ir import Array

Fold = Callable[..., Array]


def _pack(node: Node, *values: Array) -> Array:
    return np.stack(values, axis=node.integer("Axis"))


def _concatenation(node: Node, *values: Array) -> Array:
    return np.concatenate(values, axis=node.integer("Axis"))


def _strided_slice(node: Node, x: Array, begin: Array, end: Array, stride: Array) -> Array:
    ranges, shape = strided_slice(node, x.shape, begin.ravel().tolist(), end.ravel().tolist(), stride.ravel().tolist())
    return x[np.ix_(*ranges)].reshape(shape) if ranges else x.reshape(shape)


def _gather(node: Node, x: Array, indices: Array) -> Array:
    return np.take(x, indices, axis=node.integer("Axis"))


def _slice(node: Node, x: Array, begin: Array, size: Array) -> Array:
    bounds = zip(begin.ravel(), size.ravel(), strict=True)
    return x[tuple(slice(int(b), None if s < 0 else int(b + s)) for b, s in bounds)]


def _divide(node: Node, a: Array, b: Array) -> Array:
    if not np.all(b):
        raise Rejected("divides by zero")
    return a / b if a.dtype.kind == "f" else (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)))


FOLDS: Mapping[str, Fold] = {
    "SHAPE": lambda node, shape: shape,
    "PACK": _pack,
    "CONCATENATION": _concatenation,
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "SLICE": _slice,
    "DIV": _divide,
    "CAST": lambda node, x: x,
    "DEQUANTIZE": lambda node, x: x,
    "ADD": lambda node, a, b: a + b,
    "SUB": lambda node, a, b: a - b,
    "MUL": lambda node, a, b: a * b,
    "MAXIMUM": lambda node, a, b: np.maximum(a, b),
    "MINIMUM": lambda node, a, b: np.minimum(a, b),
    "REDUCE_PROD": lambda node, x, axes: np.prod(
        x, axis=tuple(int(a) for a in axes.ravel()), keepdims=bool(node.integer("KeepDims"))
    ),
    "RESHAPE": lambda node, x, *shape: x.reshape(shape[0].ravel() if shape else node.options.get("NewShape", (-1,))),
    "SQUEEZE": lambda node, x: np.squeeze(x, axis=node.options.get("SqueezeDims") or None),
    "EXPAND_DIMS": lambda node, x, axis: np.expand_dims(x, int(axis.ravel()[0])),
}
"""NumPy meaning of each operator on constants that stand as they are in the file (quantised ones never fold)."""
