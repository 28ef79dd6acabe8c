"""Importers of normalisation by an input's own statistics."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.images import from_image, to_image
from tinycompile.frontends.onnx.movement import normalized_axis
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ir import Array, Shape
from tinycompile.ops import Add, InstanceNorm, Mul, Reduce, Softmax, Unary
from tinycompile.ops.unary import Step

EPSILON = 1e-5
"""Default of all three operators."""

TINY = 1e-24


@importer("InstanceNormalization", rule="signals and images, constant scale and bias")
def _instance_norm(b: Builder, node: Node) -> None:
    shape = b.shape(node.inputs[0])
    if len(shape) not in (3, 4):
        raise Rejected(f"its input {shape} is no signal and no image")
    scale, shift = (b.constant(n, "parameter").astype(np.float32).reshape(-1) for n in node.inputs[1:3])
    x = b.operand(node.inputs[0])
    b.bind(node.output, _normalized(b, x, scale, shift, node.real("epsilon", EPSILON), node.output))


@importer("GroupNormalization", rule="signals and images, constant scale and bias")
def _group_norm(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    groups, rank = node.integer("num_groups", 0), len(x.shape)
    if rank < 3 or x.shape[0] != 1 or groups < 1 or x.shape[1] % groups:
        raise Rejected(f"{groups} groups do not fit {x.shape}")
    rows = b.reshape(x.name, (1, groups, prod(x.shape) // groups), f"{node.output}/groups")
    y = _normalized(b, rows, np.ones(groups), np.zeros(groups), node.real("epsilon", EPSILON), f"{node.output}/normal")
    y = b.reshape(y, x.shape, f"{node.output}/shape")
    parameters = [b.constant(n, "parameter").astype(np.float32).reshape(-1) for n in node.inputs[1:3]]
    # Until opset 20 there is one scale and one bias for each group.
    spread = [np.repeat(p, x.shape[1] // p.size).reshape(1, -1, *(1,) * (rank - 2)) for p in parameters]
    b.bind(node.output, _scaled(b, y, spread[0], spread[1], node.output))


@importer("LayerNormalization", rule="from any axis on, constant scale and bias; only the first output")
def _layer_norm(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    axis = normalized_axis(node.integer("axis", -1), len(x.shape))
    rows = prod(x.shape[:axis])
    y = b.reshape(x.name, (1, rows, prod(x.shape[axis:])), f"{node.output}/rows")
    y = _normalized(b, y, np.ones(rows), np.zeros(rows), node.real("epsilon", EPSILON), f"{node.output}/normal")
    y = b.reshape(y, x.shape, f"{node.output}/shape")
    parameters = [b.constant(n, "parameter") if n else None for n in (node.inputs[1], node.input(2))]
    scale, shift = (None if p is None else _ranked(p, x.shape) for p in parameters)
    assert scale is not None
    b.bind(node.output, _scaled(b, y, scale, shift, node.output))


def _ranked(values: Array, shape: Shape) -> Array:
    return values.astype(np.float32).reshape((1,) * (len(shape) - values.ndim) + values.shape)


def _normalized(b: Builder, x: str, scale: Array, shift: Array, epsilon: float, output: str) -> str:
    """Every channel of a signal or image (channels second) to mean 0 and deviation 1, then scale and shift."""
    rank = len(b.tensors[x].shape)
    image = to_image(b, x)
    parameters = [b.put(f"{output}/{k}", v.astype(np.float32)) for k, v in (("scale", scale), ("shift", shift))]
    return from_image(b, b.add(InstanceNorm, (image, *parameters), output, epsilon=epsilon), rank, output)


def _scaled(b: Builder, x: str, scale: Array, shift: Array | None, output: str) -> str:
    """x * scale + shift, which move into a linear operator that follows."""
    y = b.add(Mul, (x, b.put(f"{output}/scale", scale)), f"{output}/scaled")
    return y if shift is None else b.add(Add, (y, b.put(f"{output}/shift", shift)), output)


@importer("LpNormalization", rule="p 1 or 2, any axis")
def _lp_norm(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    axis = normalized_axis(node.integer("axis", -1), len(x.shape))
    kinds = {1: "L1", 2: "L2"}
    if node.integer("p", 2) not in kinds:
        raise Rejected(f"its p is {node.integer('p', 2)}")
    b.bind(node.output, _by_norm(b, x.name, kinds[node.integer("p", 2)], axis, node.output))


@importer("Normalizer", rule="norm MAX, L1 or L2", domain="ai.onnx.ml")
def _normalizer(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    norm = node.text("norm", "MAX")
    if norm not in ("MAX", "L1", "L2"):
        raise Rejected(f"its norm is {norm}")
    producer = next((op for op in reversed(b.ops) if op.output == x.name), None)
    if norm == "L1" and isinstance(producer, Softmax):
        b.bind(node.output, x.name)  # probabilities have the sum 1 already
        return
    b.bind(node.output, _by_norm(b, x.name, norm, len(x.shape) - 1, node.output))


def _by_norm(b: Builder, x: str, norm: str, axis: int, output: str) -> str:
    """x divided by its norm along an axis."""
    before = {"MAX": (), "L1": (Step("abs"),), "L2": (Step("power", (2.0,)),)}[norm]
    # A row of zeros stays one: its norm counts as tiny, not as nothing.
    some = () if norm == "MAX" else (Step("clip", (TINY, np.inf)),)
    after = (*some, *((Step("sqrt"),) if norm == "L2" else ()), Step("reciprocal"))
    terms = b.add(Unary, (x,), f"{output}/terms", steps=before) if before else x
    total = b.add(Reduce, (terms,), f"{output}/total", kind="max" if norm == "MAX" else "sum", axes=(axis,))
    return b.add(Mul, (x, b.add(Unary, (total,), f"{output}/inverse", steps=after)), output)
