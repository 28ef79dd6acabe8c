/* Pairs of int16 in one word, as the DSP extension of Armv7E-M and Armv8-M computes with them: names and meaning of
 * Arm's C Language Extensions (ACLE), and exact C in their place for every other machine. */
#ifndef TC_SIMD_H
#define TC_SIMD_H

#include "tc.h"

/* x, but the compiler does not know it: so it leaves loops in one copy, instead of one for each
 * case or turn. */
TC_INLINE int32_t tc_unknown(int32_t x)
{
#if defined(__GNUC__) || defined(__clang__)
    __asm__ volatile("" : "+r"(x));
#endif
    return x;
}

/* The word at any address: one load where the core allows it unaligned, as all with the extension do. */
TC_INLINE uint32_t tc_load32(const void *from)
{
    uint32_t word;
    tc_copy(&word, from, 4);
    return word;
}

TC_INLINE void tc_store32(void *to, uint32_t word)
{
    tc_copy(to, &word, 4);
}

/* The low and the high half of a word, as numbers. */
TC_INLINE int32_t tc_low16(uint32_t x)
{
    return (int16_t)(x & 0xFFFFu);
}

TC_INLINE int32_t tc_high16(uint32_t x)
{
    return (int16_t)(x >> 16);
}

TC_INLINE uint32_t tc_pair(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xFFFFu) | (uint32_t)high << 16;
}

TC_INLINE uint32_t tc_ror(uint32_t x, unsigned bits)
{
    return x >> bits | x << (32u - bits);
}

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>

TC_INLINE int32_t tc_smlad(uint32_t x, uint32_t y, int32_t sum)
{
    return __smlad((int16x2_t)x, (int16x2_t)y, sum);
}

TC_INLINE int32_t tc_smlabb(uint32_t x, uint32_t y, int32_t sum)
{
    return __smlabb((int32_t)x, (int32_t)y, sum);
}

TC_INLINE int32_t tc_smlabt(uint32_t x, uint32_t y, int32_t sum)
{
    return __smlabt((int32_t)x, (int32_t)y, sum);
}

TC_INLINE int32_t tc_smlatb(uint32_t x, uint32_t y, int32_t sum)
{
    return __smlatb((int32_t)x, (int32_t)y, sum);
}

TC_INLINE int32_t tc_smlatt(uint32_t x, uint32_t y, int32_t sum)
{
    return __smlatt((int32_t)x, (int32_t)y, sum);
}

TC_INLINE uint32_t tc_sadd16(uint32_t x, uint32_t y)
{
    return (uint32_t)__sadd16((int16x2_t)x, (int16x2_t)y);
}

TC_INLINE uint32_t tc_ssub16(uint32_t x, uint32_t y)
{
    return (uint32_t)__ssub16((int16x2_t)x, (int16x2_t)y);
}

TC_INLINE uint32_t tc_sxtb16(uint32_t x)
{
    return (uint32_t)__sxtb16((int8x4_t)x);
}

#else

/* sum + low * low + high * high; sums wrap. */
TC_INLINE int32_t tc_smlad(uint32_t x, uint32_t y, int32_t sum)
{
    uint32_t low = (uint32_t)(tc_low16(x) * tc_low16(y)), high = (uint32_t)(tc_high16(x) * tc_high16(y));
    return (int32_t)((uint32_t)sum + low + high);
}

/* sum + one half of x times one half of y: bottom or top. */
TC_INLINE int32_t tc_smlabb(uint32_t x, uint32_t y, int32_t sum)
{
    return (int32_t)((uint32_t)sum + (uint32_t)(tc_low16(x) * tc_low16(y)));
}

TC_INLINE int32_t tc_smlabt(uint32_t x, uint32_t y, int32_t sum)
{
    return (int32_t)((uint32_t)sum + (uint32_t)(tc_low16(x) * tc_high16(y)));
}

TC_INLINE int32_t tc_smlatb(uint32_t x, uint32_t y, int32_t sum)
{
    return (int32_t)((uint32_t)sum + (uint32_t)(tc_high16(x) * tc_low16(y)));
}

TC_INLINE int32_t tc_smlatt(uint32_t x, uint32_t y, int32_t sum)
{
    return (int32_t)((uint32_t)sum + (uint32_t)(tc_high16(x) * tc_high16(y)));
}

/* Both halves by themselves; sums wrap. */
TC_INLINE uint32_t tc_sadd16(uint32_t x, uint32_t y)
{
    return ((x + y) & 0xFFFFu) | ((x & 0xFFFF0000u) + (y & 0xFFFF0000u));
}

TC_INLINE uint32_t tc_ssub16(uint32_t x, uint32_t y)
{
    return ((x - y) & 0xFFFFu) | ((x & 0xFFFF0000u) - (y & 0xFFFF0000u));
}

/* Bytes 0 and 2 with their sign, as two halves. */
TC_INLINE uint32_t tc_sxtb16(uint32_t x)
{
    return tc_pair((int8_t)(x & 0xFFu), (int8_t)(x >> 16 & 0xFFu));
}

#endif

/* Bytes 1 and 3 with their sign, as two halves. */
TC_INLINE uint32_t tc_sxtb16_ror8(uint32_t x)
{
    return tc_sxtb16(tc_ror(x, 8));
}

/* The low halves of two words (PKHBT), and their high halves (PKHTB): which y keeps on its side. */
TC_INLINE uint32_t tc_low_halves(uint32_t x, uint32_t y)
{
    return (x & 0xFFFFu) | y << 16;
}

TC_INLINE uint32_t tc_high_halves(uint32_t x, uint32_t y)
{
    return x >> 16 | (y & 0xFFFF0000u);
}

#endif
