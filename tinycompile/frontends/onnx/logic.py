"""Importers of comparisons, of logic on their results, and of choices by them.

A truth value is a float here, 1 or 0. Where all operands are functions of one tensor, so is the result, and becomes
part of a table; else conditions are activations like others, and choices are sums of products with them.
"""

from __future__ import annotations

import numpy as np

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.elementwise import binary
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ir import Array
from tinycompile.ops import Unary
from tinycompile.ops.unary import Joined, Step, Steps

COMPARISONS = {
    "Greater": ("greater", "less"),
    "GreaterOrEqual": ("greater_equal", "less_equal"),
    "Less": ("less", "greater"),
    "LessOrEqual": ("less_equal", "greater_equal"),
    "Equal": ("equal", "equal"),
}
"""The function of the left operand, and of the right one where the left is the constant."""

OPPOSITE = (Step("affine", (-1.0, 1.0)),)


@importer(*COMPARISONS, rule="of float tensors; with one constant number it becomes part of a table")
def _compare(b: Builder, node: Node) -> None:
    x, y = node.inputs
    left, right = COMPARISONS[node.op_type]
    for tensor, other, function in ((x, y, left), (y, x, right)):
        if b.is_known(other) and b.constant(other).size == 1 and not b.is_known(tensor):
            if len(b.shape(other)) > len(b.shape(tensor)):
                continue
            step = Step(function, (float(b.constant(other).reshape(-1)[0]),))
            b.bind(node.output, b.add(Unary, (b.operand(tensor),), node.output, steps=(step,)))
            return
    difference = binary(b, "Sub", x, y, f"{node.output}/difference")
    b.bind(node.output, b.add(Unary, (difference,), node.output, steps=(Step(left, (0.0,)),)))


@importer("Not", rule="of the result of a comparison")
def _not(b: Builder, node: Node) -> None:
    b.bind(node.output, b.add(Unary, (b.operand(node.inputs[0]),), node.output, steps=OPPOSITE))


@importer("And", "Or", rule="of the results of comparisons")
def _and_or(b: Builder, node: Node) -> None:
    kind = "Min" if node.op_type == "And" else "Max"
    joined = _joined(b, kind.lower(), list(node.inputs), node.output)
    b.bind(node.output, joined or binary(b, kind, node.inputs[0], node.inputs[1], node.output))


@importer("Where", rule="by the result of a comparison or a constant; both choices finite")
def _where(b: Builder, node: Node) -> None:
    condition, yes, no = node.inputs
    joined = _joined(b, "where", list(node.inputs), node.output)
    if joined is not None:
        b.bind(node.output, joined)
        return
    for choice in (yes, no):
        if b.is_known(choice) and not np.all(np.isfinite(b.constant(choice).astype(np.float64))):
            raise Rejected(f"chooses values of {choice!r} that are not finite")
    out = node.output
    opposite = f"{out}/else"
    if b.is_known(condition):
        b.known[opposite] = 1 - b.constant(condition).astype(np.float32)
        b.known[f"{out}/if"], condition = b.constant(condition).astype(np.float32), f"{out}/if"
    else:
        b.bind(opposite, b.add(Unary, (b.operand(condition),), opposite, steps=OPPOSITE))
    for name, factor, choice in ((f"{out}/yes", condition, yes), (f"{out}/no", opposite, no)):
        if b.is_known(factor) and b.is_known(choice):
            b.known[name] = b.constant(factor) * b.constant(choice).astype(np.float32)
        else:
            b.bind(name, binary(b, "Mul", factor, choice, name))
    b.bind(out, binary(b, "Add", f"{out}/yes", f"{out}/no", out))


def _joined(b: Builder, function: str, names: list[str], output: str) -> str | None:
    """One table, where all operands are single numbers or functions of one and the same tensor."""
    activations = [name for name in names if not b.is_known(name)]
    if any(b.is_known(name) and b.constant(name).size != 1 for name in names):
        return None
    options = {name: _chains(b, b.operand(name)) for name in activations}
    shape = np.broadcast_shapes(*(b.shape(name) for name in names))
    for root in options[activations[0]]:
        if all(root in found for found in options.values()) and b.tensors[root].shape == shape:
            chains = tuple(options[n][root] if n in options else _always(b.constant(n)) for n in names)
            return b.add(Unary, (root,), output, steps=(Joined(function, chains),))
    return None


def _always(number: Array) -> Steps:
    """The function that is this number everywhere."""
    return (Step("affine", (0.0, float(number.reshape(-1)[0]))),)


def _chains(b: Builder, name: str) -> dict[str, Steps]:
    """The tensor as a chain of functions of itself, and of what it is a function of; nearest first."""
    producers = {op.output: op for op in b.ops}
    found: dict[str, Steps] = {name: ()}
    op = producers.get(name)
    while isinstance(op, Unary) and b.tensors[op.output].quant is None:
        found[op.inputs[0]] = op.steps + found[op.output]
        op = producers.get(op.inputs[0])
    return found
