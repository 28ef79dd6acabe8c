/* Sums, differences and products of two tensors under broadcasting, and look-up tables, for all layers of a model. */
#ifndef TC_COMPACT_ELEMENTWISE_H
#define TC_COMPACT_ELEMENTWISE_H

#include "tc_compact.h"

/* How a layer walks one operand: pitches from one row to the next, elements from one column and one channel to the next;
 * 0 where it repeats. */
typedef struct {
    int32_t row, column, channel;
} tc_compact_steps;

/* One layer of two operands.
 * Native sum: (x0 * multiplier[0] + x1 * multiplier[1] + constant) >> shift[0].
 * TensorFlow Lite's sum: operands less their zero point, times 2^20, are scaled by multiplier and shift [0] and [1], their
 * sum (``sign`` before the second one) by [2].
 * Product: of the operands less their zero points, requantised by multiplier and shift [0]. */
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
} tc_compact_binary;

TC_SHARED int32_t tc_compact_term(const tc_compact_binary *c, int32_t x, int which)
{
    return tc_requantize_double(x, c->multiplier[which], c->shift[which]);
}

TC_INLINE int32_t tc_compact_sum(tc_scheme scheme, const tc_compact_binary *c, int32_t x, int32_t y)
{
    int32_t sum;
    if (scheme == TC_NATIVE) {
        return (x * c->multiplier[0] + y * c->multiplier[1] + c->constant) >> c->shift[0];
    }
    sum = tc_compact_term(c, (x - c->zero_point[0]) * (1 << 20), 0);
    sum += c->sign * tc_compact_term(c, (y - c->zero_point[1]) * (1 << 20), 1);
    return tc_add_wrapping(tc_compact_term(c, sum, 2), c->range.zero_point);
}

TC_INLINE int32_t tc_compact_product(tc_scheme scheme, const tc_compact_binary *c, int32_t x, int32_t y)
{
    const int32_t product = (x - c->zero_point[0]) * (y - c->zero_point[1]);
    if (scheme == TC_NATIVE) {
        return tc_high_mul_round(
            tc_shift_left_saturating(product, c->shift[0]), c->multiplier[0], c->range.zero_point);
    }
    return tc_add_wrapping(tc_compact_term(c, product, 0), c->range.zero_point);
}

typedef enum { TC_SUM, TC_PRODUCT } tc_compact_kind;

TC_INLINE void tc_compact_operate(
    tc_compact_kind kind, tc_scheme scheme, int8_t *out, const int8_t *in0, const int8_t *in1, const tc_compact_binary *c)
{
    int32_t row, column, i;
    for (row = 0; row < c->out_h; row++) {
        const int8_t *a = in0 + row * c->steps[0].row * c->in0_pitch;
        const int8_t *b = in1 + row * c->steps[1].row * c->in1_pitch;
        int8_t *o = out + row * c->out_pitch;
        for (column = 0; column < c->out_w; column++) {
            for (i = 0; i < c->channels; i++) {
                const int32_t x = a[i * c->steps[0].channel], y = b[i * c->steps[1].channel];
                const int32_t value =
                    kind == TC_SUM ? tc_compact_sum(scheme, c, x, y) : tc_compact_product(scheme, c, x, y);
                *o++ = (int8_t)tc_saturate(value, c->range.low, c->range.high);
            }
            a += c->steps[0].column;
            b += c->steps[1].column;
        }
    }
}

TC_SHARED void tc_compact_sum_native(int8_t *out, const int8_t *in0, const int8_t *in1, const tc_compact_binary *c)
{
    tc_compact_operate(TC_SUM, TC_NATIVE, out, in0, in1, c);
}

TC_SHARED void tc_compact_sum_double(int8_t *out, const int8_t *in0, const int8_t *in1, const tc_compact_binary *c)
{
    tc_compact_operate(TC_SUM, TC_DOUBLE, out, in0, in1, c);
}

TC_SHARED void tc_compact_product_native(int8_t *out, const int8_t *in0, const int8_t *in1, const tc_compact_binary *c)
{
    tc_compact_operate(TC_PRODUCT, TC_NATIVE, out, in0, in1, c);
}

TC_SHARED void tc_compact_product_double(int8_t *out, const int8_t *in0, const int8_t *in1, const tc_compact_binary *c)
{
    tc_compact_operate(TC_PRODUCT, TC_DOUBLE, out, in0, in1, c);
}

/* One layer of one operand: what each value from -128 on becomes. */
typedef struct {
    int32_t out_h, out_w, out_pitch, in0_pitch;
    int32_t channels;
    const int8_t *table;
} tc_compact_table;

TC_SHARED void tc_compact_look_up(int8_t *out, const int8_t *in0, const tc_compact_table *c)
{
    const int8_t *const table = c->table + 128;
    const int32_t count = c->out_w * c->channels;
    int32_t row, i;
    for (row = 0; row < c->out_h; row++) {
        for (i = 0; i < count; i++) {
            out[i] = table[in0[i]];
        }
        in0 += c->in0_pitch;
        out += c->out_pitch;
    }
}

#endif
