"""How the reference kernels of TensorFlow Lite (LiteRT 2.3) compute functions of one int8 value, exact to the bit.

Relu, LeakyRelu, Abs, HardSwish and requantisation are fixed point, each in its own way; everything else is a table
that the kernel fills in float32 when the model is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from tinycompile.ir import Array, Quant
from tinycompile.numerics import (
    INT8_MAX,
    INT8_MIN,
    Int,
    requantize_double,
    rounding_divide_by_pot,
    saturate,
    tflite_multiplier,
)  # fmt: skip
from tinycompile.ops.clipping import int8_bounds

Real = Callable[[Array], Array]
F32 = np.float32


def table(function: str, constants: tuple[float, ...], real: Real, x: Quant, out: Quant) -> Array:
    """int8[256]: the output for each input from -128 up.

    ``function`` names the function ("" for none), ``real`` is its meaning in float64.
    """
    d = np.arange(-128, 128, dtype=np.int64) - x.zero_point
    ratio = float(F32(x.scalar) / F32(out.scalar))
    if function == "":
        q = _scaled(d, x.scalar / out.scalar)
    elif function == "clip":
        low, high = int8_bounds((constants[0], constants[1]), out)
        return saturate(_scaled(d, ratio) + out.zero_point, low, high).astype(np.int8)
    elif function == "leaky_relu":
        slope = float(F32(x.scalar) * F32(constants[0]) / F32(out.scalar))
        q = np.where(d >= 0, _scaled(d, ratio), _scaled(d, slope))
    elif function == "abs":
        q = _scaled(np.abs(d), ratio)
    elif function == "hard_swish":
        q = _hard_swish(d, x.scalar, out.scalar)
    else:
        values = F32(x.scalar) * d.astype(F32)
        exact = FLOAT32.get(function)
        q = _rounded_float32(exact(values) if exact else real(values.astype(np.float64)), out.scalar)
    return saturate(q + out.zero_point, INT8_MIN, INT8_MAX).astype(np.int8)


def _scaled(d: Int, scale: float) -> Int:
    multiplier, shift = tflite_multiplier(scale)
    return requantize_double(d, multiplier, shift)


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(F32(1) / (F32(1) + np.exp(-x.astype(np.float64)).astype(F32)))


def _gelu(x: Array) -> Array:
    scaled = (x * F32(-math.sqrt(0.5))).astype(np.float64)
    erfc = np.array([math.erfc(v) for v in scaled], F32)
    return np.asarray(F32(0.5) * x * erfc)


FLOAT32: Mapping[str, Real] = {"sigmoid": _sigmoid, "gelu": _gelu}
"""Functions whose intermediate float32 roundings show in results near one half of an output step."""


def _rounded_float32(values: Array, scale: float) -> Int:
    """values / scale, rounded to float32 after each step, ties away from zero; no real result gives the bound."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values.astype(F32) * (F32(1) / F32(scale))).astype(np.float64)
    bounded = np.clip(np.nan_to_num(scaled, nan=-(2.0**20)), -(2.0**20), 2.0**20)
    return (np.sign(bounded) * np.floor(np.abs(bounded) + 0.5)).astype(np.int64)


def _hard_swish(d: Int, in_scale: float, out_scale: float) -> Int:
    """x * relu6(x + 3) / 6 in 16 bits (kernels/internal/reference/hard_swish.h), before the zero point.

    The input has 7 more bits ("hires"); relu6(x + 3) / 6 is a 16-bit fraction around one half.
    """
    hires_scale = F32(1 / 128) * F32(in_scale)
    relu, relu_shift = _multiplier16(float(hires_scale / F32(3 / 32768)))
    output, output_shift = _multiplier16(float(hires_scale / F32(out_scale)))
    hires = d << 7
    fraction = hires
    if relu_shift > 0:
        fraction = _saturate16(fraction << (relu_shift - 1))
    fraction = _high_mul16(fraction, relu)
    if relu_shift > 0:
        fraction = _saturate16(fraction << 1)
    elif relu_shift < 0:
        fraction = rounding_divide_by_pot(fraction, np.array(min(-relu_shift, 31)))
    fraction = (fraction + (1 << 15)) >> 1
    product = fraction * _high_mul16(hires, output)
    product = np.where(product >= 0, product >> 15, -((-product) >> 15))
    if output_shift > 0:
        return _saturate16(_saturate16(product) << output_shift)
    return rounding_divide_by_pot(_saturate16(product), np.array(min(-output_shift, 31)))


def _multiplier16(scale: float) -> tuple[int, int]:
    """A multiplier with 15 fraction bits, and the shift, of a positive real number."""
    multiplier, shift = (int(v[0]) for v in tflite_multiplier(scale))
    return min((multiplier + (1 << 15)) >> 16, 32767), shift


def _saturate16(x: Int) -> Int:
    return saturate(x, -(1 << 15), (1 << 15) - 1)


def _high_mul16(a: Int, b: int) -> Int:
    """2ab / 2**16, rounded to nearest with ties away from zero: the 16-bit form of ``doubling_high_mul``."""
    product = a * b
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.where(nudged >= 0, nudged >> 15, -((-nudged) >> 15))
