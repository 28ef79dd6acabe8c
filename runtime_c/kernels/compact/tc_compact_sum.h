/* Sums and differences of two tensors under broadcasting, for all layers of a model. */
#ifndef TC_COMPACT_SUM_H
#define TC_COMPACT_SUM_H

#include "tc_compact.h"

/* How a layer walks one operand: pitches from one row to the next, elements from one column and one channel to the next;
 * 0 where it repeats. */
typedef struct {
    int32_t row, column, channel;
} tc_compact_steps;

/* One layer. Native: (x0 * multiplier[0] + x1 * multiplier[1] + constant) >> shift[0]. TensorFlow Lite's: operands
 * less their zero point, times 2^20, are scaled by multiplier and shift [0] and [1], their sum (``sign`` before the
 * second one) by [2]. */
typedef struct {
    int32_t out_h, out_w, out_pitch, in0_pitch, in1_pitch;
    int32_t channels;
    tc_compact_steps steps[2];
    int32_t multiplier[3];
    int32_t shift[3];
    int32_t constant;
    int32_t zero_point[2];
    int32_t sign;
    tc_range range;
} tc_compact_sum;

TC_SHARED int32_t tc_compact_term(const tc_compact_sum *c, int32_t x, int which)
{
    return tc_requantize_double(x, c->multiplier[which], c->shift[which]);
}

TC_INLINE int32_t tc_compact_operand(const tc_compact_sum *c, int32_t x, int which)
{
    return tc_compact_term(c, (x - c->zero_point[which]) * (1 << 20), which);
}

TC_INLINE void tc_compact_add(
    tc_scheme scheme, int8_t *out, const int8_t *in0, const int8_t *in1, const tc_compact_sum *c)
{
    int32_t row, column, i;
    for (row = 0; row < c->out_h; row++) {
        const int8_t *a = in0 + row * c->steps[0].row * c->in0_pitch;
        const int8_t *b = in1 + row * c->steps[1].row * c->in1_pitch;
        int8_t *o = out + row * c->out_pitch;
        for (column = 0; column < c->out_w; column++) {
            for (i = 0; i < c->channels; i++) {
                const int32_t x = a[i * c->steps[0].channel], y = b[i * c->steps[1].channel];
                int32_t sum;
                if (scheme == TC_NATIVE) {
                    sum = (x * c->multiplier[0] + y * c->multiplier[1] + c->constant) >> c->shift[0];
                } else {
                    sum = tc_compact_operand(c, x, 0) + c->sign * tc_compact_operand(c, y, 1);
                    sum = tc_add_wrapping(tc_compact_term(c, sum, 2), c->range.zero_point);
                }
                *o++ = (int8_t)tc_saturate(sum, c->range.low, c->range.high);
            }
            a += c->steps[0].column;
            b += c->steps[1].column;
        }
    }
}

TC_SHARED void tc_compact_sum_native(int8_t *out, const int8_t *in0, const int8_t *in1, const tc_compact_sum *c)
{
    tc_compact_add(TC_NATIVE, out, in0, in1, c);
}

TC_SHARED void tc_compact_sum_double(int8_t *out, const int8_t *in0, const int8_t *in1, const tc_compact_sum *c)
{
    tc_compact_add(TC_DOUBLE, out, in0, in1, c);
}

#endif
