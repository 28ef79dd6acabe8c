/* Convolutions in any number of groups, and dense layers: one loop over the pixels for all layers of a model. */
#ifndef TC_COMPACT_CONV_H
#define TC_COMPACT_CONV_H

#include "tc_compact.h"
#include "tc_simd.h"

/* One layer. */
typedef struct {
    uint8_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    uint8_t zx;    /* the byte that stands for zero in the input: what padding is filled with */
    uint8_t shift; /* native: of all accumulators, to the left */
    uint16_t channels; /* of the input */
    uint16_t groups;
    uint16_t inputs, outputs; /* channels of a group */
    int32_t words; /* values under the kernel in a group, rounded up to words of four */
    int32_t out_h, out_w, out_pitch, in0_h, in0_w, in0_pitch, pad_top, pad_left, in0_turn, in0_ring;
    const int8_t *weights; /* blocks of four outputs of a group (the last filled up with zeros), each (words, 4, 4) */
    const int32_t *bias;   /* up to three more at the end */
    const int32_t *multiplier;
    const int8_t *shifts; /* TensorFlow Lite's: of each channel; else none */
    const int8_t *padding; /* depthwise: a pixel of zero points; else none */
    tc_range range;
} tc_compact_conv;

/* Writes ``count`` channels from ``channel`` on; returns where the next one belongs. */
TC_INLINE int8_t *tc_compact_store(
    tc_scheme scheme, int8_t *o, const int32_t *acc, const tc_compact_conv *c, int32_t channel, int32_t count)
{
    const int32_t *multiplier = c->multiplier + channel;
    const int8_t *shift = scheme == TC_NATIVE ? NULL : c->shifts + channel;
    const int left = c->shift;
    const int32_t zero_point = c->range.zero_point, low = c->range.low, high = c->range.high;
    do {
        const int32_t value = *acc++, by = *multiplier++;
        int32_t scaled;
        if (scheme == TC_NATIVE) {
            scaled = tc_high_mul_round(left == 0 ? value : tc_shift_left_saturating(value, left), by, zero_point);
        } else if (scheme == TC_DOUBLE) {
            scaled = tc_add_wrapping(tc_requantize_double(value, by, *shift++), zero_point);
        } else {
            scaled = tc_add_wrapping(tc_requantize_single(value, by, *shift++), zero_point);
        }
        *o++ = (int8_t)tc_saturate(scaled, low, high);
    } while (--count > 0);
    return o;
}

/* Elements from the first row to row ``y``, which may lie in a ring, and there to column ``x``. */
TC_INLINE int32_t tc_compact_at(const tc_compact_conv *c, int32_t y, int32_t x)
{
    return y * c->in0_pitch - (y >= c->in0_turn ? c->in0_ring : 0) + x * c->channels;
}

/* The inputs of a group under the kernel, at row ``top`` and column ``left`` of the image, padding included. */
TC_INLINE void tc_compact_gather(int8_t *to, const int8_t *in0, const tc_compact_conv *c, int32_t top, int32_t left)
{
    const int inside = left >= 0 && left + c->kernel_w <= c->in0_w;
    const int32_t step = inside && c->dilation_w == 1 && c->groups == 1 ? c->kernel_w : 1;
    const size_t bytes = (size_t)(step * c->inputs);
    int32_t ky, kx;
    for (ky = 0; ky < c->kernel_h; ky++) {
        const int32_t y = top + ky * c->dilation_h;
        for (kx = 0; kx < c->kernel_w; kx += step) {
            const int32_t x = left + kx * c->dilation_w;
            if (y < 0 || y >= c->in0_h || x < 0 || x >= c->in0_w) {
                tc_fill(to, c->zx, bytes);
            } else {
                tc_copy(to, in0 + tc_compact_at(c, y, x), bytes);
            }
            to += bytes;
        }
    }
}

