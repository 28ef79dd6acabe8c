"""Weights and biases as integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycompile.errors import QuantizationFailed
from tinycompile.ir import Quant, Tensor
from tinycompile.quantize.constants import (
    accumulator_quant,
    fine_quant,
    kept_bias,
    quantized_bias,
    quantized_weights,
    weight_scales,
)


@given(st.integers(0, 10000), st.floats(1e-6, 1e6))
def test_codes_are_symmetric_and_close(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    real = (rng.normal(0, size, (4, 3, 3, 2)) * rng.choice([0, 1e-3, 1], (4, 1, 1, 1))).astype(np.float32)
    made = quantized_weights(Tensor.constant("w", real), 0.1, None)
    assert made.q.axis == 0 and made.q.zero_point == 0 and len(made.q.scale) == 4
    assert made.values.min() >= -127
    full = np.abs(real).reshape(4, -1).max(axis=1) / 127
    error = np.square(made.real - real).reshape(4, -1).sum(axis=1)
    plain = np.square(np.rint(real / np.maximum(full, 1e-38)[:, None, None, None]) * full[:, None, None, None] - real)
    slack = np.square(full.max() * 2**-24) * 18
    assert (error <= plain.reshape(4, -1).sum(axis=1) * 1.001 + slack).all()


def test_zero_channels_get_a_scale() -> None:
    real = np.zeros((3, 5))
    real[1] = 2.0
    scales = weight_scales(real)
    assert (scales > 0).all() and scales[0] < scales[1]
    assert (weight_scales(np.zeros((2, 2))) == 1 / 127).all()


def test_a_bias_that_is_too_large_raises_its_channels_scale() -> None:
    real = np.full((2, 4), 1e-6, np.float32)
    bias = np.array([0.0, 1000.0], np.float32)
    weights = quantized_weights(Tensor.constant("w", real), 1e-3, bias)
    integers = quantized_bias("b", bias, accumulator_quant(1e-3, weights))
    assert weights.q.scale[0] < 1e-8 < weights.q.scale[1]
    np.testing.assert_allclose(integers.real, bias, rtol=1e-6)
    assert abs(integers.values).max() <= 2**30


def test_bias_of_fixed_weights_must_fit() -> None:
    weights = Tensor.constant("w", np.ones((1, 2), np.int8), Quant((1e-9,), 0, 0))
    with pytest.raises(QuantizationFailed, match="channel 0"):
        quantized_bias("b", np.array([5.0]), accumulator_quant(1e-3, weights))


def test_integer_weights_and_matching_bias_are_kept() -> None:
    weights = Tensor.constant("w", np.array([[-128, 3]], np.int8), Quant((0.5,), 2))
    assert quantized_weights(weights, 0.1, np.ones(1)) is weights
    bias = Tensor.constant("b", np.array([7], np.int32), Quant((0.05,), 0))
    assert kept_bias(bias, accumulator_quant(0.1, weights))
    assert not kept_bias(bias, accumulator_quant(0.2, weights))


def test_a_bias_outside_an_accumulator_is_fine() -> None:
    bias = np.array([-3.0, 1e-4])
    np.testing.assert_allclose(quantized_bias("b", bias, fine_quant(bias)).real, bias, rtol=1e-4)
    assert fine_quant(np.zeros(2)).scalar == 1.0
