/* Corner cases of tc_numerics.h whose answers follow from the definitions; exit status 0 if all hold. */
#include "tc_numerics.h"

#include <stdio.h>

static int failures = 0;

static void expect(const char *what, int32_t actual, int32_t wanted)
{
    if (actual != wanted) {
        printf("%s is %ld, not %ld\n", what, (long)actual, (long)wanted);
        failures++;
    }
}

#define EXPECT(call, wanted) expect(#call, call, wanted)

int main(void)
{
    EXPECT(tc_saturate(5, -1, 3), 3);
    EXPECT(tc_saturate(-5, -1, 3), -1);
    EXPECT(tc_saturate8(128), 127);
    EXPECT(tc_saturate8(-129), -128);
    EXPECT(tc_saturate8(INT32_MIN), -128);

    EXPECT(tc_high_mul_round(INT32_MIN, INT32_MIN, 0), 1 << 30);
    EXPECT(tc_high_mul_round(INT32_MIN, INT32_MAX, 0), -(1 << 30) + 1);
    EXPECT(tc_high_mul_round(1 << 16, 1 << 15, 7), 8);    /* exactly one half rounds up */
    EXPECT(tc_high_mul_round(-(1 << 16), 1 << 15, 7), 7); /* minus one half rounds up */
    EXPECT(tc_high_mul_round((1 << 16) - 1, 1 << 15, 0), 0);

    EXPECT(tc_shift_left_saturating(1 << 30, 1), INT32_MAX - 1);
    EXPECT(tc_shift_left_saturating(INT32_MIN, 4), INT32_MIN);
    EXPECT(tc_shift_left_saturating(-3, 4), -48);

    EXPECT(tc_doubling_high_mul(INT32_MIN, INT32_MIN), INT32_MAX);
    EXPECT(tc_doubling_high_mul(1 << 30, 1), 1);   /* one half, away from zero */
    EXPECT(tc_doubling_high_mul(-(1 << 30), 1), 0); /* gemmlowp rounds minus one half up */
    EXPECT(tc_doubling_high_mul(-(1 << 30) - 1, 1), -1);

    EXPECT(tc_rounding_divide_by_pot(6, 2), 2);   /* 1.5 */
    EXPECT(tc_rounding_divide_by_pot(-6, 2), -2); /* -1.5 */
    EXPECT(tc_rounding_divide_by_pot(5, 0), 5);
    EXPECT(tc_rounding_divide_by_pot(INT32_MIN, 31), -1);

    EXPECT(tc_add_wrapping(INT32_MAX, 2), INT32_MIN + 1);
    EXPECT(tc_add_wrapping(-5, 3), -2);

    EXPECT(tc_requantize_double(100, 1 << 30, 0), 50);
    EXPECT(tc_requantize_double(100, 1 << 30, 1), 100);
    EXPECT(tc_requantize_double(3, 1 << 30, -1), 1);  /* 1.5 to 2, halved to 1 */
    EXPECT(tc_requantize_single(3, 1 << 30, -1), 1);  /* 0.75 */
    EXPECT(tc_requantize_double(5, 1 << 30, -1), 2);  /* 2.5 to 3, 1.5 to 2 */
    EXPECT(tc_requantize_single(5, 1 << 30, -1), 1);  /* 1.25 */
    EXPECT(tc_requantize_single(-1, 1 << 30, 0), 0);  /* minus one half rounds up */
    EXPECT(tc_requantize_single(INT32_MAX, 1 << 30, 2), -2);  /* 2^32 - 2 */
    return failures != 0;
}
