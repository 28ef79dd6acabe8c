/* The RAM that is off at reset on the H742, H743 and H753 (RM0433): SRAM1, 2 and 3 of the D2 domain. */
#include "tc_platform.h"

#define RCC_AHB2ENR 0x580244DCu
#define SRAM1_2_3_EN (UINT32_C(7) << 29)

void tc_memory_init(void) {
    TC_REG32(RCC_AHB2ENR) |= SRAM1_2_3_EN;
    (void)TC_REG32(RCC_AHB2ENR); /* the clock runs when the write has arrived */
}
