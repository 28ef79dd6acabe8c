/* What codegen_templates/mve/_requantize.c.j2 computes, in C: for machines without MVE. */
#ifndef TC_MVE_OUTPUTS_H
#define TC_MVE_OUTPUTS_H

#include "tc_numerics.h"

/* ``left``: of native requantisation the shift of all sums to the left; of double whether sums have one each. */
typedef struct {
    int left;
    int32_t zero_point, low, high;
} tc_mve_outputs;

/* Parameter ``index`` of a sum: the same lane of successive vectors of four. */
TC_INLINE int32_t tc_mve_output_parameter(const int8_t *lane, int index)
{
    int32_t value;
    tc_copy(&value, lane + 16 * index, 4);
    return value;
}

/* Vectors of parameters, by the scheme. */
TC_INLINE int tc_mve_output_parameters_native(const tc_mve_outputs *s)
{
    (void)s;
    return 2;
}

TC_INLINE int tc_mve_output_parameters_single(const tc_mve_outputs *s)
{
    (void)s;
    return 3;
}

TC_INLINE int tc_mve_output_parameters_double(const tc_mve_outputs *s)
{
    return s->left ? 4 : 3;
}

TC_INLINE int8_t tc_mve_output(int32_t scaled, const tc_mve_outputs *s)
{
    return (int8_t)tc_saturate(tc_add_wrapping(scaled, s->zero_point), s->low, s->high);
}

/* A sum without its bias to an output; ``lane``: the first of its parameters, which is the bias. */
TC_INLINE int8_t tc_mve_output_native(int32_t sum, const int8_t *lane, const tc_mve_outputs *s)
{
    const int32_t shifted = tc_shift_left_saturating(sum + tc_mve_output_parameter(lane, 0), s->left);
    return tc_mve_output(tc_high_mul_round(shifted, tc_mve_output_parameter(lane, 1), 0), s);
}

TC_INLINE int8_t tc_mve_output_single(int32_t sum, const int8_t *lane, const tc_mve_outputs *s)
{
    const int64_t product = (int64_t)(sum + tc_mve_output_parameter(lane, 0)) * tc_mve_output_parameter(lane, 1);
    const int right = -tc_mve_output_parameter(lane, 2);
    return tc_mve_output((tc_high_word(product) + ((int32_t)1 << (right - 1))) >> right, s);
}

TC_INLINE int8_t tc_mve_output_double(int32_t sum, const int8_t *lane, const tc_mve_outputs *s)
{
    const int32_t left = s->left ? tc_mve_output_parameter(lane, 1) : 0;
    const int32_t multiplier = tc_mve_output_parameter(lane, s->left ? 2 : 1);
    const int32_t right = tc_mve_output_parameter(lane, s->left ? 3 : 2);
    const int32_t biased = sum + tc_mve_output_parameter(lane, 0);
    return tc_mve_output(tc_requantize_double(biased, multiplier, left > 0 ? left : right), s);
}

#endif
