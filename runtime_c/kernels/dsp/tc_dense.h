/* The exact C stand-in of the blocks that multiply inputs as they lie in memory.
 *
 * Pairs: the four values a b c d of a word of inputs give the pairs (a, c) and (b, d), which is what SXTB16 makes of it.
 * The last two values give (a, b); the last three (a, c), then (b, 0); the last one (a, 0). */
#ifndef TC_DENSE_H
#define TC_DENSE_H

#include "tc_simd.h"

/* Pair `q` of `count` inputs. */
TC_INLINE uint32_t tc_dense_pair(const int8_t *x, int32_t q, int32_t count)
{
    int32_t first = q / 2 * 4, left = count - first;
    if (left >= 4) {
        return tc_pair(x[first + q % 2], x[first + q % 2 + 2]);
    }
    if (q % 2 == 0 && left >= 2) {
        return tc_pair(x[first], x[count - 1]);
    }
    return tc_pair(x[first + q % 2], 0);
}

/* `filters` sums over `count` inputs. Stream: as many start values, then for each pair of inputs a pair of weights of
 * each filter; or, where filters are `mixed`, a word of every two: its halves are 256 times the second one's weight plus
 * the first one's, and so is the second start value modulo 2^32. The first one's weights by themselves are bytes 0 and
 * 2. Where `mixed` is 2, every three words behind the weights end with what the second filter's sum lacks. */
TC_INLINE void tc_dense_sums(int32_t *sums, const int8_t *x, const int32_t *stream, int32_t count, int32_t filters,
                             int mixed)
{
    const int32_t *word = stream + filters;
    int32_t f, q, pairs = (count + 1) / 2;
    for (f = 0; f < filters; f++) {
        sums[f] = stream[f];
    }
    for (q = 0; q < pairs; q++) {
        uint32_t pair = tc_dense_pair(x, q, count);
        for (f = 0; f < filters; f++) {
            uint32_t w = (uint32_t)*word;
            sums[f] = tc_smlad(pair, mixed && f % 2 == 0 ? tc_sxtb16(w) : w, sums[f]);
            word += !mixed || f % 2;
        }
    }
    for (f = 0; mixed && f < filters; f += 2) {
        int32_t lacks = mixed == 2 ? word[f / 2 * 3 + 2] : 0;
        sums[f + 1] = ((int32_t)((uint32_t)sums[f + 1] - (uint32_t)sums[f]) >> 8) + lacks;
    }
}

#endif
