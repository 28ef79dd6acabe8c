"""Scales, zero points, histograms and what observers propose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycompile.errors import UsageError
from tinycompile.ir import DType, Quant
from tinycompile.quantize.ranges import Histogram, affine, candidates, span
from tinycompile.quantize.recipe import Recipe

BOUND = st.floats(-1e6, 1e6)


def histogram(values: np.ndarray) -> Histogram:
    found = Histogram.empty(float(values.min()), float(values.max()))
    found.add(values)
    return found


@given(BOUND, BOUND)
def test_zero_is_exact_and_the_range_is_held(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    quant = affine(low, high)
    assert -128 <= quant.zero_point <= 127
    assert quant.decode(quant.encode(np.zeros(1), DType.INT8))[0] == 0.0
    assert float(np.float32(quant.scalar)) == quant.scalar
    if max(abs(low), abs(high)) > 1e-6:
        left, right = span(quant)
        assert left <= low + quant.scalar and right >= high - quant.scalar


@given(BOUND, st.floats(0, 1), st.floats(1e-3, 1e6))
def test_values_inside_move_by_half_a_step(low: float, share: float, width: float) -> None:
    quant = affine(low, low + width)
    left, right = span(quant)
    value = np.array([left + share * (right - left)])
    moved = abs(float(quant.decode(quant.encode(value, DType.INT8))[0]) - value[0])
    assert moved <= 0.5001 * quant.scalar + 1e-6 * abs(value[0])


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 1e-30), (-1e-25, 0)])
def test_nothing_but_zero_gets_a_plain_scale(low: float, high: float) -> None:
    assert affine(low, high) == Quant.per_tensor(1 / 128, 0)


def test_histogram_error_is_that_of_the_values() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 20000)
    for quant in (affine(values.min(), values.max()), affine(-1, 1), Quant.per_tensor(0.1, 30)):
        true = float(np.mean((values - quant.decode(quant.encode(values, DType.INT8))) ** 2))
        assert histogram(values).error(quant) == pytest.approx(true, rel=0.05)


def test_histogram_adds_up_and_knows_quantiles() -> None:
    values = np.random.default_rng(0).uniform(-1, 3, 50000)
    parts = Histogram.empty(float(values.min()), float(values.max()))
    for part in np.split(values, 10):
        parts.add(part)
    np.testing.assert_array_equal(parts.counts, histogram(values).counts)
    assert parts.quantile(0.25) == pytest.approx(0.0, abs=0.03)
    assert parts.power() == pytest.approx(np.mean(values**2), rel=0.01)


def test_pixels_are_lossless() -> None:
    values = np.arange(256.0)
    found = histogram(values)
    best = min(candidates(found, Recipe()), key=lambda c: found.error(c.quant))
    assert best.quant == Quant.per_tensor(1.0, -128)


def test_outliers_are_clipped_by_mean_square() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(0, 1, 1000000), [30.0]])
    found = histogram(values)
    assert found.error(found.least_error()) < 0.6 * found.error(affine(values.min(), 30.0))


@given(st.integers(0, 1000), st.sampled_from(["normal", "exponential", "uniform"]))
def test_mean_square_is_never_worse_than_min_max(seed: int, kind: str) -> None:
    values = getattr(np.random.default_rng(seed), kind)(size=2000)
    found = histogram(values)
    full = found.error(affine(found.low, found.high))
    assert found.error(found.least_error()) <= full * (1 + 1e-9)


def test_recipe_restricts_who_proposes() -> None:
    found = histogram(np.random.default_rng(0).standard_t(3, 10000))
    assert [c.method for c in candidates(found, Recipe(methods=("min-max",)))] == ["min-max"]
    assert {c.method for c in candidates(found, Recipe())} == {"min-max", "percentile", "mean-square"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": 0},
        {"methods": ()},
        {"methods": ("best",)},
        {"percentiles": (10.0,)},
        {"input_range": (1.0, 1.0)},
    ],
)
def test_recipe_rejects(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Recipe(**wrong)  # type: ignore[arg-type]
