/* Winograd F(2x2,3x3) in integers: 2x2 outputs of a 3x3 convolution from 4x4 inputs with 16 products a channel instead
 * of 36 (Lavin and Gray, arXiv:1509.09308); "wide": F(2x4,3x3), 2x4 outputs from 4x6 inputs with 24 instead of 72; and
 * the same for a row alone. docs/numerics.md derives why the sums are exact.
 *
 * Tiles come in pairs, side by side. Words hold int16 of two channels, and the positions of the transformed tiles lie
 * one behind the other: for each pair of channels the words of both tiles, then room for 4x2 sums. */
#ifndef TC_WINOGRAD_H
#define TC_WINOGRAD_H

#include "tc_simd.h"

#define TC_WINOGRAD_SUMS 8 /* 4 filters by 2 tiles */

/* The first ``channels`` (at most 4) bytes at ``from``; two lie in bytes 0 and 2, where one pair takes them. */
TC_INLINE uint32_t tc_winograd_load(const int8_t *from, int32_t channels)
{
    const uint8_t *bytes = (const uint8_t *)from;
    if (channels == 4) {
        return tc_load32(from);
    }
    return channels == 1   ? bytes[0]
           : channels == 2 ? bytes[0] | (uint32_t)bytes[1] << 16
                           : bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
}

/* Channels 0 and 2 of these, or (``odd``) 1 and 3, as int16. */
TC_INLINE uint32_t tc_winograd_half(uint32_t bytes, int odd)
{
    return odd ? tc_sxtb16_ror8(bytes) : tc_sxtb16(bytes);
}

/* Four pixels of a row times B, to positions ``step`` words apart: B^T = (1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1). */
TC_INLINE void tc_winograd_row(uint32_t *to, int32_t step, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    to[0] = tc_ssub16(c0, c2);
    to[step] = tc_sadd16(c1, c2);
    to[2 * step] = tc_ssub16(c2, c1);
    to[3 * step] = tc_ssub16(c1, c3);
}

/* The difference of two pixels, as two pairs of channels. */
typedef struct {
    uint32_t even, odd;
} tc_winograd_difference;

TC_INLINE tc_winograd_difference tc_winograd_minus(const int8_t *a, const int8_t *b, int32_t channels)
{
    const uint32_t x = tc_winograd_load(a, channels), y = tc_winograd_load(b, channels);
    tc_winograd_difference d;
    d.even = tc_ssub16(tc_winograd_half(x, 0), tc_winograd_half(y, 0));
    d.odd = tc_ssub16(tc_winograd_half(x, 1), tc_winograd_half(y, 1));
    return d;
}

/* Row 0 or 3 of two transformed tiles, for up to four channels: of the difference of two rows of 6 pixels, which lie
 * ``pixel`` bytes apart. */
TC_INLINE void tc_winograd_outer(uint32_t *to, int32_t step, const int8_t *a, const int8_t *b, int32_t pixel,
                                 int32_t channels)
{
    const tc_winograd_difference c0 = tc_winograd_minus(a, b, channels);
    const tc_winograd_difference c1 = tc_winograd_minus(a + pixel, b + pixel, channels);
    const tc_winograd_difference c2 = tc_winograd_minus(a + 2 * pixel, b + 2 * pixel, channels);
    const tc_winograd_difference c3 = tc_winograd_minus(a + 3 * pixel, b + 3 * pixel, channels);
    const tc_winograd_difference c4 = tc_winograd_minus(a + 4 * pixel, b + 4 * pixel, channels);
    const tc_winograd_difference c5 = tc_winograd_minus(a + 5 * pixel, b + 5 * pixel, channels);
    tc_winograd_row(to, step, c0.even, c1.even, c2.even, c3.even);
    tc_winograd_row(to + 1, step, c2.even, c3.even, c4.even, c5.even);
    if (channels > 2) {
        tc_winograd_row(to + 2, step, c0.odd, c1.odd, c2.odd, c3.odd);
        tc_winograd_row(to + 3, step, c2.odd, c3.odd, c4.odd, c5.odd);
    }
}

/* Sum and difference of two pixels, of one pair of channels. */
typedef struct {
    uint32_t sum, difference;
} tc_winograd_both;

TC_INLINE tc_winograd_both tc_winograd_sums(const int8_t *a, const int8_t *b, int32_t channels, int odd)
{
    const uint32_t x = tc_winograd_half(tc_winograd_load(a, channels), odd);
    const uint32_t y = tc_winograd_half(tc_winograd_load(b, channels), odd);
    tc_winograd_both d;
    d.sum = tc_sadd16(x, y);
    d.difference = tc_ssub16(y, x);
    return d;
}

