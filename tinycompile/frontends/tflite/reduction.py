"""Operators that reduce whole axes."""

from __future__ import annotations

from tinycompile.frontends.tflite.builder import Builder
from tinycompile.frontends.tflite.movement import normalized_axis
from tinycompile.frontends.tflite.node import Node
from tinycompile.frontends.tflite.registry import importer
from tinycompile.ops.reduce import Reduce

KINDS = {"MEAN": "mean", "SUM": "sum", "REDUCE_MAX": "max", "REDUCE_MIN": "min"}


@importer(*KINDS, rule="int8, constant axes")
def _reduce(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    axes = b.integers(node.input(1), "list of axes")
    rank = len(x.shape)
    wanted = tuple(sorted({normalized_axis(a, rank) for a in axes})) or tuple(range(rank))
    keepdims = bool(node.integer("KeepDims"))
    b.emit(Reduce, (x.name,), node.outputs[0], kind=KINDS[node.op], axes=wanted, keepdims=keepdims)
