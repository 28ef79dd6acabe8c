"""Hypothesis strategies for one-op graphs with extreme shapes and quantisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinycompile.ir import DType, Graph, Op, Pad, Quant, Tensor
from tinycompile.ir.op import Rounding

ROUNDINGS: st.SearchStrategy[Rounding] = st.sampled_from(["native", "tflite"])
ZERO_POINTS = st.one_of(st.integers(-128, 127), st.sampled_from([-128, 0, 127]))
CLIPS = st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0), (-1.0, 1.0)])
SEEDS = st.integers(0, 2**32 - 1)


def quants(low: float = 1e-3, high: float = 2.0) -> st.SearchStrategy[Quant]:
    """Per-tensor quantisations with zero points anywhere in int8."""
    return st.builds(Quant.per_tensor, st.floats(low, high), ZERO_POINTS)


def pads(height: int, width: int) -> st.SearchStrategy[Pad]:
    """Half of the time none, else up to ``height`` rows and ``width`` columns on each side."""
    some = st.builds(Pad, *(st.integers(0, n) for n in (height, width, height, width)))
    return st.one_of(st.just(Pad()), some)


@st.composite
def weights(draw: st.DrawFn, shape: tuple[int, ...], asymmetric: bool = True) -> Tensor:
    """int8 weights, per channel on axis 0, per tensor, or (where allowed) with a zero point."""
    rng = np.random.default_rng(draw(SEEDS))
    data = rng.integers(-128 if draw(st.booleans()) else -127, 128, shape).astype(np.int8)
    if draw(st.integers(0, 9)) == 0:
        data[...] = draw(st.sampled_from([-127, 0, 127]))
    kind = draw(st.sampled_from(["channel", "channel", "tensor", "asymmetric"]))
    if kind == "channel":
        scale = tuple(float(s) for s in np.exp(rng.uniform(-9, -1, shape[0])))
        return Tensor.constant("w", data, Quant(scale, 0, 0))
    zero = draw(ZERO_POINTS) if kind == "asymmetric" and asymmetric else 0
    return Tensor.constant("w", data, Quant((draw(st.floats(1e-4, 0.1)),), zero))


@st.composite
def biases(draw: st.DrawFn, x: Tensor, w: Tensor) -> Tensor | None:
    """int32 bias with the scale of the accumulator, small or large; or none."""
    size = draw(st.sampled_from([0, 1000, 2**24]))
    if size == 0:
        return None
    rng = np.random.default_rng(draw(SEEDS))
    scale = tuple(x.q.scalar * s for s in w.q.scale)
    data = rng.integers(-size, size, w.shape[0]).astype(np.int32)
    return Tensor.constant("b", data, Quant(scale, 0, 0 if len(scale) > 1 else None))


def one_op(op: Op, inputs: Sequence[Tensor], quant: Quant, rounding: Rounding = "native") -> Graph:
    """A graph of one op whose output has its inferred shape and int8 ``quant``."""
    out = Tensor(op.output, op.infer(*inputs), DType.INT8, quant)
    names = tuple(t.name for t in inputs if t.data is None)
    return Graph("g", names, (op.output,), (op,), {t.name: t for t in (*inputs, out)}, rounding)


def weighted_op(
    draw: st.DrawFn,
    x: Tensor,
    w: Tensor,
    make: Callable[[tuple[str, ...]], Op],
    output_quants: st.SearchStrategy[Quant],
) -> Graph:
    """The op that ``make`` makes of the names of its inputs: ``x``, ``w`` and, drawn with or without, a bias."""
    b = draw(biases(x, w))
    inputs = [x, w] + ([b] if b else [])
    return one_op(make(tuple(t.name for t in inputs)), inputs, draw(output_quants), draw(ROUNDINGS))


def with_rounding(graph: Graph, **changes: Any) -> Graph:
    """The same graph with other fields (``rounding``)."""
    return replace(graph, **changes)


Make = Callable[..., Graph]
