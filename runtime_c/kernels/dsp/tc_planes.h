/* Rows of single channels as int16, for kernels that slide over one channel at a time. */
#ifndef TC_PLANES_H
#define TC_PLANES_H

#include "tc_simd.h"

#if defined(__GNUC__) || defined(__clang__)
#pragma GCC diagnostic ignored "-Woverlength-strings" /* unrolled assembly is longer than what C99 promises to take */
#endif

/* A function that stays one for all layers, and small. */
#if defined(__clang__)
#define TC_SMALL static __attribute__((noinline, unused, minsize))
#elif defined(__GNUC__)
#define TC_SMALL static __attribute__((noinline, unused))
#else
#define TC_SMALL static
#endif

/* x, but the compiler does not know it: so it leaves loops in one copy, instead of one for each
 * case or turn. */
TC_INLINE int32_t tc_unknown(int32_t x)
{
#if defined(__GNUC__) || defined(__clang__)
    __asm__ volatile("" : "+r"(x));
#endif
    return x;
}

/* ``words`` times the same pair. */
TC_SMALL void tc_planes_fill(int16_t *to, int32_t words, uint32_t pair)
{
    for (; words >= 4; words -= 4) {
        tc_store32(to, pair);
        tc_store32(to + 2, pair);
        tc_store32(to + 4, pair);
        tc_store32(to + 6, pair);
        to += 8;
    }
    for (; words > 0; words--) {
        tc_store32(to, pair);
        to += 2;
    }
}

/* Pixels of up to four channels to a row of each channel, which are ``pitch`` elements apart: ``left`` columns of
 * ``padding``, ``width`` pixels that are ``step`` bytes apart, less ``zero_point``, and padding to the end of the row. */
TC_SMALL void tc_planes_row(
    int16_t *to, int32_t pitch, int32_t channels, const int8_t *from, int32_t step, int32_t left, int32_t width,
    int32_t padding, int32_t zero_point)
{
    int32_t c, column;
    for (c = 0; c < channels; c++) {
        const int8_t *x = from + c;
        for (column = 0; column < left; column++) {
            to[column] = (int16_t)padding;
        }
        for (; column < left + width; column++) {
            to[column] = (int16_t)(*x - zero_point);
            x += step;
        }
        for (; column < pitch; column++) {
            to[column] = (int16_t)padding;
        }
        to += pitch;
    }
}

/* Four bytes of each of two neighbouring pixels to a word of each of four channels, ``pitch`` elements apart. */
TC_INLINE void tc_planes_two(int16_t *to, int32_t pitch, uint32_t first, uint32_t second)
{
    const uint32_t low = tc_low_halves(first, second), high = tc_high_halves(first, second);
    tc_store32(to, tc_sxtb16(low));
    tc_store32(to + pitch, tc_sxtb16_ror8(low));
    tc_store32(to + 2 * pitch, tc_sxtb16(high));
    tc_store32(to + 3 * pitch, tc_sxtb16_ror8(high));
}

/* A row of four channels: ``width`` pixels from column ``left`` (0 or 1) on; the rest of their words becomes ``fill``,
 * four bytes of the zero point. */
TC_INLINE void tc_planes_four(
    int16_t *to, int32_t pitch, const int8_t *from, int32_t step, int32_t left, int32_t width, uint32_t fill)
{
    int32_t x;
    for (x = -left; x < width; x += 2) {
        const uint32_t first = x < 0 ? fill : tc_load32(from + x * step);
        tc_planes_two(to, pitch, first, x + 1 < width ? tc_load32(from + (x + 1) * step) : fill);
        to += 2;
    }
}

#endif
