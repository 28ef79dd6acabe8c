/* Dot products on cores without SIMD: each 32-bit multiply makes two products and adds them (SIMD within a register).
 *
 * With S = 2^16, X = x0 + x2 S and W = w2 + w0 S give X W = x0 w2 + (x0 w0 + x2 w2) S modulo S^2: the high half is the
 * sum of two products, the low half is of no use but for its carry. Both halves must stay in int16 until they are
 * taken apart: after four products (WIDE) where the weights of every group allow it, else after two (NARROW). Where
 * few groups do not, they have smaller weights, and the filter goes on with what is missing (FIXED): how many times, and
 * for each its weight in the low half of a word and the place of the input in the high half. The input is the x0 or the x1 of a group, in the low half of a word.
 *
 * Inputs come in groups of four: of a pixel two words, x0 + x2 S and x1 + x3 S; of a filter one word of the bytes
 * w2 + 128, w3 + 128, w0 + 128, w1 + 128, the first lowest. A tile is 3 or 4 pixels that share each filter's weights
 * while they are taken apart; its words lie group by group, pixel by pixel.
 *
 * Each macro and function exists twice: for Armv6-M in assembly, and with the same meaning in C. */
#ifndef TC_PAIRS_H
#define TC_PAIRS_H

#include "tc.h"

/* Before a loop that is to stay one: Clang takes a block of assembly for a single instruction when it unrolls. */
#if defined(__clang__)
#define TC_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define TC_ROLLED
#endif

/* Words behind the groups of a tile that its kernels use. */
#define TC_TILE_WORDS 4

#if defined(__ARM_ARCH_6M__)

/* ``count`` groups of one pixel from words of four int8; ``skip``: bytes from the end of one group to the next. */
TC_INLINE void tc_spread(uint32_t *to, const void *from, int32_t count, int32_t skip)
{
    register uint32_t *to_ __asm__("r0") = to;
    register const void *from_ __asm__("r1") = from;
    register int32_t count_ __asm__("r4") = count;
    register int32_t skip_ __asm__("r5") = skip;
    __asm__ volatile(".syntax unified\n"
                     "movs r2, #0x80\n lsls r3, r2, #16\n orrs r2, r2, r3\n"
                     "lsls r6, r2, #8\n orrs r6, r6, r2\n"
                     "lsls r3, r2, #1\n lsrs r7, r2, #7\n subs r3, r3, r7\n mov r12, r3\n"
                     "rsbs r7, r2, #0\n"
                     "1:\n"
                     "ldmia r1!, {r3}\n eors r3, r3, r6\n mov r2, r12\n ands r2, r2, r3\n subs r3, r3, r2\n"
                     "lsrs r3, r3, #8\n adds r2, r2, r7\n adds r3, r3, r7\n stmia r0!, {r2, r3}\n adds r0, r0, r5\n"
                     "subs r4, r4, #1\n bne 1b\n"
                     : "+r"(to_), "+r"(from_), "+r"(count_), "+r"(skip_)
                     :
                     : "r2", "r3", "r6", "r7", "r12", "cc", "memory");
}

/* Registers: r0 filters, r1 pixels, r2 and r3 weights, r4 and r5 products, r6 to r9 sums, r10 2^15, which keeps a low
 * half positive, r11 and r12 to take bytes apart, lr the end of the pixels. A sum in a low register takes the carry
 * of the low half from the shift instead. */
#define TC_TILE_WEIGHTS                                                                                               \
    "ldmia r0!, {r2}\n mov r3, r11\n ands r3, r3, r2\n subs r2, r2, r3\n lsrs r2, r2, #8\n add r2, r12\n add r3, r12\n"
#define TC_TILE_PRODUCTS "ldmia r1!, {r4, r5}\n muls r4, r3, r4\n muls r5, r2, r5\n"
#define TC_TILE_LOW(product, sum) "asrs " product ", " product ", #16\n adcs " sum ", " sum ", " product "\n"
#define TC_TILE_HIGH(product, sum)                                                                                    \
    "add " product ", r10\n asrs " product ", " product ", #16\n add " sum ", " product "\n"
#define TC_TILE_WIDE(take, sum) TC_TILE_PRODUCTS "adds r4, r4, r5\n" take("r4", sum)
#define TC_TILE_NARROW(take, sum) TC_TILE_PRODUCTS take("r4", sum) take("r5", sum)

