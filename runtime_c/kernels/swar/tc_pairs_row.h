/* Dot products of one pixel (or row of a dense layer) with blocks of four filters: see tc_pairs.h for the arithmetic.
 *
 * Here the bytes of the weights are not centred. With U = W + 128 (1 + S), X W = X U - 128 (1 + S) X, so that a group
 * of inputs brings along what to add to every filter's products: WIDE has x0 + x2 S, x1 + x3 S and one such word, for
 * both products together, NARROW has two. They also carry the 2^15 that keeps the low half positive. Inputs are SPREAD
 * beforehand, for all blocks, or BYTES that every block spreads itself, which needs no memory for them. */
#ifndef TC_PAIRS_ROW_H
#define TC_PAIRS_ROW_H

#include "tc_pairs.h"

/* ``count`` groups from words of four int8. */
TC_INLINE void tc_row_wide(uint32_t *to, const void *from, int32_t count)
{
    tc_spread(to, from, count, 4);
    for (; count > 0; count--, to += 3) {
        to[2] = 0x8000u - (to[0] + to[1]) * 0x00800080u;
    }
}

TC_INLINE void tc_row_narrow(uint32_t *to, const void *from, int32_t count)
{
    tc_spread(to, from, count, 8);
    for (; count > 0; count--, to += 4) {
        to[2] = 0x8000u - to[0] * 0x00800080u;
        to[3] = 0x8000u - to[1] * 0x00800080u;
    }
}

#if defined(__ARM_ARCH_6M__)

/* Registers: r0 filters, r1 and r2 inputs, r3 (and r7) what to add, r4 0x00FF00FF, r5 to r7 weights and products, r8
 * inputs, r9 their end, r10 r11 r12 lr sums. */
#define TC_ROW_INPUTS(registers) "mov r6, r8\n ldmia r6!, {" registers "}\n mov r8, r6\n"
#define TC_ROW_SPREAD_BYTES                                                                                           \
    TC_ROW_INPUTS("r2")                                                                                               \
    "movs r5, #0x80\n lsls r6, r5, #16\n orrs r5, r5, r6\n movs r1, r4\n ands r1, r1, r2\n"                           \
    "lsrs r2, r2, #8\n ands r2, r2, r4\n"                                                                             \
    "eors r1, r1, r5\n subs r1, r1, r5\n eors r2, r2, r5\n subs r2, r2, r5\n movs r6, #0x80\n lsls r6, r6, #8\n"
#define TC_ROW_ADD(to) "muls " to ", r5, " to "\n subs " to ", r6, " to "\n"
#define TC_ROW_INPUTS_WIDE_SPREAD TC_ROW_INPUTS("r1, r2, r3")
#define TC_ROW_INPUTS_NARROW_SPREAD TC_ROW_INPUTS("r1, r2, r3, r7")
#define TC_ROW_INPUTS_WIDE_BYTES TC_ROW_SPREAD_BYTES "adds r3, r1, r2\n" TC_ROW_ADD("r3")
#define TC_ROW_INPUTS_NARROW_BYTES                                                                                    \
    TC_ROW_SPREAD_BYTES "movs r3, r1\n movs r7, r2\n" TC_ROW_ADD("r3") TC_ROW_ADD("r7")
#define TC_ROW_PAIR(weights)                                                                                          \
    "lsrs r6, " weights ", #8\n ands r6, r6, r4\n ands " weights ", " weights ", r4\n"                                \
    "muls " weights ", r1, " weights "\n muls r6, r2, r6\n"
#define TC_ROW_TAKE(product, sum) "asrs " product ", " product ", #16\n add " sum ", " product "\n"
#define TC_ROW_FILTER_WIDE(weights, sum)                                                                              \
    TC_ROW_PAIR(weights) "adds r6, r6, " weights "\n adds r6, r6, r3\n" TC_ROW_TAKE("r6", sum)
#define TC_ROW_FILTER_NARROW(sum)                                                                                     \
    "ldmia r0!, {r5}\n" TC_ROW_PAIR("r5") "adds r5, r5, r3\n adds r6, r6, r7\n" TC_ROW_TAKE("r5", sum)                \
        TC_ROW_TAKE("r6", sum)
#define TC_ROW_FILTERS_WIDE                                                                                           \
    "ldmia r0!, {r5, r7}\n" TC_ROW_FILTER_WIDE("r5", "r10") TC_ROW_FILTER_WIDE("r7", "r11")                           \
    "ldmia r0!, {r5, r7}\n" TC_ROW_FILTER_WIDE("r5", "r12") TC_ROW_FILTER_WIDE("r7", "lr")
