/* Fixed point of TensorFlow Lite's softmax: the twin of tinycompile/ops/fixed_softmax.py. */
#ifndef TC_SOFTMAX_H
#define TC_SOFTMAX_H

#include "tc_numerics.h"

/* 1 / (1 + x) for x in 0 .. 1, 31 fraction bits: three Newton steps from 48/17 - 32/17 d, d = (1 + x) / 2. */
TC_INLINE int32_t tc_one_over_one_plus(int32_t x)
{
    int32_t half = (int32_t)(((uint32_t)x + 0x80000000u) >> 1);
    int32_t y = 1515870810 + tc_doubling_high_mul(half, -1010580540);
    int i;
    for (i = 0; i < 3; i++) {
        y += 4 * tc_doubling_high_mul(y, 0x20000000 - tc_doubling_high_mul(half, y));
    }
    return y >= 0x40000000 ? INT32_MAX : 2 * y;
}

/* (x + 2^(bits-1)) >> bits for x >= 0; 0 for more than 31 bits. */
TC_INLINE int32_t tc_rounded_shift(int32_t x, int bits)
{
    return bits > 31 ? 0 : (int32_t)(((uint32_t)x + ((uint32_t)1 << (bits - 1))) >> bits);
}

#endif