/* One group: all its products with 3 or 4 pixels. */
#define TC_TILE_GROUP_3(taken) TC_TILE_WEIGHTS taken(TC_TILE_LOW, "r6") taken(TC_TILE_LOW, "r7") taken(TC_TILE_HIGH, "r8")
#define TC_TILE_GROUP_4(taken) TC_TILE_GROUP_3(taken) taken(TC_TILE_HIGH, "r9")
/* All groups, one to three a turn; the assembler repeats text, as C99 has no longer strings than 4095 characters. */
#define TC_TILE_GROUPS(group, taken, count) "1:\n .rept " count "\n" group(taken) ".endr\n cmp r1, lr\n bne 1b\n"
#define TC_TILE_GROUPS_ONCE(group, taken) TC_TILE_GROUPS(group, taken, "1")
#define TC_TILE_GROUPS_TWICE(group, taken) TC_TILE_GROUPS(group, taken, "2")
#define TC_TILE_GROUPS_THRICE(group, taken) TC_TILE_GROUPS(group, taken, "3")

/* What is missing of the sums; the place is told in bytes below the end of the pixels. */
#define TC_TILE_FIX(pixel) "ldr r5, [r3, #8 * " #pixel "]\n sxth r5, r5\n muls r5, r4, r5\n"
#define TC_TILE_FIX_3 TC_TILE_FIX(0) "adds r6, r6, r5\n" TC_TILE_FIX(1) "adds r7, r7, r5\n" TC_TILE_FIX(2) "add r8, r5\n"
#define TC_TILE_FIX_4 TC_TILE_FIX_3 TC_TILE_FIX(3) "add r9, r5\n"
#define TC_TILE_EXACT(fix) ""
#define TC_TILE_FIXED(fix)                                                                                            \
    "ldmia r0!, {r2}\n cmp r2, #0\n beq 6f\n 5:\n ldmia r0!, {r3}\n sxth r4, r3\n lsrs r3, r3, #16\n subs r3, r1, r3\n" fix  \
    "subs r2, r2, #1\n bne 5b\n 6:\n"

/* r10, r11, r12. */
#define TC_TILE_HALF "movs r4, #0x80\n lsls r4, r4, #8\n mov r10, r4\n"
#define TC_TILE_BYTES                                                                                                 \
    "movs r4, #0x80\n lsls r5, r4, #16\n orrs r4, r4, r5\n rsbs r5, r4, #0\n mov r12, r5\n"                           \
    "lsls r5, r4, #1\n lsrs r4, r4, #7\n subs r5, r5, r4\n mov r11, r5\n"
#define TC_TILE_ZERO "movs r6, #0\n movs r7, #0\n mov r8, r6\n mov r9, r6\n"

/* Value of the sum in register ``sum``, multiplied by r2 + 2^shift r3, with r4 + 2^shift r5 added, over 2^32, where
 * the products fit in a word; and where that with r2 does not (r10 is lost). */
#define TC_TILE_SHORT(sum, shift, upper, rest)                                                                        \
    "movs r0, " sum "\n muls r0, r2, r0\n adds r0, r0, r4\n asrs r0, r0, #" #shift "\n muls " sum ", r3, " sum "\n"   \
    "adds " sum ", " sum ", r0\n adds " sum ", " sum ", r5\n asrs " sum ", " sum ", #" #rest "\n"
#define TC_TILE_LONG(sum, shift, upper, rest)                                                                         \
    "uxtb r0, " sum "\n muls r0, r2, r0\n adds r0, r0, r4\n lsrs r0, r0, #8\n mov r10, " sum "\n"                     \
    "asrs " sum ", " sum ", #8\n muls " sum ", r2, " sum "\n adds " sum ", " sum ", r0\n"                             \
    "asrs " sum ", " sum ", #" #upper "\n mov r0, r10\n muls r0, r3, r0\n"                                            \
    "adds " sum ", " sum ", r0\n adds " sum ", " sum ", r5\n asrs " sum ", " sum ", #" #rest "\n"
/* Clamp to 0 .. span, add ``low`` modulo 256, store. */
#define TC_TILE_STORE(sum, span, low)                                                                                 \
    "cmp " sum ", #" #span "\n bls 3f\n asrs " sum ", " sum ", #31\n mvns " sum ", " sum "\n movs r0, #" #span "\n"   \
    "ands " sum ", " sum ", r0\n 3:\n adds " sum ", #" #low "\n strb " sum ", [r1]\n"