/* Rows 1 and 2 of two transformed tiles, for one pair of channels: of the sum and the difference of two rows. */
TC_INLINE void tc_winograd_inner(uint32_t *to, int32_t step, const int8_t *a, const int8_t *b, int32_t pixel,
                                 int32_t channels, int odd)
{
    const tc_winograd_both c0 = tc_winograd_sums(a, b, channels, odd);
    const tc_winograd_both c1 = tc_winograd_sums(a + pixel, b + pixel, channels, odd);
    const tc_winograd_both c2 = tc_winograd_sums(a + 2 * pixel, b + 2 * pixel, channels, odd);
    const tc_winograd_both c3 = tc_winograd_sums(a + 3 * pixel, b + 3 * pixel, channels, odd);
    const tc_winograd_both c4 = tc_winograd_sums(a + 4 * pixel, b + 4 * pixel, channels, odd);
    const tc_winograd_both c5 = tc_winograd_sums(a + 5 * pixel, b + 5 * pixel, channels, odd);
    tc_winograd_row(to, step, c0.sum, c1.sum, c2.sum, c3.sum);
    tc_winograd_row(to + 4 * step, step, c0.difference, c1.difference, c2.difference, c3.difference);
    tc_winograd_row(to + 1, step, c2.sum, c3.sum, c4.sum, c5.sum);
    tc_winograd_row(to + 1 + 4 * step, step, c2.difference, c3.difference, c4.difference, c5.difference);
}

/* Two tiles of one row, for one pair of channels, from 6 pixels: the first, four from ``d`` on, and the last. */
TC_INLINE void tc_winograd_line(uint32_t *to, int32_t step, const int8_t *first, const int8_t *d, const int8_t *last,
                                int32_t pixel, int32_t channels, int odd)
{
    const uint32_t c0 = tc_winograd_half(tc_winograd_load(first, channels), odd);
    const uint32_t c1 = tc_winograd_half(tc_winograd_load(d, channels), odd);
    const uint32_t c2 = tc_winograd_half(tc_winograd_load(d + pixel, channels), odd);
    const uint32_t c3 = tc_winograd_half(tc_winograd_load(d + 2 * pixel, channels), odd);
    const uint32_t c4 = tc_winograd_half(tc_winograd_load(d + 3 * pixel, channels), odd);
    const uint32_t c5 = tc_winograd_half(tc_winograd_load(last, channels), odd);
    tc_winograd_row(to, step, c0, c1, c2, c3);
    tc_winograd_row(to + 1, step, c2, c3, c4, c5);
}

/* Six pixels of a row times B of F(4,3), to positions ``step`` words apart:
 * B^T = (4 0 -5 0 1 0; 0 -4 -4 1 1 0; 0 4 -4 -1 1 0; 0 -2 -1 2 1 0; 0 2 -1 -2 1 0; 0 4 0 -5 0 1). */
TC_INLINE void tc_winograd_wide(uint32_t *to, int32_t step, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                                uint32_t c4, uint32_t c5)
{
    const uint32_t even = tc_ssub16(c4, c2), odd = tc_ssub16(c3, c1), odd2 = tc_sadd16(odd, odd);
    const uint32_t first = tc_ssub16(c0, c2), first2 = tc_sadd16(first, first);
    const uint32_t c1x2 = tc_sadd16(c1, c1), c2x2 = tc_sadd16(c2, c2);
    const uint32_t outer = tc_ssub16(c4, tc_sadd16(c2x2, c2x2)), inner = tc_ssub16(c3, tc_sadd16(c1x2, c1x2));
    to[0] = tc_sadd16(tc_sadd16(first2, first2), even);
    to[step] = tc_sadd16(outer, inner);
    to[2 * step] = tc_ssub16(outer, inner);
    to[3 * step] = tc_sadd16(even, odd2);
    to[4 * step] = tc_ssub16(even, odd2);
    to[5 * step] = tc_ssub16(tc_ssub16(c5, c3), tc_sadd16(odd2, odd2));
}

