"""Hypothesis strategies for ops of two operands under NumPy broadcasting, one of them perhaps a constant."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.ops.strategies import SEEDS, one_op, quants
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ir.op import Rounding
from tinycompile.ops.broadcast import Broadcast

IMAGES = st.tuples(st.just(1), st.integers(1, 5), st.integers(1, 5), st.integers(1, 7))
OTHERS = st.one_of(
    st.tuples(st.just(1), st.integers(1, 40)),
    st.tuples(st.just(1), st.integers(1, 5), st.integers(1, 6)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    st.tuples(st.just(1), *[st.integers(1, 3)] * 4),
)
SHAPES = st.one_of(IMAGES, OTHERS)


@st.composite
def operands(draw: st.DrawFn, quant: st.SearchStrategy[Quant], one_way: bool = False) -> list[Tensor]:
    """Two tensors whose shapes broadcast (with ``one_way``: the second to the first); constants hold noise."""
    whole = draw(SHAPES)
    shapes = [whole, whole]
    kind = draw(st.sampled_from(["same", "same", "channels", "any", "any", "rank"]))
    for i in range(1 if one_way else 0, 2):
        if kind == "any":
            shapes[i] = tuple(draw(st.sampled_from([1, d])) for d in whole)
    if kind in ("channels", "rank"):
        shapes[1] = (1,) * (len(whole) - 1) + whole[-1:]
    constant = draw(st.sampled_from([None, None, None, 0, 1])) if not one_way else draw(st.sampled_from([None, 1]))
    rng = np.random.default_rng(draw(SEEDS))
    found = []
    for i, (name, shape) in enumerate(zip("ab", shapes, strict=True)):
        if i == constant:
            kept = shape[len(shape) - draw(st.integers(0, 2)) :] if kind == "rank" and i == 1 else shape
            found.append(Tensor.constant(name, rng.integers(-128, 128, kept).astype(np.int8), draw(quant)))
        else:
            found.append(Tensor(name, shape, DType.INT8, draw(quant)))
    return found


@st.composite
def binary_graphs(
    draw: st.DrawFn,
    op: type[Broadcast],
    roundings: st.SearchStrategy[Rounding],
    quant: st.SearchStrategy[Quant] | None = None,
    **fields: st.SearchStrategy[Any],
) -> Graph:
    """One op of this class; ``fields`` draw its attributes."""
    quant = quants() if quant is None else quant
    inputs = draw(operands(quant, one_way=op.__name__ == "PRelu"))
    made = op("f", ("a", "b"), "y", **{name: draw(value) for name, value in fields.items()})
    return one_op(made, inputs, draw(quant), draw(roundings))