#define TC_TILE_SHORT_AGAIN ""
#define TC_TILE_LONG_AGAIN TC_TILE_HALF
#define TC_TILE_OUTPUT(sum, scale, shift, upper, rest, span, low)                                                     \
    TC_TILE_##scale(sum, shift, upper, rest) TC_TILE_STORE(sum, span, low)
#define TC_TILE_OUTPUTS_3(scale, shift, upper, rest, span, low, next)                                                 \
    TC_TILE_OUTPUT("r6", scale, shift, upper, rest, span, low)                                                        \
    next TC_TILE_OUTPUT("r7", scale, shift, upper, rest, span, low)                                                   \
    next "mov r6, r8\n" TC_TILE_OUTPUT("r6", scale, shift, upper, rest, span, low)
#define TC_TILE_OUTPUTS_4(scale, shift, upper, rest, span, low, next)                                                 \
    TC_TILE_OUTPUTS_3(scale, shift, upper, rest, span, low, next)                                                     \
    next "mov r6, r9\n" TC_TILE_OUTPUT("r6", scale, shift, upper, rest, span, low)

/* Outputs of a tile of ``n`` pixels for all filters up to ``end``. Behind its groups a filter has four words: see
 * TC_TILE_SHORT. ``next`` and ``back`` are instructions that move r1 from an output to that of the next pixel, and
 * from that of the last pixel to the next channel of the first. */
#define TC_TILE_NATIVE(filters, end, pixels, groups, to, outputs, n, loop, taken, fixed, scale, shift, upper, rest,    \
                       span, low, next, back)                                                                              \
    do {                                                                                                              \
        register const uint32_t *filters_ __asm__("r0") = (filters);                                                  \
        register uint32_t *pixels_ __asm__("r1") = (pixels);                                                          \
        register uint32_t *behind_ __asm__("r2") = (pixels) + 2 * (n) * (groups);                                     \
        register int8_t *to_ __asm__("r3") = (to);                                                                    \
        register const uint32_t *end_ __asm__("r4") = (end);                                                          \
        __asm__ volatile(                                                                                             \
            ".syntax unified\n str r3, [r2]\n str r4, [r2, #4]\n str r1, [r2, #8]\n mov lr, r2\n" TC_TILE_BYTES       \
            TC_TILE_HALF "2:\n" TC_TILE_ZERO TC_TILE_GROUPS_##loop(TC_TILE_GROUP_##n, TC_TILE_##taken)                                 \
                TC_TILE_##fixed(TC_TILE_FIX_##n) "ldmia r0!, {r2, r3, r4, r5}\n str r0, [r1, #12]\n ldr r1, [r1]\n"                                        \
            TC_TILE_OUTPUTS_##n(scale, shift, upper, rest, span, low, next) back                     \
            "mov r0, lr\n str r1, [r0]\n ldr r1, [r0, #8]\n ldr r2, [r0, #4]\n ldr r0, [r0, #12]\n"                   \
            TC_TILE_##scale##_AGAIN "cmp r0, r2\n beq 4f\n b 2b\n 4:\n"                                               \
            : "+r"(filters_), "+r"(pixels_), "+r"(behind_), "+r"(to_), "+r"(end_)                                     \
            :                                                                                                         \
            : "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");                               \
    } while (0)

/* The sums of one filter, written behind the groups; returns the end of the filter. */
#define TC_TILE_SUMS(filter, pixels, groups, n, loop, taken, fixed)                                                          \
    do {                                                                                                              \
        register const uint32_t *filter_ __asm__("r0") = (filter);                                                    \
        register uint32_t *pixels_ __asm__("r1") = (pixels);                                                          \
        register uint32_t *behind_ __asm__("r2") = (pixels) + 2 * (n) * (groups);                                     \
        __asm__ volatile(".syntax unified\n mov lr, r2\n" TC_TILE_BYTES TC_TILE_HALF TC_TILE_ZERO                     \
                             TC_TILE_GROUPS_##loop(TC_TILE_GROUP_##n, TC_TILE_##taken)                                \
                                 TC_TILE_##fixed(TC_TILE_FIX_##n) "stmia r1!, {r6, r7}\n mov r6, r8\n mov r7, r9\n stmia r1!, {r6, r7}\n"                      \
                         : "+r"(filter_), "+r"(pixels_), "+r"(behind_)                                                \
                         :                                                                                            \
                         : "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");      \
        (filter) = filter_;                                                                                           \
    } while (0)

#else

