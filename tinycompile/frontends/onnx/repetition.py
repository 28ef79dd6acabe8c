"""Importers of operators that repeat values: Expand and Tile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ops import Gather


@importer("Expand", rule="a constant or folded shape; free where an operator that broadcasts follows")
def _expand(b: Builder, node: Node) -> None:
    own, wanted = b.shape(node.inputs[0]), b.integers(node.inputs[1], "shape")
    shape = np.broadcast_shapes(own, wanted)
    x = b.reshape(b.operand(node.inputs[0]), (1,) * (len(shape) - len(own)) + own, f"{node.output}/ranked")
    repeats = [n // d for n, d in zip(shape, b.tensors[x].shape, strict=True)]
    b.bind(node.output, repeated(b, x, repeats, node.output))


@importer("Tile", rule="constant repeats")
def _tile(b: Builder, node: Node) -> None:
    repeats = b.integers(node.inputs[1], "repeats")
    if len(repeats) != len(b.shape(node.inputs[0])) or min(repeats, default=0) < 1:
        raise Rejected(f"its repeats {repeats} do not fit {b.shape(node.inputs[0])}")
    b.bind(node.output, repeated(b, b.operand(node.inputs[0]), repeats, node.output))


def repeated(b: Builder, x: str, repeats: Sequence[int], output: str) -> str:
    """``x`` so many times along every axis, the last axes first, so that little is copied more than once."""
    for axis in reversed(range(len(repeats))):
        if repeats[axis] > 1:
            indices = tuple(range(b.tensors[x].shape[axis])) * repeats[axis]
            x = b.add(Gather, (x,), output, indices=indices, axis=axis)
    return x
