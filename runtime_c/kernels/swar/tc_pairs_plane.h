/* Depthwise convolution on cores without SIMD: two pixels of a channel, x and y, are one word x + y S with S = 2^16,
 * and one multiply by a weight makes both products. See tc_pairs.h.
 *
 * Four channels at a time, their pixels are taken from their words: a line of columns, of each column four channels,
 * of each channel its rows. The products of up to three rows of a column add up in both halves of a word (WIDE) where the
 * weights of the channel allow it; T sums these words, and U sums their high halves: modulo 2^32, T = L + H S and U = H, so
 * that L = T - U S. */
#ifndef TC_PAIRS_PLANE_H
#define TC_PAIRS_PLANE_H

#include "tc_pairs.h"

#if defined(__ARM_ARCH_6M__)

/* What a table says of pixels outside the image: where zero points are, seen from the input. */
#define TC_PLANE_OUTSIDE(padding, input) ((int32_t)((uintptr_t)(padding) - (uintptr_t)(input)))

#define TC_PLANE_TAKE(row, rows)                                                                                      \
    "ldmia r0!, {r3, r4}\n ldr r3, [r3, r2]\n ldr r4, [r4, r2]\n"                                                     \
    "sxtb r5, r3\n lsls r6, r4, #24\n asrs r6, r6, #8\n adds r5, r5, r6\n str r5, [r1, #4 * " #row "]\n"              \
    "lsls r5, r3, #16\n asrs r5, r5, #24\n lsls r6, r4, #16\n asrs r6, r6, #24\n lsls r6, r6, #16\n"                  \
    "adds r5, r5, r6\n str r5, [r1, #4 * (" #row " + " #rows ")]\n"                                                   \
    "lsls r5, r3, #8\n asrs r5, r5, #24\n lsls r6, r4, #8\n asrs r6, r6, #24\n lsls r6, r6, #16\n"                    \
    "adds r5, r5, r6\n str r5, [r1, #4 * (" #row " + 2 * " #rows ")]\n"                                               \
    "asrs r5, r3, #24\n asrs r6, r4, #24\n lsls r6, r6, #16\n"                                                        \
    "adds r5, r5, r6\n str r5, [r1, #4 * (" #row " + 3 * " #rows ")]\n"
#define TC_PLANE_TAKE_1(rows) TC_PLANE_TAKE(0, rows)
#define TC_PLANE_TAKE_2(rows) TC_PLANE_TAKE_1(rows) TC_PLANE_TAKE(1, rows)
#define TC_PLANE_TAKE_3(rows) TC_PLANE_TAKE_2(rows) TC_PLANE_TAKE(2, rows)
#define TC_PLANE_TAKE_4(rows) TC_PLANE_TAKE_3(rows) TC_PLANE_TAKE(3, rows)
#define TC_PLANE_TAKE_5(rows) TC_PLANE_TAKE_4(rows) TC_PLANE_TAKE(4, rows)
#define TC_PLANE_TAKE_6(rows) TC_PLANE_TAKE_5(rows) TC_PLANE_TAKE(5, rows)
#define TC_PLANE_TAKE_7(rows) TC_PLANE_TAKE_6(rows) TC_PLANE_TAKE(6, rows)

/* A line of ``columns`` of four channels at ``input``; ``table`` has the places of both pixels of a word. */
#define TC_PLANE_LINE(line, table, input, columns, rows, padding)                                                     \
    do {                                                                                                              \
        (void)(padding);                                                                                              \
        register const int32_t *table_ __asm__("r0") = (table);                                                       \
        register uint32_t *line_ __asm__("r1") = (line);                                                              \
        register const int8_t *input_ __asm__("r2") = (input);                                                        \
        register int32_t columns_ __asm__("r7") = (columns);                                                          \
        __asm__ volatile(".syntax unified\n 1:\n" TC_PLANE_TAKE_##rows(rows)                                                \
                         "adds r1, r1, #16 * " #rows "\n subs r7, r7, #1\n beq 2f\n b 1b\n 2:\n"                      \
                         : "+r"(table_), "+r"(line_), "+r"(columns_)                                                  \
                         : "r"(input_)                                                                                \
                         : "r3", "r4", "r5", "r6", "cc", "memory");                                                   \
    } while (0)

/* Registers: r0 line, r1 weights, r2 to r4 a column, r5 to r7 its weights and products, r8 T, r9 U, r10 2^15, r11 bytes
 * between the outputs of both halves, r12 end of the line, lr output. */
#define TC_PLANE_FIRST(product) "mov r8, " product "\n add " product ", r10\n asrs " product ", " product ", #16\n"   \
                                "mov r9, " product "\n"
#define TC_PLANE_NEXT(product) "add r8, " product "\n add " product ", r10\n asrs " product ", " product ", #16\n"    \
                               "add r9, " product "\n"
#define TC_PLANE_PRODUCTS_1 "ldmia r0!, {r2}\n ldmia r1!, {r5}\n muls r5, r2, r5\n"
#define TC_PLANE_PRODUCTS_2 "ldmia r0!, {r2, r3}\n ldmia r1!, {r5, r6}\n muls r5, r2, r5\n muls r6, r3, r6\n"
#define TC_PLANE_PRODUCTS_3                                                                                           \
    "ldmia r0!, {r2, r3, r4}\n ldmia r1!, {r5, r6, r7}\n muls r5, r2, r5\n muls r6, r3, r6\n muls r7, r4, r7\n"
