/* What codegen_templates/mve/depthwise.c.j2 computes, in C: for machines without MVE. */
#ifndef TC_MVE_DEPTHWISE_H
#define TC_MVE_DEPTHWISE_H

#include "tc_mve_outputs.h"

#if !defined(__ARM_FEATURE_MVE)

/* ``channels`` in blocks of 16, the last of which may overlap the one before it; pixels are ``step`` apart. */
typedef struct {
    int taps, channels, step;
    tc_mve_outputs outputs;
} tc_mve_depthwise_shape;

/* One channel: lane ``i`` of a block of the stream. Parameters come in four vectors of lanes that are 4 apart, from
 * lanes 0, 2, 1 and 3 on. */
#define TC_MVE_DEPTHWISE(scheme)                                                                                      \
    TC_INLINE int8_t tc_mve_depthwise_##scheme(const int8_t *const *tap, int at, const int8_t *w, int i,              \
                                           const tc_mve_depthwise_shape *s)                                           \
    {                                                                                                                 \
        const int many = tc_mve_output_parameters_##scheme(&s->outputs), vector = (i & 2) >> 1 | (i & 1) << 1;        \
        int32_t sum = 0;                                                                                              \
        int t;                                                                                                        \
        for (t = 0; t < s->taps; t++) {                                                                               \
            sum += tap[t][at] * w[16 * t + i];                                                                        \
        }                                                                                                             \
        return tc_mve_output_##scheme(sum, w + 16 * (s->taps + many * vector) + 4 * (i >> 2), &s->outputs);           \
    }                                                                                                                 \
                                                                                                                      \
    TC_INLINE void tc_mve_depthwise_run_##scheme(int8_t *out, const int8_t *const *tap, int32_t pixels,               \
                                             const int8_t *w, const tc_mve_depthwise_shape *s)                        \
    {                                                                                                                 \
        const int block = 16 * (s->taps + 4 * tc_mve_output_parameters_##scheme(&s->outputs));                        \
        int32_t pixel;                                                                                                \
        for (pixel = 0; pixel < pixels; pixel++) {                                                                    \
            int c, first = 0;                                                                                         \
            for (c = 0; c < s->channels; c++) {                                                                       \
                if (c == first + 16) {                                                                                \
                    first = c + 16 <= s->channels ? c : s->channels - 16;                                             \
                }                                                                                                     \
                out[pixel * s->channels + c] =                                                                        \
                    tc_mve_depthwise_##scheme(tap, (int)pixel * s->step + c, w + (c / 16) * block, c - first, s);     \
            }                                                                                                         \
        }                                                                                                             \
    }

TC_MVE_DEPTHWISE(native)
TC_MVE_DEPTHWISE(double)

#endif

#endif
