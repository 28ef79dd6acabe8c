"""What ops with weights share: int32 accumulators of int8 products, and the numbers that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import QuantizationFailed
from tinycompile.ir import IO, Array, Features, Op, Role
from tinycompile.numerics import INT32_MAX, Requantizer, Scheme
from tinycompile.ops.clipping import Clip, int8_bounds

OPERATIONS: Mapping[Scheme, int] = {"native": 1, "single": 1, "double": 4}
"""What requantising one accumulator counts as: cycles relative to the native scheme, as emulated on a Cortex-M4."""


@dataclass(frozen=True)
class Weighted(Op):
    """An op of x, constant weights and, where it has one, a constant bias."""

    def role(self, index: int) -> Role:
        """x, weights, bias."""
        return ("activation", "weight", "bias")[index]


def scheme_of(io: IO, tflite: Scheme = "double") -> Scheme:
    """The requantisation of the graph's rounding; ``tflite``: the one TensorFlow Lite uses for this op."""
    return "native" if io.rounding == "native" else tflite


def folded_bias(io: IO, op_name: str) -> Array:
    """int32[O]: bias - zx * sum(w - zw), so that sum(x * (w - zw)) plus it is the accumulator.

    ``io.inputs`` are x, weights with output channels on axis 0, and optionally the bias.
    Raises QuantizationFailed where some input could carry a partial sum out of int32.
    """
    w, bias = _centred_weights(io), _bias(io)
    folded = bias - io.x.zero_point * w.sum(axis=1)
    _check(np.abs(folded) + 128 * np.abs(w).sum(axis=1), op_name)
    return np.asarray(folded.astype(np.int32))


def checked_bias(io: IO, op_name: str) -> Array:
    """int32[O]: the bias itself, for kernels that subtract zx from inputs; raises like ``folded_bias``."""
    largest = max(abs(-128 - io.x.zero_point), abs(127 - io.x.zero_point))
    bias = _bias(io)
    _check(np.abs(bias) + largest * np.abs(_centred_weights(io)).sum(axis=1), op_name)
    return np.asarray(bias.astype(np.int32))


def _centred_weights(io: IO) -> Array:
    """int64[O, K]: w - zw."""
    weights = io.inputs[1]
    return np.asarray(weights.values.astype(np.int64).reshape(weights.shape[0], -1) - weights.zero_point)


def _bias(io: IO) -> Array:
    """int64[O]: the bias, or zeros."""
    channels = io.inputs[1].shape[0]
    return io.inputs[2].values.astype(np.int64) if len(io.inputs) > 2 else np.zeros(channels, np.int64)


def _check(worst: Array, op_name: str) -> None:
    """Raise where a channel's largest possible magnitude is outside int32."""
    if worst.max() > INT32_MAX:
        channel = int(worst.argmax())
        raise QuantizationFailed(
            f"accumulator of output channel {channel} may reach {worst[channel]:,}, more than int32 holds",
            where=op_name,
            hint="raise the channel's weight scale, which is too small for its bias, or calibrate the input",
        )


def check_sum(count: int, largest: int, op_name: str) -> None:
    """QuantizationFailed where ``count`` terms of at most ``largest`` may leave int32."""
    if count * largest > INT32_MAX:
        raise QuantizationFailed(
            f"a sum of {count:,} values may leave int32",
            where=op_name,
            hint=f"split it into sums of at most {INT32_MAX // largest:,} values",
        )


def product_parameters(io: IO, bias: Array, clip: Clip, scheme: Scheme) -> Mapping[str, Any]:
    """``bias``; ``requantizer``; ``zx``, ``zw``: the zero points of x and of the weights."""
    requantizer = product_requantizer(io, clip, scheme)
    return {"bias": bias, "requantizer": requantizer, "zx": io.x.zero_point, "zw": io.inputs[1].zero_point}


def product_features(io: IO, macs: int, scheme: Scheme) -> Features:
    """``macs`` products, and one requantisation for each output."""
    return Features(macs=macs, ops=io.out.size * OPERATIONS[scheme], stores=io.out.nbytes)


def product_requantizer(io: IO, clip: Clip, scheme: Scheme) -> Requantizer:
    """Accumulators of x * w to the output: scale s_x * s_w[c] / s_y, and the output clipped to ``clip``."""
    scale = io.x.q.scalar * np.asarray(io.inputs[1].q.scale, np.float64) / io.out.q.scalar
    return Requantizer.make(scheme, scale, io.out.zero_point, *int8_bounds(clip, io.out.q))
