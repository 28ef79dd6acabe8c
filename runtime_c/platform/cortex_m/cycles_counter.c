/* A free-running 32-bit counter of the core clock outside the core, where there is no DWT or it does not count. */
#include "tc_platform.h"

void tc_cycles_init(void) {
    TC_REG32(TC_COUNTER) = 0;
}

uint32_t tc_cycles(void) {
    return TC_REG32(TC_COUNTER);
}
