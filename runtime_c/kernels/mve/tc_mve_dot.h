/* What a block of dot products in codegen_templates/mve/_dot.c.j2 computes, in C: for machines without MVE. */
#ifndef TC_MVE_DOT_H
#define TC_MVE_DOT_H

#include "tc_mve_outputs.h"

#if !defined(__ARM_FEATURE_MVE)

/* A block of the stream: ``filters`` (4 or 8) of which ``count`` exist, each with ``head`` inputs (in 16 bytes, if any)
 * and ``steps`` times 16 more; then the parameters of the outputs. */
typedef struct {
    int filters, count, head, steps;
    tc_mve_outputs outputs;
} tc_mve_dot_shape;

/* The sum of filter ``j`` before its bias. */
TC_INLINE int32_t tc_mve_dot_sum(const int8_t *x, const int8_t *w, const tc_mve_dot_shape *s, int j)
{
    int32_t sum = 0;
    int k, step;
    for (k = 0; k < s->head; k++) {
        sum += x[k] * w[16 * j + k];
    }
    x += s->head;
    w += s->head ? 16 * s->filters : 0;
    for (step = 0; step < s->steps; step++) {
        for (k = 0; k < 16; k++) {
            sum += x[16 * step + k] * w[16 * (s->filters * step + j) + k];
        }
    }
    return sum;
}

/* Where the ``many`` parameters of filter ``j`` start: of 8 filters, those of the even ones come first. */
TC_INLINE const int8_t *tc_mve_dot_lane(const int8_t *w, const tc_mve_dot_shape *s, int many, int j)
{
    const int group = s->filters == 8 ? j % 2 : 0, lane = s->filters == 8 ? j / 2 : j;
    return w + 16 * s->filters * (s->steps + (s->head > 0)) + 16 * many * group + 4 * lane;
}

#define TC_MVE_DOT_BLOCK(scheme)                                                                                      \
    TC_INLINE void tc_mve_dot_block_##scheme(const int8_t *x, const int8_t *w, int8_t *out, const tc_mve_dot_shape *s)\
    {                                                                                                                 \
        const int many = tc_mve_output_parameters_##scheme(&s->outputs);                                              \
        int j;                                                                                                        \
        for (j = 0; j < s->count; j++) {                                                                              \
            out[j] = tc_mve_output_##scheme(tc_mve_dot_sum(x, w, s, j), tc_mve_dot_lane(w, s, many, j), &s->outputs); \
        }                                                                                                             \
    }

TC_MVE_DOT_BLOCK(native)
TC_MVE_DOT_BLOCK(single)
TC_MVE_DOT_BLOCK(double)

#endif

#endif
