"""Finds functions that exporters write as several operators: hard swish, swish, mish, gelu and the like.

A tensor that depends on one other tensor alone, element by element, is a function of one value. Whatever way it
is spelled, its values on a grid of points say which function it is; so this pass compares values, not patterns.
What has no name becomes one table all the same: two functions of one tensor, added or multiplied, are a function of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinycompile.ir import Array, DType, Graph, Op
from tinycompile.ops import Add, Max, Min, Mul, Sub, Unary
from tinycompile.ops.unary import FUNCTIONS, JOINS, Joined, Step, Steps
from tinycompile.passes.rewrite import Sweep, rewrite

GRID = np.concatenate([np.linspace(-12, 12, 961), np.linspace(-0.1, 0.1, 81)])
"""Where functions are compared; all of those below differ from each other here."""

TOLERANCE = 2e-6
"""Of the largest value: above the rounding of constants that files store as float32."""

DEPTH = 12
"""How many ops back a function is followed; the longest spelling known (gelu by tanh) has nine."""

CANDIDATES: tuple[Step, ...] = (
    Step("hard_swish"), Step("swish"), Step("mish"), Step("gelu"), Step("gelu_tanh"), Step("softsign"),
    Step("softplus"), Step("hard_sigmoid", (1 / 6, 0.5)), Step("hard_sigmoid", (0.2, 0.5)), Step("sigmoid"),
    Step("tanh"), Step("abs"), Step("clip", (0.0, np.inf)), Step("clip", (0.0, 6.0)),
)  # fmt: skip

NAMES: Mapping[type[Op], str] = {Add: "add", Sub: "sub", Mul: "mul", Min: "min", Max: "max"}
"""Ops of two operands, as keys of ``JOINS``."""

BINARY = {kind: JOINS[name][0] for kind, name in NAMES.items()}

Values = dict[str, Array]
"""For one tensor: the tensors that it is a function of, nearest first, and its values over the grid of each."""


def match_functions(graph: Graph) -> Graph:
    """The graph with every such group of ops as one ``Unary``."""
    return rewrite(rewrite(graph, by_values), by_joining)


def by_joining(op: Op, s: Sweep) -> Op | None:
    """Two functions of the same tensor, added, multiplied or compared: one function of that tensor."""
    if type(op) not in NAMES or s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    if getattr(op, "clip", (-np.inf, np.inf)) != (-np.inf, np.inf):
        return None
    left, right = (_chains(name, s) for name in op.inputs)
    root = next((name for name in left if name in right), None)
    if root is None or s.tensors[root].shape != s.tensors[op.output].shape:
        return None
    return Unary(op.name, (root,), op.output, (Joined(NAMES[type(op)], (left[root], right[root])),))


def _chains(name: str, s: Sweep) -> dict[str, Steps]:
    """The tensor as a chain of functions of itself, and of what it is a function of; nearest first."""
    if s.tensors[name].data is not None:
        return {}
    found: dict[str, Steps] = {name: ()}
    op = s.producer(name)
    while isinstance(op, Unary) and s.tensors[op.output].quant is None:
        found[op.inputs[0]] = op.steps + found[op.output]
        op = s.producer(op.inputs[0])
    return found


def by_values(op: Op, s: Sweep) -> Op | None:
    """The named function that an op computes of the nearest tensor for which there is one."""
    if not isinstance(op, (Unary, *BINARY)) or s.tensors[op.output].dtype is not DType.FLOAT32:
        return None
    if isinstance(op, Unary) and len(op.steps) == 1 and not isinstance(s.sole(op.inputs[0]), Unary):
        return None
    for root, values in functions(op, s).items():
        steps = recognised(values)
        if steps is not None and not (isinstance(op, Unary) and op.inputs[0] == root and len(op.steps) <= len(steps)):
            return Unary(op.name, (root,), op.output, steps)
    return None


def functions(op: Op, s: Sweep, depth: int = DEPTH) -> Values:
    """What ``op`` computes as a function of one tensor, for each tensor it can be seen as a function of."""
    if depth == 0:
        return {}
    if isinstance(op, Unary):
        inner = _sources(op.inputs[0], s, depth)
        return {root: op.apply(values) for root, values in inner.items()}
    apply = BINARY.get(type(op))
    if apply is None or getattr(op, "clip", (-np.inf, np.inf)) != (-np.inf, np.inf):
        return {}
    left, right = (_sources(name, s, depth) for name in op.inputs)
    with np.errstate(all="ignore"):
        return {root: apply(left[root], right[root]) for root in left if root in right}


def _sources(name: str, s: Sweep, depth: int) -> Values:
    """The tensor as a function of itself, and of what it is computed from."""
    tensor = s.tensors[name]
    if tensor.data is not None:
        return {}
    op = s.producer(name)
    further = functions(op, s, depth - 1) if op is not None and tensor.quant is None else {}
    return {name: GRID, **further}


def recognised(values: Array) -> tuple[Step, ...] | None:
    """The function with these values on the grid: a named one, or a multiple of one."""
    if not np.all(np.isfinite(values)):
        return None
    peak = int(np.argmax(np.abs(values)))
    if values[peak] == 0:
        return None
    for step in CANDIDATES:
        wanted = np.asarray(FUNCTIONS[step.function].real(GRID, *step.constants))
        if wanted[peak] == 0:
            continue
        factor = float(values[peak] / wanted[peak])
        if np.max(np.abs(values - factor * wanted)) <= TOLERANCE * abs(values[peak]):
            exact = abs(factor - 1) < TOLERANCE
            return (step,) if exact else (step, Step("affine", (factor, 0.0)))
    return None