#if defined(__ARM_ARCH_6M__)
/* One output: the products of four inputs with the next word of weights. */
#define TC_COMPACT_FOUR(sum)                                                                                           \
    "ldmia %[w]!, {%[u]}\n\tsxtb %[t], %[u]\n\tmuls %[t], %[x0], %[t]\n\tadd %[" sum "], %[t]\n\t"                    \
    "lsls %[t], %[u], #16\n\tasrs %[t], %[t], #24\n\tmuls %[t], %[x1], %[t]\n\tadd %[" sum "], %[t]\n\t"             \
    "lsls %[t], %[u], #8\n\tasrs %[t], %[t], #24\n\tmuls %[t], %[x2], %[t]\n\tadd %[" sum "], %[t]\n\t"              \
    "asrs %[u], %[u], #24\n\tmuls %[u], %[x3], %[u]\n\tadd %[" sum "], %[u]\n\t"
#endif

/* The sums of four outputs: their ``bias`` and the products of ``words`` times four inputs with their weights, which end
 * where this returns. Both compilers spill registers in the loop that they make of it, so cores get
 * theirs as written here. */
TC_INLINE const int8_t *tc_compact_products(
    int32_t acc[4], const int32_t *bias, const int8_t *x, const int8_t *w, int32_t words)
{
    int32_t a0 = bias[0], a1 = bias[1], a2 = bias[2], a3 = bias[3];
#if defined(__ARM_FEATURE_DSP)
    uint32_t even, odd, p, q, t;
    __asm__(".p2align 2\n"
            "1:\n\t"
            "ldr %[even], [%[x]], #4\n\t"
            "ldr %[p], [%[w]], #4\n\t"
            "ldr %[q], [%[w]], #4\n\t"
            "sxtb16 %[t], %[p]\n\t"
            "sxtb16 %[odd], %[even], ror #8\n\t"
            "sxtb16 %[even], %[even]\n\t"
            "sxtb16 %[p], %[p], ror #8\n\t"
            "smlad %[a0], %[even], %[t], %[a0]\n\t"
            "sxtb16 %[t], %[q]\n\t"
            "sxtb16 %[q], %[q], ror #8\n\t"
            "smlad %[a0], %[odd], %[p], %[a0]\n\t"
            "smlad %[a1], %[even], %[t], %[a1]\n\t"
            "smlad %[a1], %[odd], %[q], %[a1]\n\t"
            "ldr %[p], [%[w]], #4\n\t"
            "ldr %[q], [%[w]], #4\n\t"
            "subs %[n], %[n], #1\n\t"
            "sxtb16 %[t], %[p]\n\t"
            "sxtb16 %[p], %[p], ror #8\n\t"
            "smlad %[a2], %[even], %[t], %[a2]\n\t"
            "sxtb16 %[t], %[q]\n\t"
            "sxtb16 %[q], %[q], ror #8\n\t"
            "smlad %[a2], %[odd], %[p], %[a2]\n\t"
            "smlad %[a3], %[even], %[t], %[a3]\n\t"
            "smlad %[a3], %[odd], %[q], %[a3]\n\t"
            "bne 1b"
            : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [x] "+r"(x), [w] "+r"(w), [n] "+r"(words),
              [even] "=&r"(even), [odd] "=&r"(odd), [p] "=&r"(p), [q] "=&r"(q), [t] "=&r"(t)
            :
            : "cc", "memory");
#elif defined(__ARM_ARCH_6M__)
    register int32_t s0 __asm__("r8") = a0, s1 __asm__("r9") = a1, s2 __asm__("r10") = a2, s3 __asm__("r11") = a3;
    register const int8_t *const end __asm__("r12") = x + 4 * words;
    uint32_t x0, x1, x2, x3, u, t;
    __asm__(".syntax unified\n"
            ".p2align 2\n"
            "1:\n\t"
            "ldmia %[x]!, {%[x3]}\n\t"
            "sxtb %[x0], %[x3]\n\t"
            "lsls %[x1], %[x3], #16\n\t"
            "asrs %[x1], %[x1], #24\n\t"
            "lsls %[x2], %[x3], #8\n\t"
            "asrs %[x2], %[x2], #24\n\t"
            "asrs %[x3], %[x3], #24\n\t"
            TC_COMPACT_FOUR("s0") TC_COMPACT_FOUR("s1") TC_COMPACT_FOUR("s2") TC_COMPACT_FOUR("s3")
            "cmp %[x], %[end]\n\t"
            "bne 1b"
            : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "+l"(x), [w] "+l"(w), [x0] "=&l"(x0),
              [x1] "=&l"(x1), [x2] "=&l"(x2), [x3] "=&l"(x3), [u] "=&l"(u), [t] "=&l"(t)
            : [end] "r"(end)
            : "cc", "memory");
    a0 = s0;
    a1 = s1;
    a2 = s2;
    a3 = s3;
#else
    do {
#if TC_PAIRS
        const uint32_t v = tc_load32(x), even = tc_sxtb16(v), odd = tc_sxtb16_ror8(v);
        const uint32_t u0 = tc_load32(w), u1 = tc_load32(w + 4), u2 = tc_load32(w + 8), u3 = tc_load32(w + 12);
        a0 = tc_smlad(odd, tc_sxtb16_ror8(u0), tc_smlad(even, tc_sxtb16(u0), a0));
        a1 = tc_smlad(odd, tc_sxtb16_ror8(u1), tc_smlad(even, tc_sxtb16(u1), a1));
        a2 = tc_smlad(odd, tc_sxtb16_ror8(u2), tc_smlad(even, tc_sxtb16(u2), a2));
        a3 = tc_smlad(odd, tc_sxtb16_ror8(u3), tc_smlad(even, tc_sxtb16(u3), a3));
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
#endif
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
    return w;
}

/* ``scratch`` holds 4 * words bytes. Reads all inputs of a group's pixel before it writes any. */
TC_INLINE void tc_compact_convolve(
    tc_scheme scheme, int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    int8_t *const patch = (int8_t *)scratch;
    int32_t row, column, group;
    for (row = 0; row < c->out_h; row++) {
        int8_t *o = out + row * c->out_pitch;
        for (column = 0; column < c->out_w; column++) {
            const int32_t top = row * c->stride_h - c->pad_top, left = column * c->stride_w - c->pad_left;
            const int8_t *w = c->weights;
            int32_t channel = 0;
            for (group = 0; group < c->groups; group++) {
                int32_t rest;
                tc_compact_gather(patch, in0 + group * c->inputs, c, top, left);
                for (rest = c->outputs; rest > 0; rest -= 4) {
                    const int32_t count = rest < 4 ? rest : 4;
                    int32_t acc[4];
                    w = tc_compact_products(acc, c->bias + channel, patch, w, c->words);
                    o = tc_compact_store(scheme, o, acc, c, channel, count);
                    channel += count;
                }
            }
        }
    }
}

TC_SHARED void tc_compact_conv_native(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_convolve(TC_NATIVE, out, in0, scratch, c);
}

TC_SHARED void tc_compact_conv_double(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_convolve(TC_DOUBLE, out, in0, scratch, c);
}

TC_SHARED void tc_compact_conv_single(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_convolve(TC_SINGLE, out, in0, scratch, c);
}

/* Where the inputs under the kernel are, at row ``top`` and column ``left`` of the image: a pointer to the first channel of
 * each tap. Taps of the pixel before move on where the columns of both lie inside. */
TC_INLINE void tc_compact_taps(
    const int8_t **tap, const int8_t *const *end, const int8_t *in0, const tc_compact_conv *c, int32_t top, int32_t left)
{
    int32_t ky, kx;
    if (left >= c->stride_w && left + (c->kernel_w - 1) * c->dilation_w < c->in0_w) {
        for (; tap != end; tap++) {
            *tap += *tap == c->padding ? 0 : c->stride_w * c->channels;
        }
        return;
    }
    for (ky = 0; ky < c->kernel_h; ky++) {
        const int32_t y = top + ky * c->dilation_h;
        for (kx = 0; kx < c->kernel_w; kx++) {
            const int32_t x = left + kx * c->dilation_w;
            const int inside = y >= 0 && y < c->in0_h && x >= 0 && x < c->in0_w;
            *tap++ = inside ? in0 + tc_compact_at(c, y, x) : c->padding;
        }
    }
}

/* Whether four channels of a pixel can be taken at a time: a Cortex-M0+ has no unaligned access. */
TC_INLINE int tc_compact_by_four(int32_t channel, int32_t channels)
{
#if defined(__ARM_ARCH_6M__)
    (void)channel;
    return (channels & 3) == 0;
#else
    return TC_PAIRS && channel + 4 <= channels;
#endif
}

/* Adds the products of four channels from ``channel`` on to their sums. */
TC_INLINE void tc_compact_four_channels(
    int32_t acc[4], const int8_t *const *tap, const int8_t *const *end, const int8_t *w, int32_t channel, int32_t channels)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t a0 = acc[0], a1 = acc[1], a2 = acc[2], a3 = acc[3];
    uint32_t even, u, v, t;
    __asm__(".p2align 2\n"
            "1:\n\t"
            "ldr %[t], [%[tap]], #4\n\t"
            "ldr %[u], [%[w]]\n\t"
            "ldr %[v], [%[t], %[channel]]\n\t"
            "add %[w], %[w], %[channels]\n\t"
            "cmp %[tap], %[end]\n\t"
            "sxtb16 %[t], %[u]\n\t"
            "sxtb16 %[u], %[u], ror #8\n\t"
            "sxtb16 %[even], %[v]\n\t"
            "smlabb %[a0], %[even], %[t], %[a0]\n\t"
            "smlatt %[a2], %[even], %[t], %[a2]\n\t"
            "sxtb16 %[v], %[v], ror #8\n\t"
            "smlabb %[a1], %[v], %[u], %[a1]\n\t"
            "smlatt %[a3], %[v], %[u], %[a3]\n\t"
            "bne 1b"
            : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [tap] "+r"(tap), [w] "+r"(w),
              [u] "=&r"(u), [v] "=&r"(v), [t] "=&r"(t), [even] "=&r"(even)
            : [channel] "r"(channel), [channels] "r"(channels), [end] "r"(end)
            : "cc", "memory");
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
#elif defined(__ARM_ARCH_6M__)
    register int32_t s0 __asm__("r8") = acc[0], s1 __asm__("r9") = acc[1], s2 __asm__("r10") = acc[2];
    register int32_t s3 __asm__("r11") = acc[3];
    register const int8_t *const *const last __asm__("r12") = end;
    uint32_t u, v, s, t;
    __asm__(".syntax unified\n"
            ".p2align 2\n"
            "1:\n\t"
            "ldmia %[tap]!, {%[v]}\n\t"
            "ldr %[v], [%[v], %[channel]]\n\t"
            "ldr %[u], [%[w]]\n\t"
            "adds %[w], %[w], %[channels]\n\t"
            "sxtb %[t], %[v]\n\t"
            "sxtb %[s], %[u]\n\t"
            "muls %[t], %[s], %[t]\n\t"
            "add %[s0], %[t]\n\t"
            "lsls %[t], %[v], #16\n\t"
            "asrs %[t], %[t], #24\n\t"
            "lsls %[s], %[u], #16\n\t"
            "asrs %[s], %[s], #24\n\t"
            "muls %[t], %[s], %[t]\n\t"
            "add %[s1], %[t]\n\t"
            "lsls %[t], %[v], #8\n\t"
            "asrs %[t], %[t], #24\n\t"
            "lsls %[s], %[u], #8\n\t"
            "asrs %[s], %[s], #24\n\t"
            "muls %[t], %[s], %[t]\n\t"
            "add %[s2], %[t]\n\t"
            "asrs %[v], %[v], #24\n\t"
            "asrs %[u], %[u], #24\n\t"
            "muls %[v], %[u], %[v]\n\t"
            "add %[s3], %[v]\n\t"
            "cmp %[tap], %[end]\n\t"
            "bne 1b"
            : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [tap] "+l"(tap), [w] "+l"(w),
              [u] "=&l"(u), [v] "=&l"(v), [s] "=&l"(s), [t] "=&l"(t)
            : [channel] "l"(channel), [channels] "l"(channels), [end] "r"(last)
            : "cc", "memory");
    acc[0] = s0;
    acc[1] = s1;
    acc[2] = s2;
    acc[3] = s3;
#else
    for (; tap != end; tap++, w += channels) {
        const uint32_t v = tc_load32(*tap + channel), even = tc_sxtb16(v), odd = tc_sxtb16_ror8(v);
        const uint32_t u = tc_load32(w), s = tc_sxtb16(u), t = tc_sxtb16_ror8(u);
        acc[0] = tc_smlabb(even, s, acc[0]);
        acc[1] = tc_smlabb(odd, t, acc[1]);
        acc[2] = tc_smlatt(even, s, acc[2]);
        acc[3] = tc_smlatt(odd, t, acc[3]);
    }
#endif
}

