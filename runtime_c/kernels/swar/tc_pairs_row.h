/* Dot products of one pixel (or row of a dense layer) with blocks of four filters: see tc_pairs.h for the arithmetic.
 *
 * Here the bytes of the weights are not centred. With U = W + 128 (1 + S), X W = X U - 128 (1 + S) X, so that a group
 * of inputs brings along what to add to every filter's products: WIDE has x0 + x2 S, x1 + x3 S and one such word, for
 * both products together, NARROW has two. They also carry the 2^15 that keeps the low half positive. */
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
#define TC_ROW_PAIR(weights)                                                                                          \
    "lsrs r6, " weights ", #8\n ands r6, r6, r4\n ands " weights ", " weights ", r4\n"                                \
    "muls " weights ", r1, " weights "\n muls r6, r2, r6\n"
#define TC_ROW_TAKE(product, sum) "asrs " product ", " product ", #16\n add " sum ", " product "\n"
#define TC_ROW_FILTER_WIDE(weights, sum)                                                                              \
    TC_ROW_PAIR(weights) "adds r6, r6, " weights "\n adds r6, r6, r3\n" TC_ROW_TAKE("r6", sum)
#define TC_ROW_FILTER_NARROW(sum)                                                                                     \
    "ldmia r0!, {r5}\n" TC_ROW_PAIR("r5") "adds r5, r5, r3\n adds r6, r6, r7\n" TC_ROW_TAKE("r5", sum)                \
        TC_ROW_TAKE("r6", sum)
#define TC_ROW_GROUP_WIDE                                                                                             \
    "mov r6, r8\n ldmia r6!, {r1, r2, r3}\n mov r8, r6\n"                                                             \
    "ldmia r0!, {r5, r7}\n" TC_ROW_FILTER_WIDE("r5", "r10") TC_ROW_FILTER_WIDE("r7", "r11")                           \
    "ldmia r0!, {r5, r7}\n" TC_ROW_FILTER_WIDE("r5", "r12") TC_ROW_FILTER_WIDE("r7", "lr")
#define TC_ROW_GROUP_NARROW                                                                                           \
    "mov r6, r8\n ldmia r6!, {r1, r2, r3, r7}\n mov r8, r6\n" TC_ROW_FILTER_NARROW("r10") TC_ROW_FILTER_NARROW("r11") \
        TC_ROW_FILTER_NARROW("r12") TC_ROW_FILTER_NARROW("lr")
#define TC_ROW_GROUPS_ONCE(group) "1:\n" group "cmp r8, r9\n bne 1b\n"
#define TC_ROW_GROUPS_TWICE(group) "1:\n" group group "cmp r8, r9\n bne 1b\n"
#define TC_ROW_GROUPS_THRICE(group) "1:\n" group group group "cmp r8, r9\n bne 1b\n"
/* What is missing of the sums. */
#define TC_ROW_FIX(sum)                                                                                               \
    "ldmia r0!, {r2}\n cmp r2, #0\n beq 6f\n 5:\n ldmia r0!, {r3}\n sxth r4, r3\n lsrs r3, r3, #16\n subs r3, r1, r3\n ldr r5, [r3]\n"   \
    "sxth r5, r5\n muls r5, r4, r5\n add " sum ", r5\n subs r2, r2, #1\n bne 5b\n 6:\n"
#define TC_ROW_EXACT ""
#define TC_ROW_FIXED "mov r1, r9\n" TC_ROW_FIX("r10") TC_ROW_FIX("r11") TC_ROW_FIX("r12") TC_ROW_FIX("lr")
#define TC_ROW_START                                                                                                  \
    "movs r4, #0xFF\n lsls r5, r4, #16\n orrs r4, r4, r5\n movs r5, #0\n"                                             \
    "mov r10, r5\n mov r11, r5\n mov r12, r5\n mov lr, r5\n"
#define TC_ROW_OUTPUT(sum, scale, shift, upper, rest, span, low)                                                      \
    "mov r6, " sum "\n ldmia r0!, {r2, r3, r4, r5}\n mov r8, r0\n" TC_TILE_OUTPUT("r6", scale, shift, upper, rest,    \
                                                                                  span, low) "adds r1, r1, #1\n"      \
                                                                                             "mov r0, r8\n"

