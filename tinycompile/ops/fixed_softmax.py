"""TensorFlow Lite's integer softmax (kernels/internal/reference/softmax.h over gemmlowp/fixedpoint), exact to the bit.

A fixed-point number is an int32 with a stated number of integer bits: 0 means 31 fraction bits. The exponential
depends on nothing but ``max - x``, so all 256 of them are computed here; the chip adds them up and divides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.errors import QuantizationFailed
from tinycompile.ir import Array, Quant
from tinycompile.numerics import INT32_MAX, Int, doubling_high_mul, rounding_divide_by_pot, tflite_multiplier

DIFFERENCE_BITS = 5
"""Integer bits of (x - max) * scale * beta."""
SUM_BITS = 12
"""Integer bits of the sum of exponentials."""
LONGEST = (1 << SUM_BITS) - 1
"""Values in a row, each at most 1, before their sum may leave int32."""
OUTPUT = Quant.per_tensor(1 / 256, -128)
"""The only output quantisation that TensorFlow Lite's int8 softmax knows."""


@dataclass(frozen=True, eq=False)
class FixedSoftmax:
    """``exponentials``: int32[256] with 31 fraction bits, exp((x - max) * scale * beta) by max - x."""

    exponentials: Array

    @staticmethod
    def make(length: int, scale: float) -> FixedSoftmax:
        """For rows of ``length`` values in steps of ``scale`` (input scale times beta).

        Raises QuantizationFailed for rows of more than 4,095 values: their sum may not fit.
        """
        if length > LONGEST:
            raise QuantizationFailed(
                f"softmax over {length:,} values in TensorFlow Lite's arithmetic, which holds {LONGEST:,}",
                hint="--rounding native",
            )
        fraction_bits = 31 - DIFFERENCE_BITS
        multiplier, shift = tflite_multiplier(min(max(scale * 2.0**fraction_bits, 1.0), 2.0**31 - 1.0))
        distance = np.arange(256, dtype=np.int64)
        furthest = int(((1 << DIFFERENCE_BITS) - 1) * 2.0**fraction_bits / 2.0 ** int(shift[0]))
        near = np.minimum(distance, furthest)
        exponentials = exp_of_negative(doubling_high_mul(-near << int(shift[0]), multiplier))
        return FixedSoftmax(np.where(distance <= furthest, exponentials, 0).astype(np.int32))

    def __call__(self, x: Array) -> Array:
        """int8[..., length] to int8 with ``OUTPUT``."""
        wide = x.astype(np.int64)
        e = self.exponentials.astype(np.int64)[wide.max(axis=-1, keepdims=True) - wide]
        total = rounding_divide_by_pot(e, np.array(SUM_BITS)).sum(axis=-1, keepdims=True)
        headroom = 31 - np.floor(np.log2(total.astype(np.float64))).astype(np.int64)
        reciprocal = one_over_one_plus((total << headroom) - (1 << 31))
        exponent = SUM_BITS - headroom + 31 - 8
        product = doubling_high_mul(reciprocal, e)
        q = np.where(exponent > 31, 0, rounding_divide_by_pot(product, np.minimum(exponent, 31)))
        return (np.minimum(q, 255) - 128).astype(np.int8)


def exp_of_negative(x: Int) -> Int:
    """exp(x) with 31 fraction bits, for x <= 0 with 5 integer bits (gemmlowp exp_on_negative_values).

    The part in -1/4 .. 0 by a Taylor series; each higher bit of -x multiplies by a constant exp(-2**k).
    """
    fraction_bits = 31 - DIFFERENCE_BITS
    quarter = 1 << (fraction_bits - 2)
    part = (x & (quarter - 1)) - quarter
    result = _exp_of_quarter(part << DIFFERENCE_BITS)
    rest = part - x
    for bit, factor in enumerate(EXPONENTIALS, fraction_bits - 2):
        result = np.where(rest >> bit & 1, doubling_high_mul(result, np.array(factor)), result)
    return np.where(x == 0, INT32_MAX, result)


EXPONENTIALS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp(-2**k) * 2**31 for k = -2 .. 4."""
EXP_MINUS_EIGHTH = 1895147668
ONE_THIRD = 715827883


def _exp_of_quarter(x: Int) -> Int:
    """exp(x) for x in -1/4 .. 0, 31 fraction bits: Taylor series of the fourth order around -1/8."""
    z = x + (1 << 28)
    z2 = doubling_high_mul(z, z)
    z3, z4 = doubling_high_mul(z2, z), doubling_high_mul(z2, z2)
    inner = rounding_divide_by_pot(z4, np.array(2)) + z3
    tail = rounding_divide_by_pot(doubling_high_mul(inner, np.array(ONE_THIRD)) + z2, np.array(1))
    return EXP_MINUS_EIGHTH + doubling_high_mul(np.array(EXP_MINUS_EIGHTH), z + tail)


def one_over_one_plus(x: Int) -> Int:
    """1 / (1 + x) for x in 0 .. 1, 31 fraction bits; the twin of tc_one_over_one_plus in tc_softmax.h.

    Three Newton steps on y = 1 / d with d = (1 + x) / 2, from 48/17 - 32/17 d; y has 2 integer bits.
    """
    half = (x + (1 << 31)) >> 1
    y = 1515870810 + doubling_high_mul(half, np.array(-1010580540))
    for _ in range(3):
        y = y + (doubling_high_mul(y, (1 << 29) - doubling_high_mul(half, y)) << 2)
    return np.asarray(np.minimum(y << 1, INT32_MAX))
