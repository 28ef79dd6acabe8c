/* Convolutions in any number of groups, and dense layers: one loop over the pixels for all layers of a model. */
#ifndef TC_COMPACT_CONV_H
#define TC_COMPACT_CONV_H

#include "tc_compact.h"
#include "tc_simd.h"

/* One layer. The kernel's extents are below 256, the channels below 65536. */
typedef struct {
    uint8_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    uint8_t zx;    /* the byte that stands for zero in the input: what padding is filled with */
    uint8_t shift; /* native: of all accumulators to the left */
    uint16_t channels; /* of the input */
    uint16_t groups;
    uint16_t inputs, outputs; /* channels of a group */
    tc_range range;
    int32_t words; /* values under the kernel in a group, rounded up to words of four */
    int32_t out_h, out_w, out_pitch, in0_h, in0_w, in0_pitch, pad_top, pad_left, in0_turn, in0_ring;
    const int8_t *weights; /* blocks of four outputs of a group (the last filled up with zeros), each (words, 4, 4) */
    const int32_t *bias;   /* up to three more at the end */
    const int32_t *multiplier;
    const int8_t *shifts; /* TensorFlow Lite's: of each channel; else none */
    const int8_t *padding; /* depthwise: a pixel of zeros; else none */
} tc_compact_conv;

/* The inputs of a group under the kernel, at row ``top`` and column ``left`` of the image, padding included. */
TC_INLINE void tc_compact_gather(int8_t *to, const int8_t *in0, const tc_compact_conv *c, int32_t top, int32_t left)
{
    const int inside = left >= 0 && left + c->kernel_w <= c->in0_w;
    const int32_t step = inside && c->dilation_w == 1 && c->groups == 1 ? c->kernel_w : 1;
    const int32_t bytes = step * c->inputs;
    int32_t ky, kx;
    for (ky = 0; ky < c->kernel_h; ky++) {
        const int32_t y = top + ky * c->dilation_h;
        for (kx = 0; kx < c->kernel_w; kx += step) {
            const int32_t x = left + kx * c->dilation_w;
            if (y < 0 || y >= c->in0_h || x < 0 || x >= c->in0_w) {
                tc_fill(to, c->zx, (size_t)bytes);
            } else {
                const int32_t from = y * c->in0_pitch - (y >= c->in0_turn ? c->in0_ring : 0) + x * c->channels;
                tc_copy(to, in0 + from, (size_t)bytes);
            }
            to += bytes;
        }
    }
}

/* Adds the products of ``words`` times four inputs with the weights of four outputs; returns where the weights end. */
TC_INLINE const int8_t *tc_compact_products(int32_t acc[4], const int8_t *x, const int8_t *w, int32_t words)
{
    int32_t a0 = acc[0], a1 = acc[1], a2 = acc[2], a3 = acc[3];
    do {
#if defined(__ARM_FEATURE_DSP) || !defined(__arm__)
        const uint32_t v = tc_load32(x), even = tc_sxtb16(v), odd = tc_sxtb16_ror8(v);
        const uint32_t w0 = tc_load32(w), w1 = tc_load32(w + 4), w2 = tc_load32(w + 8), w3 = tc_load32(w + 12);
        a0 = tc_smlad(odd, tc_sxtb16_ror8(w0), tc_smlad(even, tc_sxtb16(w0), a0));
        a1 = tc_smlad(odd, tc_sxtb16_ror8(w1), tc_smlad(even, tc_sxtb16(w1), a1));
        a2 = tc_smlad(odd, tc_sxtb16_ror8(w2), tc_smlad(even, tc_sxtb16(w2), a2));
        a3 = tc_smlad(odd, tc_sxtb16_ror8(w3), tc_smlad(even, tc_sxtb16(w3), a3));
        x += 4;
        w += 16;
#else
        const int8_t *const end = x + 4;
        do {
            const int32_t v = *x++;
            a0 += v * w[0];
            a1 += v * w[4];
            a2 += v * w[8];
            a3 += v * w[12];
            w++;
        } while (x != end);
        w += 12;
#endif
    } while (--words > 0);
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
    return w;
}

