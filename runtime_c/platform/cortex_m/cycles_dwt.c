/* The core's own cycle counter (Armv7-M and Armv8-M Mainline: DWT). */
#include "tc_platform.h"

#define DEMCR 0xE000EDFCu
#define DWT_CTRL 0xE0001000u
#define DWT_CYCCNT 0xE0001004u
#define DWT_LAR 0xE0001FB0u

void tc_cycles_init(void) {
    TC_REG32(DEMCR) |= UINT32_C(1) << 24; /* TRCENA: without it the DWT has no clock */
    TC_REG32(DWT_LAR) = UINT32_C(0xC5ACCE55);  /* the Cortex-M7 locks its DWT against software */
    TC_REG32(DWT_CYCCNT) = 0;
    TC_REG32(DWT_CTRL) |= 1u;
}

uint32_t tc_cycles(void) {
    return TC_REG32(DWT_CYCCNT);
}
