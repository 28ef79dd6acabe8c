/* The two things that all clock set-up does. */
#include "tc_platform.h"

void tc_wait(uintptr_t address, uint32_t mask, uint32_t value) {
    for (uint32_t reads = 0; reads < UINT32_C(1000000); ++reads) {
        if ((TC_REG32(address) & mask) == value) {
            return;
        }
    }
    tc_panic(TC_PANIC_CLOCK, (uint32_t)address);
}

void tc_modify(uintptr_t address, uint32_t mask, uint32_t value) {
    TC_REG32(address) = (TC_REG32(address) & ~mask) | value;
}