/* ``scratch`` holds 4 * words bytes. Reads all inputs of a group's pixel before it writes any. */
TC_INLINE void tc_compact_conv_any(
    int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c, tc_scheme scheme)
{
    int8_t *const patch = (int8_t *)scratch;
    int32_t row, column, group, j;
    for (row = 0; row < c->out_h; row++) {
        int8_t *o = out + row * c->out_pitch;
        for (column = 0; column < c->out_w; column++) {
            const int8_t *w = c->weights;
            int32_t channel = 0;
            for (group = 0; group < c->groups; group++) {
                const int32_t end = channel + c->outputs;
                tc_compact_gather(
                    patch, in0 + group * c->inputs, c, row * c->stride_h - c->pad_top, column * c->stride_w - c->pad_left);
                while (channel < end) {
                    int32_t acc[4];
                    for (j = 0; j < 4; j++) {
                        acc[j] = c->bias[channel + j];
                    }
                    w = tc_compact_products(acc, patch, w, c->words);
                    for (j = 0; j < 4 && channel < end; j++, channel++) {
                        const int shift = scheme == TC_NATIVE ? c->shift : c->shifts[channel];
                        *o++ = tc_compact_requantize(scheme, acc[j], c->multiplier[channel], shift, c->range);
                    }
                }
            }
        }
    }
}

TC_SHARED void tc_compact_conv_native(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_conv_any(out, in0, scratch, c, TC_NATIVE);
}

TC_SHARED void tc_compact_conv_double(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_conv_any(out, in0, scratch, c, TC_DOUBLE);
}

TC_SHARED void tc_compact_conv_single(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_conv_any(out, in0, scratch, c, TC_SINGLE);
}

/* Depthwise, one output for each input channel: weights (taps, channels); ``scratch`` holds a pointer for each tap, and
 * one more so that it can be aligned. Reads all inputs of some channels before it writes them. */
TC_INLINE void tc_compact_depthwise_any(
    int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c, tc_scheme scheme)
{
    const uintptr_t mask = sizeof(void *) - 1u;
    const int8_t **const taps = (const int8_t **)(((uintptr_t)scratch + mask) & ~mask);
    const int32_t channels = c->channels;
    int32_t row, column, ky, kx, j;
    for (row = 0; row < c->out_h; row++) {
        int8_t *o = out + row * c->out_pitch;
        for (column = 0; column < c->out_w; column++) {
            const int32_t top = row * c->stride_h - c->pad_top, left = column * c->stride_w - c->pad_left;
            const int8_t **end = taps;
            int32_t channel = 0;
            for (ky = 0; ky < c->kernel_h; ky++) {
                const int32_t y = top + ky * c->dilation_h;
                for (kx = 0; kx < c->kernel_w; kx++) {
                    const int32_t x = left + kx * c->dilation_w;
                    const int inside = y >= 0 && y < c->in0_h && x >= 0 && x < c->in0_w;
                    const int32_t from = y * c->in0_pitch - (y >= c->in0_turn ? c->in0_ring : 0) + x * channels;
                    *end++ = inside ? in0 + from : c->padding;
                }
            }
            while (channel < channels) {
                const int8_t **tap = taps;
                const int8_t *w = c->weights + channel;
                int32_t acc[4], count = 1;
                acc[0] = c->bias[channel];
#if defined(__ARM_FEATURE_DSP) || !defined(__arm__)
                if (channel + 4 <= channels) {
                    int32_t a0 = acc[0], a1 = c->bias[channel + 1], a2 = c->bias[channel + 2], a3 = c->bias[channel + 3];
                    for (; tap != end; tap++, w += channels) {
                        const uint32_t v = tc_load32(*tap + channel), u = tc_load32(w);
                        const uint32_t v02 = tc_sxtb16(v), v13 = tc_sxtb16_ror8(v);
                        const uint32_t u02 = tc_sxtb16(u), u13 = tc_sxtb16_ror8(u);
                        a0 = tc_smlabb(v02, u02, a0);
                        a1 = tc_smlabb(v13, u13, a1);
                        a2 = tc_smlatt(v02, u02, a2);
                        a3 = tc_smlatt(v13, u13, a3);
                    }
                    acc[0] = a0;
                    acc[1] = a1;
                    acc[2] = a2;
                    acc[3] = a3;
                    count = 4;
                }
#endif
                for (; tap != end; tap++, w += channels) {
                    acc[0] += (*tap)[channel] * *w;
                }
                for (j = 0; j < count; j++, channel++) {
                    const int shift = scheme == TC_NATIVE ? c->shift : c->shifts[channel];
                    *o++ = tc_compact_requantize(scheme, acc[j], c->multiplier[channel], shift, c->range);
                }
            }
        }
    }
}

TC_SHARED void tc_compact_depthwise_native(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_depthwise_any(out, in0, scratch, c, TC_NATIVE);
}

TC_SHARED void tc_compact_depthwise_double(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_depthwise_any(out, in0, scratch, c, TC_DOUBLE);
}

#endif
