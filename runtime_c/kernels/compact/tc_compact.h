/* What compact kernels share. Their code is in the image once, whatever the number of layers; a layer is a constant struct. */
#ifndef TC_COMPACT_H
#define TC_COMPACT_H

#include "tc_numerics.h"

/* A function that all layers call; none of them calls all there are. */
#if defined(__GNUC__) || defined(__clang__)
#define TC_SHARED static __attribute__((noinline, unused))
#else
#define TC_SHARED static
#endif

/* How accumulators are requantised. */
typedef enum { TC_NATIVE, TC_DOUBLE, TC_SINGLE } tc_scheme;

/* The output's zero point and clamp. */
typedef struct {
    int32_t zero_point, low, high;
} tc_range;

/* Cores with SIMD take two int16 at a time, and so do hosts, that it may be tested there. */
#if defined(__ARM_FEATURE_DSP) || !defined(__arm__)
#define TC_PAIRS 1
#else
#define TC_PAIRS 0
#endif

#endif
