/* Four int8 values of a word at a time: sums in pairs of int16, and the larger of two. */
#ifndef TC_LANES_H
#define TC_LANES_H

#include "tc_simd.h"

/* Sums of bytes 0 and 2, and of bytes 1 and 3, as int16 each; they wrap. */
typedef struct {
    uint32_t even, odd;
} tc_lanes;

/* sums + the bytes of a word (SXTAB16). */
TC_INLINE tc_lanes tc_lanes_add(tc_lanes sums, uint32_t word)
{
#if defined(__ARM_FEATURE_DSP)
    __asm__("sxtab16 %0, %0, %1" : "+r"(sums.even) : "r"(word));
    __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(sums.odd) : "r"(word));
#else
    sums.even = tc_sadd16(sums.even, tc_sxtb16(word));
    sums.odd = tc_sadd16(sums.odd, tc_sxtb16_ror8(word));
#endif
    return sums;
}

/* sums + the bytes of ``count`` words, ``step`` bytes apart. */
TC_INLINE tc_lanes tc_lanes_add_all(tc_lanes sums, const int8_t *from, int32_t step, int32_t count)
{
    for (; count >= 4; count -= 4) {
        const uint32_t a = tc_load32(from), b = tc_load32(from + step);
        const uint32_t c = tc_load32(from + 2 * step), d = tc_load32(from + 3 * step);
        sums = tc_lanes_add(tc_lanes_add(tc_lanes_add(tc_lanes_add(sums, a), b), c), d);
        from += 4 * step;
    }
    for (; count > 0; count--) {
        sums = tc_lanes_add(sums, tc_load32(from));
        from += step;
    }
    return sums;
}

/* Sum ``lane`` (0 to 3, the byte that it is of). */
TC_INLINE int32_t tc_lanes_sum(tc_lanes sums, int lane)
{
    const uint32_t pair = lane & 1 ? sums.odd : sums.even;
    return lane & 2 ? tc_high16(pair) : tc_low16(pair);
}

/* The larger of each two bytes (SSUB8, SEL). */
TC_INLINE uint32_t tc_max8(uint32_t x, uint32_t y)
{
#if defined(__ARM_FEATURE_DSP)
    uint32_t difference, larger;
    __asm__("ssub8 %0, %2, %3\n\tsel %1, %2, %3" : "=&r"(difference), "=r"(larger) : "r"(x), "r"(y) : "cc");
    return larger;
#else
    uint32_t larger = 0;
    int shift;
    for (shift = 0; shift < 32; shift += 8) {
        const int8_t a = (int8_t)(x >> shift & 0xFFu), b = (int8_t)(y >> shift & 0xFFu);
        larger |= (uint32_t)(uint8_t)(a > b ? a : b) << shift;
    }
    return larger;
#endif
}

/* The largest of each byte, of ``best`` and of ``count`` words ``step`` bytes apart. */
TC_INLINE uint32_t tc_max8_all(uint32_t best, const int8_t *from, int32_t step, int32_t count)
{
    for (; count >= 4; count -= 4) {
        const uint32_t a = tc_load32(from), b = tc_load32(from + step);
        const uint32_t c = tc_load32(from + 2 * step), d = tc_load32(from + 3 * step);
        best = tc_max8(tc_max8(tc_max8(tc_max8(best, a), b), c), d);
        from += 4 * step;
    }
    if (count >= 2) {
        const uint32_t a = tc_load32(from), b = tc_load32(from + step);
        best = tc_max8(tc_max8(best, a), b);
        from += 2 * step;
        count -= 2;
    }
    return count > 0 ? tc_max8(best, tc_load32(from)) : best;
}

#endif
