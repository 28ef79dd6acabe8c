"""Functions of one value that follow each other become one table."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.ir import DType, Graph, Op
from tinycompile.ops import Unary
from tinycompile.ops.unary import Joined, Step, Steps
from tinycompile.passes.rewrite import Sweep, rewrite


def merge_unary(graph: Graph) -> Graph:
    """Chains of ``Unary`` as one, with fewer steps where neighbouring steps combine; empty chains go."""
    return rewrite(graph, into_one, simplify)


def into_one(op: Op, s: Sweep) -> Op | None:
    """f(g(x)), where nothing else reads g(x) and it is not rounded in between."""
    if not isinstance(op, Unary) or s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    before = s.sole(op.inputs[0])
    if not isinstance(before, Unary) or s.tensors[before.output].quant is not None:
        return None
    return replace(op, inputs=before.inputs, steps=before.steps + op.steps)


def simplify(op: Op, s: Sweep) -> Op | str | None:
    """The same function in fewer steps."""
    if not isinstance(op, Unary) or s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    steps = simplified(op.steps)
    if not steps and s.tensors[op.output].quant in (None, s.tensors[op.inputs[0]].quant):
        return s.identity(op, op.inputs[0])
    return replace(op, steps=steps) if steps != op.steps else None


def simplified(steps: Steps) -> Steps:
    """Combine affine steps and clips that follow each other, and drop those that do nothing."""
    result: list[Step | Joined] = []
    for step in steps:
        if step.function == "neg":
            step = Step("affine", (-1.0, 0.0))
        merged = _combined(result[-1], step) if result else None
        if merged is not None:
            result[-1] = merged
        else:
            result.append(step)
    return tuple(step for step in result if step != Step("affine", (1.0, 0.0)))


def _combined(first: Step | Joined, second: Step | Joined) -> Step | None:
    if first.function != second.function:
        return None
    if first.function == "affine":
        (a, b), (c, d) = first.constants, second.constants
        return Step("affine", (a * c, b * c + d))
    if first.function == "clip":
        low, high = second.constants
        return Step("clip", tuple(min(max(bound, low), high) for bound in first.constants))
    return None