#define TC_ROW_FILTERS_NARROW                                                                                         \
    TC_ROW_FILTER_NARROW("r10") TC_ROW_FILTER_NARROW("r11") TC_ROW_FILTER_NARROW("r12") TC_ROW_FILTER_NARROW("lr")
#define TC_ROW_GROUP(taken, from) TC_ROW_INPUTS_##taken##_##from TC_ROW_FILTERS_##taken
#define TC_ROW_GROUPS(group, count) "1:\n .rept " count "\n" group ".endr\n cmp r8, r9\n bne 1b\n"
#define TC_ROW_GROUPS_ONCE(group) TC_ROW_GROUPS(group, "1")
#define TC_ROW_GROUPS_TWICE(group) TC_ROW_GROUPS(group, "2")
#define TC_ROW_GROUPS_THRICE(group) TC_ROW_GROUPS(group, "3")
/* What is missing of the sums. */
#define TC_ROW_FIX(load, sum)                                                                                         \
    "ldmia r0!, {r2}\n cmp r2, #0\n beq 6f\n 5:\n ldmia r0!, {r3}\n sxth r4, r3\n lsrs r3, r3, #16\n"                  \
    "subs r3, r1, r3\n" load "muls r5, r4, r5\n add " sum ", r5\n subs r2, r2, #1\n bne 5b\n 6:\n"
#define TC_ROW_FIXES(load)                                                                                            \
    "mov r1, r9\n" TC_ROW_FIX(load, "r10") TC_ROW_FIX(load, "r11") TC_ROW_FIX(load, "r12") TC_ROW_FIX(load, "lr")
#define TC_ROW_EXACT_SPREAD ""
#define TC_ROW_EXACT_BYTES ""
#define TC_ROW_FIXED_SPREAD TC_ROW_FIXES("ldr r5, [r3]\n sxth r5, r5\n")
#define TC_ROW_FIXED_BYTES TC_ROW_FIXES("ldrb r5, [r3]\n sxtb r5, r5\n")
#define TC_ROW_START                                                                                                  \
    "movs r4, #0xFF\n lsls r5, r4, #16\n orrs r4, r4, r5\n movs r5, #0\n"                                             \
    "mov r10, r5\n mov r11, r5\n mov r12, r5\n mov lr, r5\n"
#define TC_ROW_OUTPUT(sum, scale, shift, upper, rest, span, low)                                                      \
    "mov r6, " sum "\n ldmia r0!, {r2, r3, r4, r5}\n mov r8, r0\n" TC_TILE_OUTPUT("r6", scale, shift, upper, rest,    \
                                                                                  span, low) "adds r1, r1, #1\n"      \
                                                                                             "mov r0, r8\n"

/* The outputs of all blocks of filters up to ``end``; behind the groups of a block come the words of its scales. */
#define TC_ROW_NATIVE(filters, end, inputs, words, to, loop, taken, from, fixed, scale, shift, upper, rest, span, low) \
    do {                                                                                                              \
        register const uint32_t *filters_ __asm__("r0") = (filters);                                                  \
        register const uint32_t *inputs_ __asm__("r1") = (inputs);                                                    \
        register const uint32_t *behind_ __asm__("r2") = (inputs) + (words);                                          \
        register int8_t *to_ __asm__("r3") = (to);                                                                    \
        register const uint32_t *end_ __asm__("r4") = (end);                                                          \
        __asm__ volatile(".syntax unified\n push {r1, r3, r4}\n mov r9, r2\n"                                         \
                         "mov r8, r1\n 2:\n" TC_ROW_START TC_ROW_GROUPS_##loop(TC_ROW_GROUP(taken, from))             \
                             TC_ROW_##fixed##_##from "ldr r1, [sp, #4]\n"                                             \
                         TC_ROW_OUTPUT("r10", scale, shift, upper, rest, span, low)                                   \
                         TC_ROW_OUTPUT("r11", scale, shift, upper, rest, span, low)                                   \
                         TC_ROW_OUTPUT("r12", scale, shift, upper, rest, span, low)                                   \
                         TC_ROW_OUTPUT("lr", scale, shift, upper, rest, span, low)                                    \
                         "str r1, [sp, #4]\n ldr r1, [sp]\n mov r8, r1\n ldr r2, [sp, #8]\n"                          \
                         "cmp r0, r2\n beq 4f\n b 2b\n 4:\n add sp, #12\n"                                           \
                         : "+r"(filters_), "+r"(inputs_), "+r"(behind_), "+r"(to_), "+r"(end_)                        \
                         :                                                                                            \
                         : "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");                  \
    } while (0)

