"""Elementwise kernels and pools for cores with DSP: equal to the specification on the host and on emulated cores."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.strategies import CLIPS, ROUNDINGS, one_op, pads, quants
from tests.simulate.test_cores import run_batch
from tinycompile.ir import DType, Graph, Pad, Tensor
from tinycompile.ops import Add, AveragePool2D, MaxPool2D, Sub

SHAPES = st.one_of(
    st.tuples(st.just(1), st.integers(1, 4), st.integers(1, 6), st.integers(1, 13)),
    st.tuples(st.just(1), st.integers(1, 70)),
)


@st.composite
def sums(draw: st.DrawFn) -> Graph:
    """Sums and differences of two activations of one shape, their scales far apart or alike."""
    shape = draw(SHAPES)
    a, b = (Tensor(name, shape, DType.INT8, draw(quants(1e-4, 10.0))) for name in "ab")
    op = draw(st.sampled_from([Add, Sub]))("f", ("a", "b"), "y", draw(CLIPS))
    return one_op(op, [a, b], draw(quants(1e-4, 10.0)), draw(st.just("native") | ROUNDINGS))


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


GRAPHS = st.one_of(sums(), pools())


@settings(max_examples=8, deadline=None)
@given(st.lists(GRAPHS, min_size=1, max_size=25))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize(
    ("board", "toolchain"), [("stm32l4r5", "zig"), ("stm32l4r5", "gcc"), ("stm32f746", "zig"), ("stm32u575", "zig")]
)
def test_on_emulated_cores(board: str, toolchain: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(
        max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
    )
    @given(st.lists(GRAPHS, min_size=25, max_size=25))
    def run(cases: list[Graph]) -> None:
        run_batch(cases, board, tmp_path_factory.mktemp("batch"), toolchain)  # type: ignore[arg-type]

    run()
