/* Dot products of one filter with four pixels on cores without SIMD: each 32-bit multiply makes two products and adds
 * them (SIMD within a register).
 *
 * With S = 2^16, X = x0 + x2 S and W = w2 + w0 S give X W = x0 w2 + (x0 w0 + x2 w2) S modulo S^2: the high half is the
 * sum of two products, the low half is of no use but for its carry. Both halves must stay in int16 until they are
 * taken apart: after four products (wide) where the weights of every group allow it, else after two (narrow).
 *
 * Groups of four inputs: a pixel's group is two words, x0 + x2 S and x1 + x3 S; a filter's group is one word of the
 * bytes w2 + 128, w3 + 128, w0 + 128, w1 + 128, the first lowest. */
#ifndef TC_DOT4_H
#define TC_DOT4_H

#include "tc.h"

/* The two words of a group, from its four int8. */
TC_INLINE void tc_spread4(uint32_t *to, uint32_t bytes)
{
    uint32_t moved = bytes ^ 0x80808080u;
    to[0] = (moved & 0x00FF00FFu) - 0x00800080u;
    to[1] = (moved >> 8 & 0x00FF00FFu) - 0x00800080u;
}

#if defined(__ARM_ARCH_6M__)

/* r0: the filter; r1: the groups of the pixels; r2, r3: weights; r4, r5: products; r6, r7, r8, r9: sums; r10: 2^15,
 * which keeps a low half positive; r11, r12: to take bytes apart; lr: end of the groups. A sum in a low register
 * takes the carry of the low half from the shift instead. */
#define TC_DOT4_PRODUCTS "ldmia r1!, {r4, r5}\n muls r4, r3, r4\n muls r5, r2, r5\n"
#define TC_DOT4_WIDE(shift_and_add) TC_DOT4_PRODUCTS "adds r4, r4, r5\n" shift_and_add
#define TC_DOT4_NARROW(first, second) TC_DOT4_PRODUCTS first second
#define TC_DOT4_TAKE_LOW(product, sum) "asrs " product ", " product ", #16\n adcs " sum ", " product "\n"
#define TC_DOT4_TAKE_HIGH(product, sum)                                                                               \
    "add " product ", r10\n asrs " product ", " product ", #16\n add " sum ", " product "\n"
#define TC_DOT4_LOOP(pixel0, pixel1, pixel2, pixel3)                                                                  \
    register const uint32_t *filter_ __asm__("r0") = filter;                                                          \
    register uint32_t *pixels_ __asm__("r1") = pixels;                                                                \
    register const uint32_t *end_ __asm__("r2") = pixels + 8 * groups;                                                \
    register uint32_t bytes_ __asm__("r3") = 0x00FF00FFu;                                                             \
    register uint32_t offset_ __asm__("r4") = 0u - 0x00800080u;                                                       \
    register uint32_t half_ __asm__("r5") = 0x8000u;                                                                  \
    __asm__ volatile(".syntax unified\n"                                                                              \
                     "mov lr, r2\n mov r11, r3\n mov r12, r4\n mov r10, r5\n"                                         \
                     "ldmia r0!, {r6}\n mov r7, r6\n mov r8, r6\n mov r9, r6\n"                                       \
                     "1:\n"                                                                                           \
                     "ldmia r0!, {r2}\n mov r3, r11\n ands r3, r3, r2\n subs r2, r2, r3\n lsrs r2, r2, #8\n"          \
                     "add r2, r12\n add r3, r12\n" pixel0 pixel1 pixel2 pixel3                                        \
                     "cmp r1, lr\n bne 1b\n"                                                                          \
                     "stmia r1!, {r6, r7}\n mov r6, r8\n mov r7, r9\n stmia r1!, {r6, r7}\n"                          \
                     : "+r"(filter_), "+r"(pixels_), "+r"(end_), "+r"(bytes_), "+r"(offset_), "+r"(half_)             \
                     :                                                                                                \
                     : "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");                            \
    return filter_

#else

/* The sum of two products in the high half, the carry of the low half put right. */
TC_INLINE uint32_t tc_dot4_take(uint32_t product)
{
    return (product + 0x8000u) >> 16 | (0u - ((product + 0x8000u) >> 31)) << 16;
}

#define TC_DOT4_WIDE(taken) tc_dot4_take(x[0] * w0 + x[1] * w1)
#define TC_DOT4_NARROW(first, second) tc_dot4_take(x[0] * w0) + tc_dot4_take(x[1] * w1)
#define TC_DOT4_TAKE_LOW(product, sum) 0
#define TC_DOT4_TAKE_HIGH(product, sum) 0
#define TC_DOT4_LOOP(pixel0, pixel1, pixel2, pixel3)                                                                  \
    uint32_t sum[4], *x = pixels;                                                                                     \
    int32_t k, j;                                                                                                     \
    sum[0] = sum[1] = sum[2] = sum[3] = *filter++;                                                                    \
    for (k = 0; k < groups; k++, filter++) {                                                                          \
        const uint32_t w0 = (*filter & 0x00FF00FFu) - 0x00800080u, w1 = (*filter >> 8 & 0x00FF00FFu) - 0x00800080u;   \
        for (j = 0; j < 4; j++, x += 2) {                                                                             \
            sum[j] += pixel0;                                                                                         \
        }                                                                                                             \
    }                                                                                                                 \
    tc_copy(x, sum, sizeof sum);                                                                                      \
    return filter

#endif

/* Four sums, written behind the ``groups`` groups of four pixels, of the filter's first word (its bias) and all its
 * products; returns the end of the filter. */
TC_INLINE const uint32_t *tc_dot4_wide(const uint32_t *filter, uint32_t *pixels, int32_t groups)
{
    TC_DOT4_LOOP(TC_DOT4_WIDE(TC_DOT4_TAKE_LOW("r4", "r6")), TC_DOT4_WIDE(TC_DOT4_TAKE_LOW("r4", "r7")),
                 TC_DOT4_WIDE(TC_DOT4_TAKE_HIGH("r4", "r8")), TC_DOT4_WIDE(TC_DOT4_TAKE_HIGH("r4", "r9")));
}

TC_INLINE const uint32_t *tc_dot4_narrow(const uint32_t *filter, uint32_t *pixels, int32_t groups)
{
    TC_DOT4_LOOP(TC_DOT4_NARROW(TC_DOT4_TAKE_LOW("r4", "r6"), TC_DOT4_TAKE_LOW("r5", "r6")),
                 TC_DOT4_NARROW(TC_DOT4_TAKE_LOW("r4", "r7"), TC_DOT4_TAKE_LOW("r5", "r7")),
                 TC_DOT4_NARROW(TC_DOT4_TAKE_HIGH("r4", "r8"), TC_DOT4_TAKE_HIGH("r5", "r8")),
                 TC_DOT4_NARROW(TC_DOT4_TAKE_HIGH("r4", "r9"), TC_DOT4_TAKE_HIGH("r5", "r9")));
}

#endif
