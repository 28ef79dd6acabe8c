/* What a block of dot products in codegen_templates/mve/_dot.c.j2 computes, in C: for machines without MVE. */
#ifndef TC_DOT_H
#define TC_DOT_H

#include "tc_numerics.h"

#if !defined(__ARM_FEATURE_MVE)

/* A block of the stream of weights: ``filters`` (4 or 8) of which ``count`` exist, each with ``head`` inputs (in 16 bytes,
 * if any) and ``steps`` times 16 more; then the parameters of the outputs. ``left``: of native requantisation the
 * shift of all sums to the left, of double whether sums have one each. */
typedef struct {
    int filters, count, head, steps, left;
    int32_t zero_point, low, high;
} tc_dot_shape;

/* The sum of filter ``j`` before its bias. */
TC_INLINE int32_t tc_dot_sum(const int8_t *x, const int8_t *w, const tc_dot_shape *s, int j)
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

/* Parameter ``index`` of ``many`` of filter ``j``: vectors of 4 follow one another, first those of all even filters
 * where a block has 8. */
TC_INLINE int32_t tc_dot_parameter(const int8_t *w, const tc_dot_shape *s, int many, int index, int j)
{
    const int group = s->filters == 8 ? j % 2 : 0, lane = s->filters == 8 ? j / 2 : j;
    int32_t value;
    tc_copy(&value, w + 16 * s->filters * (s->steps + (s->head > 0)) + 16 * (many * group + index) + 4 * lane, 4);
    return value;
}

TC_INLINE int8_t tc_dot_output(int32_t scaled, const tc_dot_shape *s)
{
    return (int8_t)tc_saturate(tc_add_wrapping(scaled, s->zero_point), s->low, s->high);
}

TC_INLINE void tc_dot_block_native(const int8_t *x, const int8_t *w, int8_t *out, const tc_dot_shape *s)
{
    int j;
    for (j = 0; j < s->count; j++) {
        int32_t sum = tc_dot_sum(x, w, s, j) + tc_dot_parameter(w, s, 2, 0, j);
        sum = tc_shift_left_saturating(sum, s->left);
        out[j] = tc_dot_output(tc_high_mul_round(sum, tc_dot_parameter(w, s, 2, 1, j), 0), s);
    }
}

TC_INLINE void tc_dot_block_single(const int8_t *x, const int8_t *w, int8_t *out, const tc_dot_shape *s)
{
    int j;
    for (j = 0; j < s->count; j++) {
        int32_t sum = tc_dot_sum(x, w, s, j) + tc_dot_parameter(w, s, 3, 0, j);
        int32_t high = tc_high_word((int64_t)sum * tc_dot_parameter(w, s, 3, 1, j));
        int right = -tc_dot_parameter(w, s, 3, 2, j);
        out[j] = tc_dot_output((high + ((int32_t)1 << (right - 1))) >> right, s);
    }
}

TC_INLINE void tc_dot_block_double(const int8_t *x, const int8_t *w, int8_t *out, const tc_dot_shape *s)
{
    const int many = s->left ? 4 : 3;
    int j;
    for (j = 0; j < s->count; j++) {
        int32_t sum = tc_dot_sum(x, w, s, j) + tc_dot_parameter(w, s, many, 0, j);
        int32_t left = s->left ? tc_dot_parameter(w, s, many, 1, j) : 0;
        int32_t right = tc_dot_parameter(w, s, many, many - 1, j);
        int32_t multiplier = tc_dot_parameter(w, s, many, many - 2, j);
        out[j] = tc_dot_output(tc_requantize_double(sum, multiplier, left > 0 ? left : right), s);
    }
}

#endif

#endif
