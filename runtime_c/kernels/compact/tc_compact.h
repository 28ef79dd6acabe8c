/* What compact kernels share. Their code is in the image once, whatever the number of layers; each layer is a constant struct. */
#ifndef TC_COMPACT_H
#define TC_COMPACT_H

#include "tc_numerics.h"

/* A function that all layers call: defined in every model that includes it, kept where it is called. */
#if defined(__GNUC__) || defined(__clang__)
#define TC_SHARED static __attribute__((noinline, unused))
#else
#define TC_SHARED static
#endif

/* How accumulators are requantised; a constant argument wherever it is one. */
typedef enum { TC_NATIVE, TC_DOUBLE, TC_SINGLE } tc_scheme;

/* The output's zero point and clamp. */
typedef struct {
    int16_t zero_point, low, high;
} tc_range;

TC_SHARED int32_t tc_compact_double(int32_t acc, int32_t multiplier, int shift)
{
    return tc_requantize_double(acc, multiplier, shift);
}

TC_SHARED int32_t tc_compact_single(int32_t acc, int32_t multiplier, int shift)
{
    return tc_requantize_single(acc, multiplier, shift);
}

/* One instruction where there is SMMLAR; the product of two words is a function on cores without. */
#if defined(__ARM_FEATURE_DSP)
#define TC_MULTIPLY TC_INLINE
#else
#define TC_MULTIPLY TC_SHARED
#endif

TC_MULTIPLY int32_t tc_compact_native(int32_t acc, int32_t multiplier, int shift)
{
    return tc_high_mul_round(tc_shift_left_saturating(acc, shift), multiplier, 0);
}

/* The int8 value of an accumulator; a native ``shift`` is to the left. */
TC_INLINE int8_t tc_compact_requantize(tc_scheme scheme, int32_t acc, int32_t multiplier, int shift, tc_range range)
{
    const int32_t scaled = scheme == TC_NATIVE   ? tc_compact_native(acc, multiplier, shift)
                           : scheme == TC_DOUBLE ? tc_compact_double(acc, multiplier, shift)
                                                 : tc_compact_single(acc, multiplier, shift);
    return (int8_t)tc_saturate(tc_add_wrapping(scaled, range.zero_point), range.low, range.high);
}

#endif