TC_INLINE void tc_spread(uint32_t *to, const void *from, int32_t count, int32_t skip)
{
    const uint8_t *bytes = (const uint8_t *)from;
    for (; count > 0; count--, bytes += 4, to += 2 + skip / 4) {
        uint32_t word;
        tc_copy(&word, bytes, 4);
        word ^= 0x80808080u;
        to[0] = (word & 0x00FF00FFu) - 0x00800080u;
        to[1] = (word >> 8 & 0x00FF00FFu) - 0x00800080u;
    }
}

/* An arithmetic shift of a word. */
TC_INLINE uint32_t tc_shifted(uint32_t x, int bits)
{
    return (uint32_t)((int32_t)x >> bits);
}

/* The high half as a number, when the low half is one too. */
TC_INLINE uint32_t tc_high_half(uint32_t x)
{
    return tc_shifted(x + 0x8000u, 16);
}

/* The product of the low halves. */
TC_INLINE uint32_t tc_low_product(uint32_t x, uint32_t y)
{
    return tc_shifted(x << 16, 16) * tc_shifted(y << 16, 16);
}

/* The sums of one filter with ``n`` pixels. */
TC_INLINE const uint32_t *tc_tile_sums(const uint32_t *filter, const uint32_t *pixels, int32_t groups, int n, int wide,
                                       int fixed, uint32_t *sums)
{
    uint32_t count;
    int j;
    for (j = 0; j < n; j++) {
        sums[j] = 0;
    }
    for (; groups > 0; groups--, filter++) {
        const uint32_t w0 = (*filter & 0x00FF00FFu) - 0x00800080u, w1 = (*filter >> 8 & 0x00FF00FFu) - 0x00800080u;
        for (j = 0; j < n; j++, pixels += 2) {
            const uint32_t a = pixels[0] * w0, b = pixels[1] * w1;
            sums[j] += wide ? tc_high_half(a + b) : tc_high_half(a) + tc_high_half(b);
        }
    }
    for (count = fixed ? *filter++ : 0u; count > 0; count--, filter++) {
        for (j = 0; j < n; j++) {
            sums[j] += tc_low_product((pixels - (*filter >> 18))[2 * j], *filter);
        }
    }
    return filter;
}

/* See TC_TILE_SHORT. */
TC_INLINE int8_t tc_tile_output(uint32_t sum, const uint32_t *scale, int is_long, int shift, int span, int low)
{
    uint32_t lower = sum * scale[0] + scale[2], y;
    if (is_long) {
        y = ((sum & 255u) * scale[0] + scale[2]) >> 8;
        lower = tc_shifted(tc_shifted(sum, 8) * scale[0] + y, shift - 8);
    } else {
        lower = tc_shifted(lower, shift);
    }
    y = tc_shifted(sum * scale[1] + lower + scale[3], 32 - shift);
    if (y > (uint32_t)span) {
        y = ~tc_shifted(y, 31) & (uint32_t)span;
    }
    y = (y + (uint32_t)low) & 255u;
    return (int8_t)(y < 128u ? (int32_t)y : (int32_t)y - 256);
}

TC_INLINE void tc_tile_native(const uint32_t *filters, const uint32_t *end, const uint32_t *pixels, int32_t groups,
                              int8_t *to, int32_t outputs, int n, int wide, int fixed, int is_long, int shift, int span,
                              int low)
{
    uint32_t sums[4];
    int j;
    for (; filters < end; filters += 4, to++) {
        filters = tc_tile_sums(filters, pixels, groups, n, wide, fixed, sums);
        for (j = 0; j < n; j++) {
            to[j * outputs] = tc_tile_output(sums[j], filters, is_long, shift, span, low);
        }
    }
}

#define TC_TILE_WIDE 1
#define TC_TILE_NARROW 0
#define TC_TILE_FIXED 1
#define TC_TILE_EXACT 0
#define TC_TILE_LONG 1
#define TC_TILE_SHORT 0
#define TC_TILE_NATIVE(filters, end, pixels, groups, to, outputs, n, loop, taken, fixed, scale, shift, upper, rest,    \
                       span, low, next, back)                                                                              \
    tc_tile_native(filters, end, pixels, groups, to, outputs, n, TC_TILE_##taken, TC_TILE_##fixed, TC_TILE_##scale,   \
                   shift, span, low)
#define TC_TILE_SUMS(filter, pixels, groups, n, loop, taken, fixed)                                                          \
    (filter) = tc_tile_sums(filter, pixels, groups, n, TC_TILE_##taken, TC_TILE_##fixed, (pixels) + 2 * (n) * (groups))

#endif

#endif
