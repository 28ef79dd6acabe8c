"""Weights and biases as integers."""

from __future__ import annotations

import numpy as np

from tinycompile.errors import QuantizationFailed
from tinycompile.ir import Array, DType, Quant, Tensor

LARGEST_BIAS = 2.0**30
"""Leaves the other half of int32 to the products that are added to the bias."""
SHRINK = np.linspace(1.0, 0.7, 31)
"""Shares of a channel's largest weight that are tried as its range."""
LEAST_SHARE = 2.0**-24
"""No channel's scale is below this share of the largest one: what it then loses the output cannot show."""


def weight_scales(real: Array) -> Array:
    """float64[O]: the scale of each index of axis 0 that gives symmetric int8 of least mean square error.

    Candidates are shares of max|w| / 127, so all codes lie in -127 .. 127. Channels that are zero get the
    least scale allowed.
    """
    rows = np.asarray(real, np.float64).reshape(real.shape[0], -1)
    full = np.abs(rows).max(axis=1) / 127
    full = np.maximum(full, full.max() * LEAST_SHARE) if full.max() > 0 else np.full(len(rows), 1 / 127)
    best, least = full, np.full(len(rows), np.inf)
    for share in SHRINK:
        scale = (full * share)[:, None]
        error = np.square(np.clip(np.rint(rows / scale), -127, 127) * scale - rows).sum(axis=1)
        best, least = np.where(error < least, full * share, best), np.minimum(error, least)
    return np.asarray(best, np.float64)


def quantized_weights(tensor: Tensor, input_scale: float, bias: Array | None) -> Tensor:
    """Symmetric int8 weights, per channel on axis 0, with scales that keep ``bias`` within int32.

    Integer weights that came with the file stay as they are.
    """
    if tensor.dtype is not DType.FLOAT32:
        return tensor
    real = tensor.values
    scales = weight_scales(real)
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias.astype(np.float64)) / (input_scale * LARGEST_BIAS))
    quant = Quant(tuple(map(float, scales)), 0, 0)
    codes = np.clip(np.rint(real / quant.scales(real.shape)), -127, 127).astype(np.int8)
    return Tensor.constant(tensor.name, codes, quant)


def quantized_bias(name: str, real: Array, quant: Quant) -> Tensor:
    """int32 bias[O] under ``quant``; QuantizationFailed where a value does not fit."""
    real = np.asarray(real, np.float64)
    units = np.rint(real / quant.scales(real.shape))
    if np.abs(units).max(initial=0) > np.iinfo(np.int32).max:
        channel = int(np.abs(units).argmax())
        value, size = real.flat[channel], units.flat[channel]
        raise QuantizationFailed(
            f"bias {value:g} of channel {channel} is {size:.3g} units of its accumulator",
            where=name,
            hint="the scale of its weights or of its input is too small; calibrate on wider data",
        )
    return Tensor.constant(name, units.astype(np.int32), quant)


def accumulator_quant(input_scale: float, weights: Tensor) -> Quant:
    """The unit of an accumulator of products, s_x * s_w[c]."""
    return Quant(tuple(input_scale * s for s in weights.q.scale), 0, weights.q.axis)


def fine_quant(real: Array) -> Quant:
    """For a bias that is added to no accumulator: 30 bits for the largest value."""
    largest = float(np.abs(real).max(initial=0))
    return Quant.per_tensor(largest / LARGEST_BIAS if largest > 0 else 1.0)


def kept_bias(tensor: Tensor, wanted: Quant) -> bool:
    """Whether an integer bias already is in units of the accumulator, to what float32 scales can express."""
    if tensor.dtype is not DType.INT32:
        return False
    if tensor.quant is None:
        return True
    return bool(np.allclose(np.asarray(tensor.quant.scale), np.asarray(wanted.scale), rtol=1e-5, atol=0))
