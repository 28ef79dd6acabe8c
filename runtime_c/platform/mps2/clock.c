/* The FPGA images run at one fixed clock: nothing to set. */
#include "tc_platform.h"

void tc_clock_init(void) {
}