/* One tile of F(4,3), for up to four channels, from 6 pixels as above. */
TC_INLINE void tc_winograd_wide_line(uint32_t *to, int32_t step, const int8_t *first, const int8_t *d,
                                     const int8_t *last, int32_t pixel, int32_t channels)
{
    const uint32_t c0 = tc_winograd_load(first, channels), c1 = tc_winograd_load(d, channels);
    const uint32_t c2 = tc_winograd_load(d + pixel, channels), c3 = tc_winograd_load(d + 2 * pixel, channels);
    const uint32_t c4 = tc_winograd_load(d + 3 * pixel, channels), c5 = tc_winograd_load(last, channels);
    tc_winograd_wide(to, step, tc_winograd_half(c0, 0), tc_winograd_half(c1, 0), tc_winograd_half(c2, 0),
                     tc_winograd_half(c3, 0), tc_winograd_half(c4, 0), tc_winograd_half(c5, 0));
    if (channels > 2) {
        tc_winograd_wide(to + 2, step, tc_winograd_half(c0, 1), tc_winograd_half(c1, 1), tc_winograd_half(c2, 1),
                         tc_winograd_half(c3, 1), tc_winograd_half(c4, 1), tc_winograd_half(c5, 1));
    }
}

/* All positions of two tiles, for the channels of one word, from four rows of pixels. */
TC_INLINE void tc_winograd_tiles(uint32_t *to, int32_t step, const int8_t *d0, const int8_t *d1, const int8_t *d2,
                                 const int8_t *d3, int32_t pixel, int32_t channels)
{
    tc_winograd_outer(to, step, d0, d2, pixel, channels);
    tc_winograd_inner(to + 4 * step, step, d1, d2, pixel, channels, 0);
    if (channels > 2) {
        tc_winograd_inner(to + 2 + 4 * step, step, d1, d2, pixel, channels, 1);
    }
    tc_winograd_outer(to + 12 * step, step, d1, d3, pixel, channels);
}

/* Difference of two rows of 6 pixels, which lie ``pixel`` bytes apart, for one pair of channels: row 0 or 3 of a tile of
 * F(2x4,3x3). */
TC_INLINE void tc_winograd_wide_outer(uint32_t *to, int32_t step, const int8_t *a, const int8_t *b, int32_t pixel,
                                      int32_t channels, int odd)
{
    const uint32_t c0 = tc_winograd_sums(b, a, channels, odd).difference;
    const uint32_t c1 = tc_winograd_sums(b + pixel, a + pixel, channels, odd).difference;
    const uint32_t c2 = tc_winograd_sums(b + 2 * pixel, a + 2 * pixel, channels, odd).difference;
    const uint32_t c3 = tc_winograd_sums(b + 3 * pixel, a + 3 * pixel, channels, odd).difference;
    const uint32_t c4 = tc_winograd_sums(b + 4 * pixel, a + 4 * pixel, channels, odd).difference;
    const uint32_t c5 = tc_winograd_sums(b + 5 * pixel, a + 5 * pixel, channels, odd).difference;
    tc_winograd_wide(to, step, c0, c1, c2, c3, c4, c5);
}

/* Rows 1 and 2 of that: of the sum and the difference of two rows. */
TC_INLINE void tc_winograd_wide_inner(uint32_t *to, int32_t step, const int8_t *a, const int8_t *b, int32_t pixel,
                                      int32_t channels, int odd)
{
    const tc_winograd_both c0 = tc_winograd_sums(a, b, channels, odd);
    const tc_winograd_both c1 = tc_winograd_sums(a + pixel, b + pixel, channels, odd);
    const tc_winograd_both c2 = tc_winograd_sums(a + 2 * pixel, b + 2 * pixel, channels, odd);
    const tc_winograd_both c3 = tc_winograd_sums(a + 3 * pixel, b + 3 * pixel, channels, odd);
    const tc_winograd_both c4 = tc_winograd_sums(a + 4 * pixel, b + 4 * pixel, channels, odd);
    const tc_winograd_both c5 = tc_winograd_sums(a + 5 * pixel, b + 5 * pixel, channels, odd);
    tc_winograd_wide(to, step, c0.sum, c1.sum, c2.sum, c3.sum, c4.sum, c5.sum);
    tc_winograd_wide(to + 6 * step, step, c0.difference, c1.difference, c2.difference, c3.difference, c4.difference,
                     c5.difference);
}

/* One tile of F(2x4,3x3), for one pair of channels, from four rows of 6 pixels. */
TC_INLINE void tc_winograd_wide_tile(uint32_t *to, int32_t step, const int8_t *d0, const int8_t *d1, const int8_t *d2,
                                     const int8_t *d3, int32_t pixel, int32_t channels, int odd)
{
    tc_winograd_wide_outer(to, step, d0, d2, pixel, channels, odd);
    tc_winograd_wide_inner(to + 6 * step, step, d1, d2, pixel, channels, odd);
    tc_winograd_wide_outer(to + 18 * step, step, d1, d3, pixel, channels, odd);
}

