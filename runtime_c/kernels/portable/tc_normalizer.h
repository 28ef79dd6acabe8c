/* Square root and reciprocal deviation in fixed point, for instance normalisation. */
#ifndef TC_NORMALIZER_H
#define TC_NORMALIZER_H

#include "tc_numerics.h"

/* The largest r with r * r <= x, bit by bit from the top. */
static inline uint32_t tc_isqrt64(uint64_t x)
{
    uint64_t root = 0, bit = (uint64_t)1 << 62;
    while (bit > x) {
        bit >>= 2;
    }
    while (bit != 0) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
        bit >>= 2;
    }
    return (uint32_t)root;
}

/* gain / sqrt(spread) as a multiplier with *fraction (0 .. 16) fraction bits: normalizer() in
   tinycompile/ops/instance_norm.py. spread is in 1 .. 2^62, |gain| is below 2^31. */
static inline int32_t tc_normalizer(uint64_t spread, int32_t gain, int32_t exponent, int32_t *fraction)
{
    int32_t half = 0, f;
    uint64_t magnitude = (uint64_t)(gain < 0 ? -(int64_t)gain : (int64_t)gain) << 31;
    while ((spread >> 62) == 0) {
        spread <<= 2;
        half++;
    }
    magnitude /= tc_isqrt64(spread);
    f = -exponent - half;
    if (f > 16) {
        magnitude >>= f - 16 < 31 ? f - 16 : 31;
        f = 16;
    } else if (f < 0) {
        magnitude <<= -f < 31 ? -f : 31;
        magnitude = magnitude < INT32_MAX ? magnitude : INT32_MAX;
        f = 0;
    }
    *fraction = f;
    return gain < 0 ? -(int32_t)magnitude : (int32_t)magnitude;
}

#endif
