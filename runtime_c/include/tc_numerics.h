/* Fixed point: the twin of tinycompile/numerics.py, same names, same order. */
#ifndef TC_NUMERICS_H
#define TC_NUMERICS_H

#include "tc.h"

/* Clamp to low .. high. */
TC_INLINE int32_t tc_saturate(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Clamp to int8. */
TC_INLINE int32_t tc_saturate8(int32_t x)
{
#if defined(__ARM_FEATURE_SAT) && !defined(__ARM_ARCH_6M__)
    int32_t y;
    __asm__("ssat %0, #8, %1" : "=r"(y) : "r"(x));
    return y;
#else
    return tc_saturate(x, -128, 127);
#endif
}

/* x >> bits with the sign kept, as a number in the range of int32. */
TC_INLINE int32_t tc_high_word(int64_t x)
{
    return (int32_t)(x >> 32);
}

/* addend + ((a * b + 2^31) >> 32): the rounded high word of a product, accumulated (SMMLAR). */
TC_INLINE int32_t tc_high_mul_round(int32_t a, int32_t b, int32_t addend)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t y;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(addend));
    return y;
#elif defined(__ARM_ARCH_6M__)
    /* No long multiply: four 16x16 products, all exact; the low word only contributes its carry. */
    uint32_t al = (uint32_t)a & 0xFFFFu, bl = (uint32_t)b & 0xFFFFu;
    int32_t ah = a >> 16, bh = b >> 16;
    uint32_t low = al * bl;
    int32_t mid = ah * (int32_t)bl;
    int32_t sum = (int32_t)(low >> 16) + (int32_t)((uint32_t)mid & 0xFFFFu);
    int32_t mid2 = (int32_t)al * bh;
    int32_t carry = (sum + (int32_t)((uint32_t)mid2 & 0xFFFFu) + 0x8000) >> 16;
    return addend + ah * bh + (mid >> 16) + (mid2 >> 16) + carry;
#else
    return addend + tc_high_word((int64_t)a * b + ((int64_t)1 << 31));
#endif
}

/* x * 2^bits, after clamping x to what the shift can keep in int32. */
TC_INLINE int32_t tc_shift_left_saturating(int32_t x, int bits)
{
    int32_t high = INT32_MAX >> bits;
    return (int32_t)((uint32_t)tc_saturate(x, -high - 1, high) << bits);
}

/* Round-half-away high word of 2ab, saturated for a = b = INT32_MIN. Nudged by 1 - 2^30 and cut towards zero, a negative
 * product p gives ceil((p + 1 - 2^30) / 2^31) = floor((p + 2^30) / 2^31): the same as others. */
TC_INLINE int32_t tc_doubling_high_mul(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^exponent, rounded to nearest, ties away from zero. */
TC_INLINE int32_t tc_rounding_divide_by_pot(int32_t x, int exponent)
{
    int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
    int32_t remainder = x & mask;
    int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x + y modulo 2^32: for sums that leave int32 only under a nonsensical scale. */
TC_INLINE int32_t tc_add_wrapping(int32_t x, int32_t y)
{
    return (int32_t)((uint32_t)x + (uint32_t)y);
}

/* Two roundings; shift > 0 is to the left. */
TC_INLINE int32_t tc_requantize_double(int32_t x, int32_t multiplier, int shift)
{
    int left = shift > 0 ? shift : 0;
    int right = shift > 0 ? 0 : -shift;
    int32_t shifted = (int32_t)((uint32_t)x << left);
    return tc_rounding_divide_by_pot(tc_doubling_high_mul(shifted, multiplier), right);
}

/* One rounding: (x * multiplier + half) >> (31 - shift). */
TC_INLINE int32_t tc_requantize_single(int32_t x, int32_t multiplier, int shift)
{
    int total = 31 - shift;
    return (int32_t)(((int64_t)x * multiplier + ((int64_t)1 << (total - 1))) >> total);
}

#endif
