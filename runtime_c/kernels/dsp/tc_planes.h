/* Rows of single channels as int16, for kernels that slide over one channel at a time. */
#ifndef TC_PLANES_H
#define TC_PLANES_H

#include "tc_simd.h"

/* Four bytes of each of two neighbouring pixels to a word of each of four channels, ``pitch`` elements apart. */
TC_INLINE void tc_planes_two(int16_t *to, int32_t pitch, const int8_t *first, const int8_t *second)
{
    const uint32_t x = tc_load32(first), y = tc_load32(second);
    const uint32_t low = tc_low_halves(x, y), high = tc_high_halves(x, y);
    tc_store32(to, tc_sxtb16(low));
    tc_store32(to + pitch, tc_sxtb16_ror8(low));
    tc_store32(to + 2 * pitch, tc_sxtb16(high));
    tc_store32(to + 3 * pitch, tc_sxtb16_ror8(high));
}

/* One row: ``left`` columns of the zero point, ``width`` pixels (``channels`` of them, up to four), and zero points
 * up to ``pitch``. ``from`` is the first pixel, the next is ``step`` bytes on. */
TC_INLINE void tc_planes_row(
    int16_t *to, int32_t pitch, int32_t channels, const int8_t *from, int32_t step, int32_t left, int32_t width,
    int32_t zero_point)
{
    int32_t c, column = 0;
    for (; column < left; column++) {
        for (c = 0; c < channels; c++) {
            to[c * pitch + column] = (int16_t)zero_point;
        }
    }
    if (channels == 4) {
        const int32_t end = left + width;
        if ((column & 1) && column < end) {
            for (c = 0; c < 4; c++) {
                to[c * pitch + column] = from[c];
            }
            from += step;
            column++;
        }
        for (; column + 1 < end; column += 2) {
            tc_planes_two(to + column, pitch, from, from + step);
            from += 2 * step;
        }
    }
    for (; column < left + width; column++) {
        for (c = 0; c < channels; c++) {
            to[c * pitch + column] = from[c];
        }
        from += step;
    }
    for (; column < pitch; column++) {
        for (c = 0; c < channels; c++) {
            to[c * pitch + column] = (int16_t)zero_point;
        }
    }
}

#endif
