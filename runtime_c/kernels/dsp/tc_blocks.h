/* Gathering of inputs as pairs of int16 for blocks of four filters, and the exact C stand-in of those blocks.
 *
 * Pairs: the four values a b c d of a word of the input give the pairs (a, c) and (b, d), which is what SXTB16 makes of
 * it. What is left of a run gives (a, b) of two values, (a, c) of three; the odd one, b or the last one, goes behind all
 * runs, where two of them make a pair. A pair that is not full meets a weight 0. The pairs of two pixels alternate; those
 * of a pixel by itself have no gaps. */
#ifndef TC_BLOCKS_H
#define TC_BLOCKS_H

#include "tc_simd.h"

/* The pairs of `bytes` values, to every `step`th word, without an odd one; returns where the next pair goes. */
TC_INLINE uint32_t *tc_unpack(uint32_t *to, const int8_t *from, int32_t bytes, int32_t step)
{
    int32_t i;
    for (i = 0; i + 4 <= bytes; i += 4) {
        uint32_t four = tc_load32(from + i);
        to[0] = tc_sxtb16(four);
        to[step] = tc_sxtb16_ror8(four);
        to += 2 * step;
    }
    if (bytes % 4 >= 2) {
        to[0] = tc_pair(from[i], from[i + bytes % 4 - 1]);
        to += step;
    }
    return to;
}

/* One or two words of each of two pixels, to 4 or 8 words. */
TC_INLINE void tc_unpack_word(uint32_t *to, const int8_t *from, const int8_t *other)
{
    uint32_t four = tc_load32(from), its = tc_load32(other);
    to[0] = tc_sxtb16(four);
    to[1] = tc_sxtb16(its);
    to[2] = tc_sxtb16_ror8(four);
    to[3] = tc_sxtb16_ror8(its);
}

#if defined(__ARM_FEATURE_DSP)
/* Loads in a group. What follows addresses: where bases move. */
#define TC_UNPACK_TWO_WORDS(moves, store_moves) \
    "ldr %[c], [%[from], #4]\n\t" \
    "ldr %[d], [%[other], #4]\n\t" \
    "ldr %[a], [%[from]]" moves "\n\t" \
    "ldr %[b], [%[other]]" moves "\n\t" \
    "sxtb16 %[e], %[c]\n\t" \
    "sxtb16 %[f], %[d]\n\t" \
    "str %[e], [%[to], #16]\n\t" \
    "sxtb16 %[c], %[c], ror #8\n\t" \
    "str %[f], [%[to], #20]\n\t" \
    "sxtb16 %[d], %[d], ror #8\n\t" \
    "str %[c], [%[to], #24]\n\t" \
    "sxtb16 %[f], %[b]\n\t" \
    "str %[d], [%[to], #28]\n\t" \
    "sxtb16 %[e], %[a]\n\t" \
    "str %[f], [%[to], #4]\n\t" \
    "sxtb16 %[a], %[a], ror #8\n\t" \
    "sxtb16 %[b], %[b], ror #8\n\t" \
    "str %[a], [%[to], #8]\n\t" \
    "str %[b], [%[to], #12]\n\t" \
    "str %[e], [%[to]]" store_moves "\n\t"
#endif

/* `turns` (1 or more, one that compilers know) times two words of each of two pixels, to 8 words each time; returns
 * where the next ones go. */
TC_INLINE uint32_t *tc_unpack_two_words(uint32_t *to, const int8_t *from, const int8_t *other, int32_t turns)
{
#if defined(__ARM_FEATURE_DSP)
    uint32_t a, b, c, d, e, f;
    if (turns == 1) {
        __asm__ volatile(TC_UNPACK_TWO_WORDS("", "")
            : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [e] "=&r"(e), [f] "=&r"(f)
            : [from] "r"(from), [other] "r"(other), [to] "r"(to)
            : "memory");
        return to + 8;
    }
    __asm__ volatile(
        ".p2align 2\n"
        "1:\n\t"
        TC_UNPACK_TWO_WORDS(", #8", ", #32")
        "subs %[turns], #1\n\t"
        "bne 1b\n\t"
        : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [e] "=&r"(e), [f] "=&r"(f),
          [from] "+r"(from), [other] "+r"(other), [to] "+r"(to), [turns] "+r"(turns)
        :
        : "cc", "memory");
#else
    for (; turns > 0; turns--) {
        tc_unpack_word(to, from, other);
        tc_unpack_word(to + 4, from + 4, other + 4);
        from += 8;
        other += 8;
        to += 8;
    }
#endif
    return to;
}

/* The pairs of two pixels at once. */
TC_INLINE uint32_t *tc_unpack_two(uint32_t *to, const int8_t *from, const int8_t *other, int32_t bytes)
{
    if (bytes >= 8) {
        to = tc_unpack_two_words(to, from, other, bytes / 8);
        from += bytes / 8 * 8;
        other += bytes / 8 * 8;
    }
    if (bytes % 8 >= 4) {
        tc_unpack_word(to, from, other);
        from += 4;
        other += 4;
        to += 4;
    }
    if (bytes % 4 >= 2) {
        to[0] = tc_pair(from[0], from[bytes % 4 - 1]);
        to[1] = tc_pair(other[0], other[bytes % 4 - 1]);
        to += 2;
    }
    return to;
}

/* Where the odd value of a run of `bytes` lies. */
TC_INLINE int32_t tc_unpack_odd_at(int32_t bytes)
{
    return bytes % 4 == 3 ? bytes - 2 : bytes - 1;
}

/* The odd value of run `run` to its half of a pair. */
TC_INLINE void tc_unpack_odd(uint32_t *to, int32_t value, int32_t run, int32_t step)
{
    int16_t half = (int16_t)value;
    tc_copy((char *)(to + run / 2 * step) + run % 2 * 2, &half, 2);
}

/* Four filters by `pixels` pixels, as the blocks in assembly compute them: sums[4 * j + f] is filter f at pixel j.
 * Stream: four start values, then for each pair of inputs four words, a pair of weights each; or, where filters are
 * `mixed`, two words, each for two filters: its halves are 256 times the second one's weight plus the first one's, and so
 * is the second start value modulo 2^32. The first one's weights by themselves are bytes 0 and 2. Where sums of second
 * filters come out `times_256`, as mixed ones do, they are divided here. */
TC_INLINE void tc_block_four(int32_t *sums, const uint32_t *x, const int32_t *stream, int32_t pairs, int32_t pixels,
                           int32_t step, int mixed, int times_256)
{
    int32_t f, j, q;
    for (j = 0; j < pixels; j++) {
        for (f = 0; f < 4; f++) {
            int32_t sum = stream[f];
            for (q = 0; q < pairs; q++) {
                uint32_t w = (uint32_t)stream[4 + (mixed ? 2 * q + f / 2 : 4 * q + f)];
                sum = tc_smlad(x[step * q + j], mixed && f % 2 == 0 ? tc_sxtb16(w) : w, sum);
            }
            sums[4 * j + f] = sum;
        }
        for (f = 0; times_256 && f < 4; f += 2) {
            sums[4 * j + f + 1] = (int32_t)((uint32_t)sums[4 * j + f + 1] - (mixed ? (uint32_t)sums[4 * j + f] : 0u)) >> 8;
        }
    }
}

#endif
