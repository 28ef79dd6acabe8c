/* Gathering of inputs as pairs of int16 for blocks of 4 pixels, and the exact C stand-in of those blocks.
 *
 * Pairs: word 4 * q + j of the scratch holds pair q of pixel j. The four values a b c d of a word of the input give
 * the pairs (a, c) and (b, d), which is what SXTB16 makes of it; what is left of a run of 1, 2 or 3 values gives (a, -),
 * (a, b), or (a, c) and (b, -). A value in place of - meets a weight 0. */
#ifndef TC_DOT_H
#define TC_DOT_H

#include "tc_simd.h"

/* The pairs of `bytes` values, to every fourth word; returns where the next pair goes. */
TC_INLINE uint32_t *tc_spread(uint32_t *to, const int8_t *from, int32_t bytes)
{
    int32_t i;
    for (i = 0; i + 4 <= bytes; i += 4) {
        uint32_t four = tc_load32(from + i);
        to[0] = tc_sxtb16(four);
        to[4] = tc_sxtb16_ror8(four);
        to += 8;
    }
    if (bytes % 4 == 3) {
        to[0] = tc_pair(from[i], from[i + 2]);
        to[4] = (uint32_t)from[i + 1];
        to += 8;
    } else if (bytes % 4 == 2) {
        to[0] = tc_pair(from[i], from[i + 1]);
        to += 4;
    } else if (bytes % 4 == 1) {
        to[0] = (uint32_t)from[i];
        to += 4;
    }
    return to;
}

/* `pairs` times the same pair, to every fourth word. */
TC_INLINE uint32_t *tc_spread_value(uint32_t *to, int32_t value, int32_t pairs)
{
    int32_t i;
    for (i = 0; i < pairs; i++) {
        *to = tc_pair(value, value);
        to += 4;
    }
    return to;
}

/* A filter by itself: weights as pairs of int16, pairs of one pixel in every fourth word. */
TC_INLINE int32_t tc_dot_one(const uint32_t *x, const int32_t *weights, int32_t pairs, int32_t sum)
{
    int32_t q;
    for (q = 0; q < pairs; q++) {
        sum = tc_smlad(x[4 * q], (uint32_t)weights[q], sum);
    }
    return sum;
}

/* Two filters by `pixels` pixels, as the blocks in assembly compute them: sums[2 * j + i] is filter i at pixel j.
 * Stream: two start values, then a word a pair, which holds the first filter's weights in bytes 0 and 2. The second
 * filter's are bytes 1 and 3; or, where `mixed`, each half of the word is 256 times the second filter's weight plus
 * the first's, and so are the sums modulo 2^32. */
TC_INLINE void tc_dot_two(int32_t *sums, const uint32_t *x, const int32_t *stream, int32_t pairs, int32_t pixels,
                          int mixed)
{
    int32_t j, q;
    for (j = 0; j < pixels; j++) {
        int32_t first = stream[0], second = stream[1];
        for (q = 0; q < pairs; q++) {
            uint32_t w = (uint32_t)stream[2 + q];
            first = tc_smlad(x[4 * q + j], tc_sxtb16(w), first);
            second = tc_smlad(x[4 * q + j], mixed ? w : tc_sxtb16_ror8(w), second);
        }
        sums[2 * j] = first;
        sums[2 * j + 1] = mixed ? (int32_t)((uint32_t)second - (uint32_t)first) >> 8 : second;
    }
}

#endif