/* The outputs of all blocks of filters up to ``end``; behind the groups of a block come the words of its scales. */
#define TC_ROW_NATIVE(filters, end, inputs, words, to, loop, taken, fixed, scale, shift, upper, rest, span, low)      \
    do {                                                                                                              \
        register const uint32_t *filters_ __asm__("r0") = (filters);                                                  \
        register uint32_t *inputs_ __asm__("r1") = (inputs);                                                          \
        register uint32_t *behind_ __asm__("r2") = (inputs) + (words);                                                \
        register int8_t *to_ __asm__("r3") = (to);                                                                    \
        register const uint32_t *end_ __asm__("r4") = (end);                                                          \
        __asm__ volatile(".syntax unified\n str r3, [r2]\n str r4, [r2, #4]\n str r1, [r2, #8]\n mov r9, r2\n"        \
                         "mov r8, r1\n 2:\n" TC_ROW_START TC_ROW_GROUPS_##loop(TC_ROW_GROUP_##taken)                  \
                             TC_ROW_##fixed "mov r1, r9\n ldr r1, [r1]\n"                                                                \
                         TC_ROW_OUTPUT("r10", scale, shift, upper, rest, span, low)                                   \
                         TC_ROW_OUTPUT("r11", scale, shift, upper, rest, span, low)                                   \
                         TC_ROW_OUTPUT("r12", scale, shift, upper, rest, span, low)                                   \
                         TC_ROW_OUTPUT("lr", scale, shift, upper, rest, span, low)                                    \
                         "mov r2, r9\n str r1, [r2]\n ldr r1, [r2, #8]\n mov r8, r1\n ldr r2, [r2, #4]\n"             \
                         "cmp r0, r2\n beq 4f\n b 2b\n 4:\n"                                                          \
                         : "+r"(filters_), "+r"(inputs_), "+r"(behind_), "+r"(to_), "+r"(end_)                        \
                         :                                                                                            \
                         : "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");                  \
    } while (0)

/* The sums of one block, written behind the inputs; ``filters`` goes on to the next. */
#define TC_ROW_SUMS(filters, inputs, words, loop, taken, fixed)                                                              \
    do {                                                                                                              \
        register const uint32_t *filters_ __asm__("r0") = (filters);                                                  \
        register uint32_t *inputs_ __asm__("r1") = (inputs);                                                          \
        register uint32_t *behind_ __asm__("r2") = (inputs) + (words);                                                \
        __asm__ volatile(".syntax unified\n mov r9, r2\n mov r8, r1\n" TC_ROW_START                                   \
                             TC_ROW_GROUPS_##loop(TC_ROW_GROUP_##taken) TC_ROW_##fixed                                \
                         "mov r4, r9\n mov r2, r10\n mov r3, r11\n stmia r4!, {r2, r3}\n mov r2, r12\n mov r3, lr\n"  \
                         "stmia r4!, {r2, r3}\n"                                                                      \
                         : "+r"(filters_), "+r"(inputs_), "+r"(behind_)                                               \
                         :                                                                                            \
                         : "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");      \
        (filters) = filters_;                                                                                         \
    } while (0)

#else

TC_INLINE const uint32_t *tc_row_sums(const uint32_t *filters, const uint32_t *inputs, int32_t words, int wide,
                                      int fixed, uint32_t *sums)
{
    const uint32_t *end = inputs + words;
    uint32_t count;
    int j;
    sums[0] = sums[1] = sums[2] = sums[3] = 0;
    for (; inputs < end; inputs += wide ? 3 : 4) {
        for (j = 0; j < 4; j++, filters++) {
            const uint32_t a = (*filters & 0x00FF00FFu) * inputs[0], b = (*filters >> 8 & 0x00FF00FFu) * inputs[1];
            sums[j] += wide ? tc_shifted(a + b + inputs[2], 16)
                            : tc_shifted(a + inputs[2], 16) + tc_shifted(b + inputs[3], 16);
        }
    }
    for (j = 0; fixed && j < 4; j++) {
        for (count = *filters++; count > 0; count--, filters++) {
            sums[j] += tc_low_product(*(end - (*filters >> 18)), *filters);
        }
    }
    return filters;
}

TC_INLINE void tc_row_native(const uint32_t *filters, const uint32_t *end, const uint32_t *inputs, int32_t words,
                             int8_t *to, int wide, int fixed, int is_long, int shift, int span, int low)
{
    uint32_t sums[4];
    int j;
    while (filters < end) {
        filters = tc_row_sums(filters, inputs, words, wide, fixed, sums);
        for (j = 0; j < 4; j++, filters += 4) {
            *to++ = tc_tile_output(sums[j], filters, is_long, shift, span, low);
        }
    }
}

#define TC_ROW_NATIVE(filters, end, inputs, words, to, loop, taken, fixed, scale, shift, upper, rest, span, low)      \
    tc_row_native(filters, end, inputs, words, to, TC_TILE_##taken, TC_TILE_##fixed, TC_TILE_##scale, shift, span, low)
#define TC_ROW_SUMS(filters, inputs, words, loop, taken, fixed)                                                              \
    (filters) = tc_row_sums(filters, inputs, words, TC_TILE_##taken, TC_TILE_##fixed, (inputs) + (words))

#endif

#endif
