"""Fixed point, spelled out once: the twin of ``runtime_c/include/tc_numerics.h``, same names, same order.

Three requantisations turn an int32 accumulator into an int8 value. ``native`` is one rounded high word of a
32x32 multiply plus the zero point (SMMLAR on cores with DSP). ``double`` and ``single`` are those of TensorFlow
Lite (gemmlowp's SaturatingRoundingDoublingHighMul followed by RoundingDivideByPOT, and one 64-bit rounding shift).
All functions take and return int64 arrays that hold int32 values unless they say otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinycompile.errors import InternalError

Int = NDArray[np.int64]
Scheme = Literal["native", "double", "single"]

INT8_MIN, INT8_MAX = -128, 127
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
LARGEST_SHIFT = 30
"""To the left; TensorFlow Lite's kernels assert the same (MultiplyByQuantizedMultiplier)."""


def saturate(x: Int, low: int = INT8_MIN, high: int = INT8_MAX) -> Int:
    """Clamp to ``low .. high``."""
    return np.clip(x, low, high)


def high_mul_round(a: Int, b: Int) -> Int:
    """(a * b + 2**31) >> 32: the rounded high word of a product (SMMULR)."""
    return (a * b + (1 << 31)) >> 32


def shift_left_saturating(x: Int, bits: int) -> Int:
    """x << bits, after clamping x to what the shift can keep in int32."""
    return np.clip(x, INT32_MIN >> bits, INT32_MAX >> bits) << bits


def doubling_high_mul(a: Int, b: Int) -> Int:
    """Round-half-away high word of 2ab, saturated for a = b = INT32_MIN (gemmlowp, SQRDMULH)."""
    product = a * b
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    quotient = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    return np.minimum(quotient, INT32_MAX)


def rounding_divide_by_pot(x: Int, exponent: Int) -> Int:
    """x / 2**exponent, rounded to nearest, ties away from zero (gemmlowp)."""
    mask = (np.int64(1) << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + (remainder > threshold)


def wrapped(x: Int) -> Int:
    """x modulo 2**32, as int32: what the chip keeps of a result that only a nonsensical scale makes so large."""
    return ((x + 2**31) & 0xFFFFFFFF) - 2**31


def requantize_double(x: Int, multiplier: Int, shift: Int) -> Int:
    """TensorFlow Lite's MultiplyByQuantizedMultiplier with two roundings; ``shift`` > 0 is to the left."""
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    return rounding_divide_by_pot(doubling_high_mul(wrapped(x << left), multiplier), right)


def requantize_single(x: Int, multiplier: Int, shift: Int) -> Int:
    """The same with one rounding (TFLITE_SINGLE_ROUNDING): (x * m + half) >> (31 - shift)."""
    total = 31 - shift
    return wrapped((x * multiplier + (np.int64(1) << (total - 1))) >> total)


def native_multiplier(scale: ArrayLike) -> tuple[Int, int]:
    """(multipliers, left): scale = multiplier * 2**(left - 32) with one shared pre-shift ``left``.

    ``left`` is 0 as long as every scale is below 1/2, which holds for nearly every layer.
    Raises InternalError for scales that no pre-shift up to 20 bits can express.
    """
    scales = np.atleast_1d(np.asarray(scale, np.float64))
    left = 0
    while float(np.abs(scales).max()) * 2.0 ** (32 - left) > INT32_MAX + 0.49:
        left += 1
    if left > 20:
        raise InternalError(f"requantisation scale {scales.max():g} is too large for fixed point")
    return np.rint(scales * 2.0 ** (32 - left)).astype(np.int64), left


def tflite_multiplier(scale: ArrayLike) -> tuple[Int, Int]:
    """(multipliers in 2**30 .. 2**31 - 1, shifts): scale = multiplier * 2**(shift - 31) (QuantizeMultiplier)."""
    scales = np.atleast_1d(np.asarray(scale, np.float64))
    fraction, exponent = np.frexp(scales)
    multiplier = np.floor(np.abs(fraction) * 2.0**31 + 0.5).astype(np.int64) * np.sign(fraction).astype(np.int64)
    shift = exponent.astype(np.int64)
    carry = np.abs(multiplier) == 1 << 31
    multiplier, shift = np.where(carry, multiplier // 2, multiplier), np.where(carry, shift + 1, shift)
    tiny = shift < -31
    return np.where(tiny, 0, multiplier), np.where(tiny, 0, shift)


@dataclass(frozen=True, eq=False)
class Requantizer:
    """int32 accumulators to int8: multipliers (one, or one a channel), zero point and clamp.

    ``shift`` holds a shift per multiplier for ``double`` and ``single``, and the shared pre-shift (one element)
    for ``native``. Templates read the fields; ``__call__`` is the specification.
    """

    scheme: Scheme
    multiplier: Int
    shift: Int
    zero_point: int
    low: int = INT8_MIN
    high: int = INT8_MAX

    @staticmethod
    def make(
        scheme: Scheme, scale: ArrayLike, zero_point: int, low: int = INT8_MIN, high: int = INT8_MAX
    ) -> Requantizer:
        """From the real scales (accumulator unit over output unit).

        Raises InternalError for scales that are too large for the scheme; ``quantize`` refuses them before.
        """
        if scheme == "native":
            multiplier, left = native_multiplier(scale)
            return Requantizer(scheme, multiplier, np.array([left]), int(zero_point), low, high)
        multiplier, shift = tflite_multiplier(scale)
        if shift.max() > LARGEST_SHIFT:
            raise InternalError(f"requantisation scale {np.max(scale):g} is too large for fixed point")
        return Requantizer(scheme, multiplier, shift, int(zero_point), low, high)

    @property
    def per_channel(self) -> bool:
        """Whether there is one multiplier a channel."""
        return self.multiplier.size > 1

    def __call__(self, acc: NDArray[np.signedinteger]) -> NDArray[np.int8]:
        """int32 accumulators (channels last) to int8."""
        acc = acc.astype(np.int64)
        if self.scheme == "native":
            scaled = high_mul_round(shift_left_saturating(acc, int(self.shift[0])), self.multiplier)
        elif self.scheme == "double":
            scaled = requantize_double(acc, self.multiplier, self.shift)
        else:
            scaled = requantize_single(acc, self.multiplier, self.shift)
        return saturate(wrapped(scaled + self.zero_point), self.low, self.high).astype(np.int8)
