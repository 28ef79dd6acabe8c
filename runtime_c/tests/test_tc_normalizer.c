/* Square roots next to perfect squares, and multipliers at the ends of their range. */
#include "../kernels/portable/tc_normalizer.h"

#include <stdio.h>

static int failures = 0;

static void expect(const char *what, int64_t actual, int64_t wanted)
{
    if (actual != wanted) {
        printf("%s is %lld, not %lld\n", what, (long long)actual, (long long)wanted);
        failures++;
    }
}

int main(void)
{
    uint64_t root;
    int32_t fraction = -1;
    for (root = 1; root < ((uint64_t)1 << 32); root = root * 3 + 1) {
        expect("isqrt(r^2)", (int64_t)tc_isqrt64(root * root), (int64_t)root);
        expect("isqrt(r^2 - 1)", (int64_t)tc_isqrt64(root * root - 1), (int64_t)root - 1);
    }
    expect("isqrt(2^64 - 1)", (int64_t)tc_isqrt64(UINT64_MAX), 0xFFFFFFFF);

    /* spread 4^k, gain 2^30: the quotient is 2^30 whatever k */
    expect("multiplier", tc_normalizer(1, 1 << 30, -31 - 8, &fraction), 1 << 30);
    expect("fraction", fraction, 8);
    expect("multiplier", tc_normalizer(16, -(1 << 30), -29 - 20, &fraction), -(1 << 26));
    expect("fraction", fraction, 16);
    expect("multiplier", tc_normalizer(1, INT32_MAX, 127, &fraction), INT32_MAX);
    expect("fraction", fraction, 0);
    expect("multiplier", tc_normalizer((uint64_t)1 << 62, 1 << 30, -128, &fraction), 0);
    return failures != 0;
}
