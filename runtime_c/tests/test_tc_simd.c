/* Corner cases of tc_simd.h whose answers follow from the definitions; exit status 0 if all hold. */
#include "tc_simd.h"

#include <stdio.h>

static int failures = 0;

static void expect(const char *what, uint32_t actual, uint32_t wanted)
{
    if (actual != wanted) {
        printf("%s is %08lx, not %08lx\n", what, (unsigned long)actual, (unsigned long)wanted);
        failures++;
    }
}

#define EXPECT(call, wanted) expect(#call, (uint32_t)(call), (uint32_t)(wanted))

int main(void)
{
    const uint8_t bytes[5] = {0x11, 0x80, 0x7F, 0xFF, 0x01};
    uint8_t copy[6] = {0};

    EXPECT(tc_load32(bytes + 1), 0x01FF7F80u);
    tc_store32(copy + 1, 0x01FF7F80u);
    EXPECT(tc_load32(copy), 0xFF7F8000u);
    EXPECT(copy[5], 0);
    EXPECT(tc_low16(0x0001FFFFu), -1);
    EXPECT(tc_high16(0x8000FFFFu), -32768);
    EXPECT(tc_pair(-1, -2), 0xFFFEFFFFu);
    EXPECT(tc_ror(0x12345678u, 8), 0x78123456u);

    EXPECT(tc_smlad(tc_pair(3, -5), tc_pair(7, 11), 100), 100 + 21 - 55);
    EXPECT(tc_smlad(0x80008000u, 0x80008000u, 0), 0x80000000u); /* 2^31 wraps */
    EXPECT(tc_smlabb(tc_pair(2, 3), tc_pair(5, 7), -1), 9);
    EXPECT(tc_smlabt(tc_pair(2, 3), tc_pair(5, 7), -1), 13);
    EXPECT(tc_smlatb(tc_pair(2, 3), tc_pair(5, 7), -1), 14);
    EXPECT(tc_smlatt(tc_pair(2, 3), tc_pair(5, 7), -1), 20);
    EXPECT(tc_smlabb(0x8000u, 0x8000u, INT32_MAX), 0xBFFFFFFFu);

    EXPECT(tc_sadd16(tc_pair(-1, 1), tc_pair(1, -1)), 0);
    EXPECT(tc_sadd16(0x7FFF7FFFu, 0x00010001u), 0x80008000u);
    EXPECT(tc_ssub16(tc_pair(0, 0), tc_pair(1, 1)), 0xFFFFFFFFu);
    EXPECT(tc_ssub16(tc_pair(5, -5), tc_pair(6, -7)), tc_pair(-1, 2));
    EXPECT(tc_sxtb16(0x80FF7F01u), tc_pair(1, -1));
    EXPECT(tc_sxtb16_ror8(0x80FF7F01u), tc_pair(127, -128));
    EXPECT(tc_low_halves(0x11112222u, 0x33334444u), 0x44442222u);
    EXPECT(tc_high_halves(0x11112222u, 0x33334444u), 0x33331111u);
    return failures != 0;
}