/* The sums of the channels from ``channel`` on, as many as it returns: four, or one where no more are left. */
TC_INLINE int32_t tc_compact_channels(
    int32_t acc[4], const int8_t *const *tap, const int8_t *const *end, const tc_compact_conv *c, int32_t channel)
{
    const int8_t *w = c->weights + channel;
    const int32_t *const bias = c->bias + channel;
    acc[0] = bias[0];
    acc[1] = bias[1];
    acc[2] = bias[2];
    acc[3] = bias[3];
    if (tc_compact_by_four(channel, c->channels)) {
        tc_compact_four_channels(acc, tap, end, w, channel, c->channels);
        return 4;
    }
    for (; tap != end; tap++, w += c->channels) {
        acc[0] += (*tap)[channel] * *w;
    }
    return 1;
}

/* Depthwise, one output for each input channel: weights (taps, channels); ``scratch`` holds a pointer for each tap, and
 * one more so that it can be aligned. Reads all inputs of some channels before it writes them. */
TC_INLINE void tc_compact_each_channel(
    tc_scheme scheme, int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    const uintptr_t mask = sizeof(void *) - 1u;
    const int8_t **const taps = (const int8_t **)(((uintptr_t)scratch + mask) & ~mask);
    const int8_t **const end = taps + c->kernel_h * c->kernel_w;
    int32_t row, column, channel, count;
    for (row = 0; row < c->out_h; row++) {
        int8_t *o = out + row * c->out_pitch;
        const int32_t top = row * c->stride_h - c->pad_top;
        int32_t left = -c->pad_left;
        for (column = 0; column < c->out_w; column++, left += c->stride_w) {
            tc_compact_taps(taps, end, in0, c, top, left);
            for (channel = 0; channel < c->channels; channel += count) {
                int32_t acc[4];
                count = tc_compact_channels(acc, taps, end, c, channel);
                o = tc_compact_store(scheme, o, acc, c, channel, count);
            }
        }
    }
}

TC_SHARED void tc_compact_depthwise_native(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_each_channel(TC_NATIVE, out, in0, scratch, c);
}

TC_SHARED void tc_compact_depthwise_double(int8_t *out, const int8_t *in0, void *scratch, const tc_compact_conv *c)
{
    tc_compact_each_channel(TC_DOUBLE, out, in0, scratch, c);
}

#endif