/* Sixteen sums, ``step`` words apart, to four outputs, times 4: A^T m A, A^T = (1 1 1 0; 0 1 -1 -1), modulo 2^32. */
TC_INLINE void tc_winograd_outputs(const uint32_t *m, int32_t step, uint32_t y[4])
{
    uint32_t upper[4], lower[4];
    int32_t i;
    for (i = 0; i < 4; i++) {
        const uint32_t m0 = m[i * step], m1 = m[(i + 4) * step], m2 = m[(i + 8) * step], m3 = m[(i + 12) * step];
        upper[i] = m0 + m1 + m2;
        lower[i] = m1 - m2 - m3;
    }
    y[0] = upper[0] + upper[1] + upper[2];
    y[1] = upper[1] - upper[2] - upper[3];
    y[2] = lower[0] + lower[1] + lower[2];
    y[3] = lower[1] - lower[2] - lower[3];
}

/* Four sums, ``step`` words apart, to two outputs, times 2. */
TC_INLINE void tc_winograd_line_outputs(const uint32_t *m, int32_t step, uint32_t y[2])
{
    y[0] = m[0] + m[step] + m[2 * step];
    y[1] = m[step] - m[2 * step] - m[3 * step];
}

/* Six sums of F(4,3), ``step`` words apart, to four outputs, times 24:
 * A^T = (1 1 1 1 1 0; 0 1 -1 2 -2 0; 0 1 1 4 4 0; 0 1 -1 8 -8 1). */
TC_INLINE void tc_winograd_wide_outputs(const uint32_t *m, int32_t step, uint32_t y[4])
{
    const uint32_t sum1 = m[step] + m[2 * step], difference1 = m[step] - m[2 * step];
    const uint32_t sum2 = m[3 * step] + m[4 * step], difference2 = m[3 * step] - m[4 * step];
    y[0] = m[0] + sum1 + sum2;
    y[1] = difference1 + 2 * difference2;
    y[2] = sum1 + 4 * sum2;
    y[3] = difference1 + 8 * difference2 + m[5 * step];
}

/* Sums of F(2x4,3x3) to 2x4 outputs, times 48. */
TC_INLINE void tc_winograd_wide_squares(const uint32_t *m, int32_t step, uint32_t y[8])
{
    uint32_t upper[6], lower[6];
    int32_t i;
    for (i = 0; i < 6; i++) {
        const uint32_t m1 = m[(i + 6) * step], m2 = m[(i + 12) * step];
        upper[i] = m[i * step] + m1 + m2;
        lower[i] = m1 - m2 - m[(i + 18) * step];
    }
    tc_winograd_wide_outputs(upper, 1, y);
    tc_winograd_wide_outputs(lower, 1, y + 4);
}

/* A multiple of 3 * 2^bits, modulo 2^32, divided by that: 3 has the inverse -0x55555555. */
TC_INLINE int32_t tc_winograd_third(uint32_t y, int bits)
{
    return (int32_t)(y * 0xAAAAAAABu) >> bits;
}

/* 6 pixels, ``bytes`` each, from column ``x`` of a row of ``width`` on, to ``to``; pixels outside of it are ``zero``. */
TC_LAYER const int8_t *tc_winograd_gather(int8_t *to, const int8_t *row, int32_t x, int32_t width, int32_t bytes, int zero)
{
    const int32_t first = x < -6 ? 6 : x < 0 ? -x : 0;
    const int32_t end = width - x >= 6 ? 6 : width - x > first ? width - x : first;
    if (first > 0) {
        tc_fill(to, zero, (size_t)(first * bytes));
    }
    if (end > first) {
        tc_copy(to + first * bytes, row + (x + first) * bytes, (size_t)((end - first) * bytes));
    }
    if (end < 6) {
        tc_fill(to + end * bytes, zero, (size_t)((6 - end) * bytes));
    }
    return to;
}

/* Products of all channels for 4 filters by 2 tiles, at each position into the words behind its tiles. */
TC_INLINE void tc_winograd_products(uint32_t *x, const uint32_t *w, int32_t pairs, int32_t positions)
{
    int32_t position, k, i;
    for (position = 0; position < positions; position++) {
        int32_t sums[TC_WINOGRAD_SUMS] = { 0 };
        for (k = 0; k < pairs; k++, x += 2, w += 4) {
            for (i = 0; i < TC_WINOGRAD_SUMS; i++) {
                sums[i] = tc_smlad(w[i / 2], x[i % 2], sums[i]);
            }
        }
        for (i = 0; i < TC_WINOGRAD_SUMS; i++) {
            *x++ = (uint32_t)sums[i];
        }
    }
}

#endif