#define TC_PLANE_WIDE_1(take) TC_PLANE_PRODUCTS_1 take("r5")
#define TC_PLANE_WIDE_2(take) TC_PLANE_PRODUCTS_2 "adds r5, r5, r6\n" take("r5")
#define TC_PLANE_WIDE_3(take) TC_PLANE_PRODUCTS_3 "adds r5, r5, r6\n adds r5, r5, r7\n" take("r5")
#define TC_PLANE_NARROW_1(take) TC_PLANE_PRODUCTS_1 take("r5")
#define TC_PLANE_NARROW_2(take) TC_PLANE_PRODUCTS_2 take("r5") TC_PLANE_NEXT("r6")
#define TC_PLANE_NARROW_3(take) TC_PLANE_PRODUCTS_3 take("r5") TC_PLANE_NEXT("r6") TC_PLANE_NEXT("r7")

/* Outputs of a channel and of its pixels ``apart`` bytes above, from the windows at ``line`` up to ``end``. ``window``:
 * text of the columns; ``size``: bytes of the channel's weights; ``step``, ``next``: instructions that move r0 from the
 * end of a window to the start of the next, and r1 to the next pixel; ``advance``, ``distance``: the same in columns
 * and in bytes. */
#define TC_PLANE_NATIVE(filter, line, end, to, apart, taken, window, rows, columns, size, advance, step, distance,    \
                        next, scale, shift, upper, rest, span, low)                                                   \
    do {                                                                                                              \
        register const uint32_t *line_ __asm__("r0") = (line);                                                        \
        register const uint32_t *filter_ __asm__("r1") = (filter);                    \
        register const uint32_t *end_ __asm__("r2") = (end);                                                          \
        register int8_t *to_ __asm__("r3") = (to);                                                                    \
        register int32_t apart_ __asm__("r5") = (apart);                                                              \
        __asm__ volatile(".syntax unified\n mov r12, r2\n mov lr, r3\n mov r11, r5\n" TC_TILE_HALF "1:\n" window  \
                         "ldmia r1!, {r2, r3, r4, r5}\n mov r7, r8\n mov r8, r0\n mov r6, r9\n mov r9, r1\n"          \
                         "mov r1, lr\n lsls r0, r6, #16\n subs r7, r7, r0\n"                                          \
                         TC_TILE_OUTPUT("r7", scale, shift, upper, rest, span, low) "mov r7, r1\n add r1, r11\n"      \
                         TC_TILE_OUTPUT("r6", scale, shift, upper, rest, span, low) TC_TILE_##scale##_AGAIN           \
                         "mov r1, r7\n" next "mov lr, r1\n mov r0, r8\n mov r1, r9\n subs r1, #" #size "\n" step      \
                         "cmp r0, r12\n beq 2f\n b 1b\n 2:\n"                                                         \
                         : "+r"(line_), "+r"(filter_), "+r"(end_), "+r"(to_), "+r"(apart_)                            \
                         :                                                                                            \
                         : "r4", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");                  \
    } while (0)

#else

#define TC_PLANE_OUTSIDE(padding, input) INT32_MIN

/* Channel ``j`` of the four at ``input`` + ``place``. */
TC_INLINE uint32_t tc_plane_value(const int8_t *input, int32_t place, int j, const int8_t *padding)
{
    return (uint32_t)(place == INT32_MIN ? padding[j] : input[place + j]);
}

TC_INLINE void tc_plane_line(uint32_t *line, const int32_t *table, const int8_t *input, int32_t columns, int rows,
                             const int8_t *padding)
{
    int row, j;
    for (; columns > 0; columns--, line += 4 * rows) {
        for (row = 0; row < rows; row++, table += 2) {
            for (j = 0; j < 4; j++) {
                line[j * rows + row] = tc_plane_value(input, table[0], j, padding)
                                       + (tc_plane_value(input, table[1], j, padding) << 16);
            }
        }
    }
}

#define TC_PLANE_LINE tc_plane_line

TC_INLINE void tc_plane_native(const uint32_t *filter, const uint32_t *line, const uint32_t *end, int8_t *to,
                               int32_t apart, int wide, int is_long, int shift, int span, int low, int rows,
                               int columns, int advance, int distance)
{
    for (; line != end; line += advance * 4 * rows, to += distance) {
        uint32_t t = 0, u = 0;
        int row, column;
        for (column = 0; column < columns; column++) {
            uint32_t sum = 0;
            for (row = 0; row < rows; row++) {
                sum += line[column * 4 * rows + row] * filter[column * rows + row];
                if (!wide || row % 3 == 2 || row == rows - 1) {
                    t += sum;
                    u += tc_high_half(sum);
                    sum = 0;
                }
            }
        }
        to[0] = tc_tile_output(t - (u << 16), filter + rows * columns, is_long, shift, span, low);
        to[apart] = tc_tile_output(u, filter + rows * columns, is_long, shift, span, low);
    }
}

#define TC_PLANE_NATIVE(filter, line, end, to, apart, taken, window, rows, columns, size, advance, step, distance,    \
                        next, scale, shift, upper, rest, span, low)                                                   \
    tc_plane_native(filter, line, end, to, apart, TC_TILE_##taken, TC_TILE_##scale, shift, span, low, rows, columns,  \
                    advance, distance)

#endif

#endif
