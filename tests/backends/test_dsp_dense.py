"""Dense layers without scratch on cores with DSP: every way to divide filters and inputs, every quantisation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.strategies import CLIPS, one_op, quants, weighted_op, weights
from tests.simulate.test_cores import few_batches, run_batch
from tinycompile.backends import candidates
from tinycompile.backends.dsp.dense import DUAL, SINGLE, _divided
from tinycompile.backends.dsp.dense_block import DenseBlock
from tinycompile.backends.dsp.filters import filters
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Conv2D, Dense

INPUTS = st.integers(1, 20) | st.sampled_from([33, 40, 43, 64, 66, 79, 96, 130])
OUTPUTS = st.integers(1, 33)
SCALES = quants(1e-2, 20.0)
"""Of outputs."""


@st.composite
def layers(draw: st.DrawFn) -> Graph:
    """Dense layers of one row or several, and convolutions of one pixel."""
    if draw(st.integers(0, 3)) == 0:
        size, channels = draw(st.sampled_from([(1, 1), (2, 3), (5, 1)])), draw(st.integers(1, 9))
        x = Tensor("x", (1, *size, channels), DType.INT8, draw(quants()))
        w = draw(weights((draw(OUTPUTS), *size, channels)))
        return weighted_op(draw, x, w, lambda names: Conv2D("f", names, "y", size, clip=draw(CLIPS)), SCALES)
    lead, inputs = draw(st.sampled_from([(1,), (1,), (1, 3), (1, 2, 2)])), draw(INPUTS)
    x = Tensor("x", (*lead, inputs), DType.INT8, draw(quants()))
    w = draw(weights((draw(OUTPUTS), inputs)))
    return weighted_op(draw, x, w, lambda names: Dense("f", names, "y", draw(CLIPS)), SCALES)


@settings(max_examples=6, deadline=None)
@given(st.lists(layers(), min_size=1, max_size=20))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", ["stm32l4r5", "stm32f746", "stm32u575"])
@pytest.mark.parametrize("toolchain", ["zig", pytest.param("gcc", marks=pytest.mark.gcc)])
def test_specification_equals_firmware(
    board: str, toolchain: Literal["zig", "gcc"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    few_batches(layers(), 20, lambda cases: run_batch(cases, board, tmp_path_factory.mktemp("batch"), toolchain))


@pytest.mark.parametrize("board", ["stm32l4r5", "stm32f746", "stm32u575"])
@pytest.mark.emulator
def test_code_with_loops_equals_firmware(board: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    sizes = [(k, o) for k in (165, 640) for o in (20, 15)]
    cases = [plain(k, o, least, bias) for k, o in sizes for least, bias in ((-127, 0), (-128, 0), (-127, 1 << 28))]
    run_batch(cases, board, tmp_path_factory.mktemp("batch"), "zig")


@pytest.mark.parametrize("rounding", ["native", "tflite"])
@pytest.mark.parametrize("outputs", [8, 13])
def test_sums_that_are_far_from_zero_are_moved_to_be_mixed(outputs: int, rounding: str) -> None:
    case = replace(plain(30, outputs, -127, 1 << 24), rounding=rounding)
    (op,) = case.ops
    assert isinstance(op, Dense)
    these = filters(op, case.io(op))
    assert these.can_mix_moved and not these.can_mix
    check([(case, noise(case))])


def plain(inputs: int, outputs: int, least: int, bias: int = 0) -> Graph:
    """A dense layer with random weights from ``least`` on; below -127 filters cannot be mixed. One of three has a
    ``bias``."""
    rng = np.random.default_rng(0)
    values = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    values[:, 0] = least
    x = Tensor("x", (1, inputs), DType.INT8, Quant.per_tensor(0.02, -11))
    scale = tuple(float(s) for s in rng.uniform(0.5, 1.5, outputs) * 1e-3)
    w = Tensor.constant("w", values, Quant(scale, 0, 0))
    offsets = rng.integers(-2000, 2000, outputs) + np.where(np.arange(outputs) % 3 == 0, -bias, 0)
    b = Tensor.constant("b", offsets.astype(np.int32), Quant(scale, 0, 0))
    return one_op(Dense("f", ("x", "w", "b"), "y"), [x, w, b], Quant.per_tensor(max(0.5, bias * 2e-7), 3))


@given(st.integers(1, 300), st.sampled_from([6, 8]))
def test_every_output_is_in_one_block(outputs: int, most: int) -> None:
    parts = list(_divided(outputs, most))
    assert sum((size - odd) * blocks for size, odd, blocks in parts) == outputs
    assert all(size <= most and size % 2 == 0 and blocks >= 1 for size, _, blocks in parts)
    assert [odd for _, odd, _ in parts][:-1] == [False] * (len(parts) - 1)
    assert not parts[-1][1] or parts[-1][2] == 1


@given(st.integers(1, 5000), st.sampled_from([*SINGLE.most, *DUAL.most]), st.booleans())
def test_all_words_of_inputs_are_met_once(inputs: int, most: int, ahead: bool) -> None:
    block = DenseBlock(6, 1, inputs, mixed=True, moved=False, dual=ahead, most=most, range=None)
    times, each, rest = block.plan(ahead)
    assert times * each + rest == inputs // 4
    assert each + rest <= most
    assert not ahead or (each % 2 == 0 and (rest > 0 or inputs < 4))


def test_no_scratch() -> None:
    case = plain(64, 10, -127)
    (op,) = case.ops
    rows = [row for row in candidates(op, case.io(op), frozenset({"dsp"})) if row.name.startswith("dsp")]
    assert rows and all(row.scratch(op, case.io(op)) == 0 for row in rows)
