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
 * zeros, ``width`` pixels that are ``step`` bytes apart, less ``zero_point``, and zeros to the end of the row. */
TC_SMALL void tc_planes_row(
    int16_t *to, int32_t pitch, int32_t channels, const int8_t *from, int32_t step, int32_t left, int32_t width,
    int32_t zero_point)
{
    int32_t c, column;
    for (c = 0; c < channels; c++) {
        const int8_t *x = from + c;
        for (column = 0; column < left; column++) {
            to[column] = 0;
        }
        for (; column < left + width; column++) {
            to[column] = (int16_t)(*x - zero_point);
            x += step;
        }
        for (; column < pitch; column++) {
            to[column] = 0;
        }
        to += pitch;
    }
}

#endif
