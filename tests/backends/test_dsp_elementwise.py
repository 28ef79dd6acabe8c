"""Elementwise kernels and pools for cores with DSP: equal to the specification on the host and on emulated cores."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.strategies import CLIPS, ROUNDINGS, one_op, pads, quants
from tests.simulate.test_cores import few_batches, run_batch
from tinycompile.ir import DType, Graph, Pad, Tensor
from tinycompile.ops import Add, AveragePool2D, MaxPool2D, Mul, Sub
from tinycompile.ops.unary import Step, Unary

M7 = frozenset({"dsp", "cortex-m7"})
"""Abilities of a core that all kernels here are for."""

SHAPES = st.one_of(
    st.tuples(st.just(1), st.integers(1, 4), st.integers(1, 6), st.integers(1, 19)),
    st.tuples(st.just(1), st.integers(1, 70)),
)


@st.composite
def sums(draw: st.DrawFn) -> Graph:
    """Sums and differences of two activations of one shape, their scales far apart or alike."""
    shape = draw(SHAPES)
    a, b = (Tensor(name, shape, DType.INT8, draw(quants(1e-4, 10.0))) for name in "ab")
    op = draw(st.sampled_from([Add, Sub]))("f", ("a", "b"), "y", draw(CLIPS))
    return one_op(op, [a, b], draw(quants(1e-4, 10.0)), draw(ROUNDINGS))


@st.composite
def pools(draw: st.DrawFn) -> Graph:
    """Pools of a few or many pixels, up to the whole image, of channels that fill words or not."""
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pad = draw(pads(*kernel))
    height = draw(st.integers(0, 5)) + max(1, kernel[0] - pad.top - pad.bottom)
    width = draw(st.integers(0, 5)) + max(1, kernel[1] - pad.left - pad.right)
    if draw(st.integers(0, 2)) == 0:
        kernel = (height, width) = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
        pad = Pad()
    x = Tensor("x", (1, height, width, draw(st.integers(4, 13))), DType.INT8, draw(quants(1e-2, 1.0)))
    if draw(st.booleans()):
        return one_op(MaxPool2D("f", ("x",), "y", kernel, stride, pad), [x], x.q)
    op = AveragePool2D("f", ("x",), "y", kernel, stride, pad, draw(st.booleans()), draw(CLIPS))
    return one_op(op, [x], x.q if draw(st.booleans()) else draw(quants(1e-2, 1.0)), draw(ROUNDINGS))


@st.composite
def products(draw: st.DrawFn) -> Graph:
    """Products of two activations of one shape, or of one with a value a channel, on either side."""
    shape = draw(SHAPES)
    shapes = [shape, draw(st.sampled_from([shape, (*[1] * (len(shape) - 1), shape[-1])]))]
    if draw(st.booleans()):
        shapes.reverse()
    a, b = (Tensor(name, s, DType.INT8, draw(quants(1e-3, 1.0))) for name, s in zip("ab", shapes, strict=True))
    return one_op(Mul("f", ("a", "b"), "y", draw(CLIPS)), [a, b], draw(quants(1e-3, 1.0)), draw(ROUNDINGS))


@st.composite
def tables(draw: st.DrawFn) -> Graph:
    """A function of every value."""
    x = Tensor("x", draw(SHAPES), DType.INT8, draw(quants()))
    return one_op(Unary("f", ("x",), "y", (Step(draw(st.sampled_from(["sigmoid", "abs"]))),)), [x], draw(quants()))


GRAPHS = st.one_of(sums(), products(), tables(), pools())


@settings(max_examples=5, deadline=None)
@given(st.lists(GRAPHS, min_size=1, max_size=15))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases], M7)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize(
    ("board", "toolchain"), [("stm32l4r5", "zig"), ("stm32l4r5", "gcc"), ("stm32f746", "zig"), ("stm32u575", "zig")]
)
def test_on_emulated_cores(
    board: str, toolchain: Literal["zig", "gcc"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    few_batches(GRAPHS, 12, lambda cases: run_batch(cases, board, tmp_path_factory.mktemp("batch"), toolchain))
