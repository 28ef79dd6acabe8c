/* Gathering of inputs as pairs of int16 for blocks of four filters, and the exact C stand-in of those blocks.
 *
 * Pairs: the four values a b c d of a word of the input give the pairs (a, c) and (b, d), which is what SXTB16 makes of
 * it; what is left of a run of 1, 2 or 3 values gives (a, -), (a, b), or (a, c) and (b, -). A value in place of - meets
 * a weight 0. The pairs of two pixels alternate; those of a pixel by itself have no gaps. */
#ifndef TC_DOT_H
#define TC_DOT_H

#include "tc_simd.h"

/* The pairs of `bytes` values, to every `step`th word; returns where the next pair goes. */
TC_INLINE uint32_t *tc_spread(uint32_t *to, const int8_t *from, int32_t bytes, int32_t step)
{
    int32_t i;
    for (i = 0; i + 4 <= bytes; i += 4) {
        uint32_t four = tc_load32(from + i);
        to[0] = tc_sxtb16(four);
        to[step] = tc_sxtb16_ror8(four);
        to += 2 * step;
    }
    if (bytes % 4 == 3) {
        to[0] = tc_pair(from[i], from[i + 2]);
        to[step] = (uint32_t)from[i + 1];
        to += 2 * step;
    } else if (bytes % 4 == 2) {
        to[0] = tc_pair(from[i], from[i + 1]);
        to += step;
    } else if (bytes % 4 == 1) {
        to[0] = (uint32_t)from[i];
        to += step;
    }
    return to;
}

/* The same for two pixels at once. */
TC_INLINE uint32_t *tc_spread_two(uint32_t *to, const int8_t *from, const int8_t *other, int32_t bytes)
{
    int32_t i, words = bytes / 4;
    for (i = 0; i < words; i++) {
        uint32_t four = tc_load32(from), its = tc_load32(other);
        to[0] = tc_sxtb16(four);
        to[1] = tc_sxtb16(its);
        to[2] = tc_sxtb16_ror8(four);
        to[3] = tc_sxtb16_ror8(its);
        from += 4;
        other += 4;
        to += 4;
    }
    tc_spread(to + 1, other, bytes % 4, 2);
    return tc_spread(to, from, bytes % 4, 2);
}

/* `pairs` times the same pair, to every `step`th word. */
TC_INLINE uint32_t *tc_spread_value(uint32_t *to, int32_t value, int32_t pairs, int32_t step)
{
    int32_t i;
    for (i = 0; i < pairs; i++) {
        *to = tc_pair(value, value);
        to += step;
    }
    return to;
}

/* Four filters by `pixels` pixels, as the blocks in assembly compute them: sums[4 * j + f] is filter f at pixel j.
 * Stream: four start values, then two words a pair, each for two filters: the first one's weights are bytes 0 and 2.
 * The second one's are bytes 1 and 3; or, where `mixed`, each half of the word is 256 times the second one's weight plus
 * the first one's, and so are the start values and the sums modulo 2^32. */
TC_INLINE void tc_dot_four(int32_t *sums, const uint32_t *x, const int32_t *stream, int32_t pairs, int32_t pixels,
                           int32_t step, int mixed)
{
    int32_t f, j, q;
    for (f = 0; f < 4; f += 2) {
        for (j = 0; j < pixels; j++) {
            int32_t first = stream[f], second = stream[f + 1];
            for (q = 0; q < pairs; q++) {
                uint32_t w = (uint32_t)stream[4 + 2 * q + f / 2];
                first = tc_smlad(x[step * q + j], tc_sxtb16(w), first);
                second = tc_smlad(x[step * q + j], mixed ? w : tc_sxtb16_ror8(w), second);
            }
            sums[4 * j + f] = first;
            sums[4 * j + f + 1] = mixed ? (int32_t)((uint32_t)second - (uint32_t)first) >> 8 : second;
        }
    }
}

#endif
