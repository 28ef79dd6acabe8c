/* Winograd F(2x2,3x3) in integers: 2x2 outputs of a 3x3 convolution from 4x4 inputs with 16 products a channel instead
 * of 36 (Lavin and Gray, arXiv:1509.09308). docs/numerics.md derives why the sums are exact.
 *
 * Tiles come in pairs, side by side. Words hold int16 of two channels, and the 16 positions of the transformed tiles
 * lie one behind the other: for each pair of channels the words of both tiles, then room for 4x2 sums. */
#ifndef TC_WINOGRAD_H
#define TC_WINOGRAD_H

#include "tc_simd.h"

#define TC_WINOGRAD_SUMS 8 /* 4 filters by 2 tiles */

/* One column of a tile after B^T, B^T = (1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1). */
typedef struct {
    uint32_t v0, v1, v2, v3;
} tc_winograd_column;

TC_INLINE tc_winograd_column tc_winograd_vertical(uint32_t d0, uint32_t d1, uint32_t d2, uint32_t d3)
{
    tc_winograd_column c;
    c.v0 = tc_ssub16(d0, d2);
    c.v1 = tc_sadd16(d1, d2);
    c.v2 = tc_ssub16(d2, d1);
    c.v3 = tc_ssub16(d1, d3);
    return c;
}

/* a - b and a + b to one column of positions, ``row`` words apart. */
TC_INLINE void tc_winograd_minus(uint32_t *to, int32_t row, tc_winograd_column a, tc_winograd_column b)
{
    to[0] = tc_ssub16(a.v0, b.v0);
    to[row] = tc_ssub16(a.v1, b.v1);
    to[2 * row] = tc_ssub16(a.v2, b.v2);
    to[3 * row] = tc_ssub16(a.v3, b.v3);
}

TC_INLINE void tc_winograd_plus(uint32_t *to, int32_t row, tc_winograd_column a, tc_winograd_column b)
{
    to[0] = tc_sadd16(a.v0, b.v0);
    to[row] = tc_sadd16(a.v1, b.v1);
    to[2 * row] = tc_sadd16(a.v2, b.v2);
    to[3 * row] = tc_sadd16(a.v3, b.v3);
}

/* One tile times B: the four columns to positions ``step`` words apart. */
TC_INLINE void tc_winograd_tile(uint32_t *to, int32_t step, tc_winograd_column c0, tc_winograd_column c1,
                                tc_winograd_column c2, tc_winograd_column c3)
{
    tc_winograd_minus(to, 4 * step, c0, c2);
    tc_winograd_plus(to + step, 4 * step, c1, c2);
    tc_winograd_minus(to + 2 * step, 4 * step, c2, c1);
    tc_winograd_minus(to + 3 * step, 4 * step, c1, c3);
}

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

/* 4 rows of 6 pixels, ``bytes`` each, from (``y``, ``x``) on, to ``patch``; pixels outside the input are ``zero``.
 * From row ``turn`` on, the rows of the input lie ``ring`` elements lower than ``pitch`` says. */
TC_INLINE void tc_winograd_gather(int8_t *patch, const int8_t *in, int32_t y, int32_t x, int32_t height, int32_t width,
                                  int32_t pitch, int32_t turn, int32_t ring, int32_t bytes, int zero)
{
    const int32_t first = x >= 0 ? 0 : x < -6 ? 6 : -x;
    const int32_t end = width - x >= 6 ? 6 : width - x > first ? width - x : first;
    int32_t row;
    for (row = y; row < y + 4; row++, patch += 6 * bytes) {
        if (row < 0 || row >= height || first == end) {
            tc_fill(patch, zero, (size_t)(6 * bytes));
            continue;
        }
        if (first > 0) {
            tc_fill(patch, zero, (size_t)(first * bytes));
        }
        tc_copy(patch + first * bytes, in + row * pitch - (row >= turn ? ring : 0) + (x + first) * bytes,
                (size_t)((end - first) * bytes));
        if (end < 6) {
            tc_fill(patch + end * bytes, zero, (size_t)((6 - end) * bytes));
        }
    }
}

/* Products of all channels for 4 filters by 2 tiles, at each position into the words behind its tiles. */
TC_INLINE void tc_winograd_products(uint32_t *x, const uint32_t *w, int32_t pairs)
{
    int32_t position, k, i;
    for (position = 0; position < 16; position++) {
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