/* The four sums of one block; ``filters`` goes on to the next. */
#define TC_ROW_SUMS(filters, inputs, words, sums, loop, taken, from, fixed)                                           \
    do {                                                                                                              \
        register const uint32_t *filters_ __asm__("r0") = (filters);                                                  \
        register const uint32_t *inputs_ __asm__("r1") = (inputs);                                                    \
        register const uint32_t *behind_ __asm__("r2") = (inputs) + (words);                                          \
        register int32_t *sums_ __asm__("r3") = (sums);                                                               \
        __asm__ volatile(".syntax unified\n push {r3}\n mov r9, r2\n mov r8, r1\n" TC_ROW_START                       \
                             TC_ROW_GROUPS_##loop(TC_ROW_GROUP(taken, from)) TC_ROW_##fixed##_##from                  \
                         "pop {r4}\n mov r2, r10\n mov r3, r11\n stmia r4!, {r2, r3}\n mov r2, r12\n mov r3, lr\n"    \
                         "stmia r4!, {r2, r3}\n"                                                                      \
                         : "+r"(filters_), "+r"(inputs_), "+r"(behind_), "+r"(sums_)                                  \
                         :                                                                                            \
                         : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");            \
        (filters) = filters_;                                                                                         \
    } while (0)

#else

/* ``words`` of inputs that are spread, or of ``bytes``. */
TC_INLINE const uint32_t *tc_row_sums(const uint32_t *filters, const uint32_t *inputs, int32_t words, int wide,
                                      int bytes, int fixed, int32_t *sums)
{
    const uint32_t *end = inputs + words;
    uint32_t count;
    int j;
    sums[0] = sums[1] = sums[2] = sums[3] = 0;
    while (inputs < end) {
        uint32_t x[4];
        if (!bytes) {
            tc_copy(x, inputs, wide ? 12 : 16);
        } else if (wide) {
            tc_row_wide(x, inputs, 1);
        } else {
            tc_row_narrow(x, inputs, 1);
        }
        inputs += bytes ? 1 : wide ? 3 : 4;
        for (j = 0; j < 4; j++, filters++) {
            const uint32_t a = (*filters & 0x00FF00FFu) * x[0], b = (*filters >> 8 & 0x00FF00FFu) * x[1];
            sums[j] += (int32_t)(wide ? tc_shifted(a + b + x[2], 16)
                                      : tc_shifted(a + x[2], 16) + tc_shifted(b + x[3], 16));
        }
    }
    for (j = 0; fixed && j < 4; j++) {
        for (count = *filters++; count > 0; count--, filters++) {
            const uint32_t place = *filters >> 16;
            const uint32_t x = bytes ? (uint32_t)((const int8_t *)end)[-(int32_t)place] : *(end - place / 4);
            sums[j] += (int32_t)tc_low_product(x, *filters);
        }
    }
    return filters;
}

TC_INLINE void tc_row_native(const uint32_t *filters, const uint32_t *end, const uint32_t *inputs, int32_t words,
                             int8_t *to, int wide, int bytes, int fixed, int is_long, int shift, int span, int low)
{
    int32_t sums[4];
    int j;
    while (filters < end) {
        filters = tc_row_sums(filters, inputs, words, wide, bytes, fixed, sums);
        for (j = 0; j < 4; j++, filters += 4) {
            *to++ = tc_tile_output((uint32_t)sums[j], filters, is_long, shift, span, low);
        }
    }
}

#define TC_ROW_IS_SPREAD 0
#define TC_ROW_IS_BYTES 1
#define TC_ROW_NATIVE(filters, end, inputs, words, to, loop, taken, from, fixed, scale, shift, upper, rest, span, low) \
    tc_row_native(filters, end, inputs, words, to, TC_TILE_##taken, TC_ROW_IS_##from, TC_TILE_##fixed,                \
                  TC_TILE_##scale, shift, span, low)
#define TC_ROW_SUMS(filters, inputs, words, sums, loop, taken, from, fixed)                                           \
    (filters) = tc_row_sums(filters, inputs, words, TC_TILE_##taken, TC_ROW_IS_##from, TC_TILE_##fixed, sums)

#endif

#endif
