"""Depthwise kernels for cores with DSP: equal to the specification on the host and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, pads, quants, weights
from tests.simulate.test_cores import run_batch
from tinycompile.backends.dsp.depthwise_block import Taps
from tinycompile.ir import DType, Graph, Pad, Tensor
from tinycompile.ops import Conv2D

M7 = frozenset({"dsp", "cortex-m7"})
"""Abilities of a core that all kernels here are for."""


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Depthwise convolutions, most of them 3x3; wide enough for several blocks in a row."""
    kernel = draw(st.just((3, 3)) | st.tuples(st.integers(1, 7), st.integers(1, 9)))
    stride = draw(st.just((1, 1)) | st.just((2, 2)) | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = (draw(st.just(1) | st.integers(1, 3)), 1)
    pad = draw(st.just(Pad(1, 1, 1, 1)) | pads(*kernel))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, span[0] - pad.top - pad.bottom), max(1, span[1] - pad.left - pad.right)]
    height, width = draw(st.integers(least[0], least[0] + 8)), draw(st.integers(least[1], least[1] + 20))
    channels = draw(st.integers(1, 9))
    repeat = draw(st.just(1) | st.integers(1, 3))
    x = Tensor("x", (1, height, width, channels), DType.INT8, draw(quants()))
    w = draw(weights((channels * repeat, *kernel, 1)))
    b = draw(biases(x, w))
    inputs = [x, w] + ([b] if b else [])
    op = Conv2D("f", tuple(t.name for t in inputs), "y", kernel, stride, dilation, pad, channels, draw(CLIPS))
    return one_op(op, inputs, draw(quants(1e-2, 20.0)), draw(st.just("native") | ROUNDINGS))


@settings(max_examples=4, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=6))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases], M7)


@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 2**31))
def test_steps_make_every_product_once(width: int, stride: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, taps = rng.integers(-255, 256, width).astype(np.int16), Taps(width, stride)
    words = taps.pack(weights[None])[0].view(np.int16).reshape(-1, 2)
    for output in range(6):
        found = np.zeros(64, np.int64)
        for word in range(16):
            step = taps.step(word, output)
            if step is None:
                continue
            if step.name == "smlad":
                found[2 * word : 2 * word + 2] += words[step.weight]
            else:
                found[2 * word + "bt".index(step.name[4])] += words[step.weight]["bt".index(step.name[5])]
        expected = np.zeros(64, np.int64)
        expected[output * stride : output * stride + width] = weights
        assert (found == expected).all()


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize(
    ("board", "toolchain"), [("stm32l4r5", "zig"), ("stm32l4r5", "gcc"), ("stm32f746", "zig"), ("stm32u575", "zig")]
)
def test_on_emulated_cores(board: str, toolchain: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(
        max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
    )
    @given(st.lists(graphs(), min_size=6, max_size=6))
    def run(cases: list[Graph]) -> None:
        run_batch(cases, board, tmp_path_factory.mktemp("batch"), toolchain)  # type: ignore[arg-type]

    run()
