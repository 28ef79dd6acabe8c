/* The UART of Arm's Cortex-M System Design Kit (DDI 0479), on the MPS2 and MPS3 boards. */
#include "tc_platform.h"

#define DATA (TC_CONSOLE_BASE + 0x00u)
#define STATE (TC_CONSOLE_BASE + 0x04u)
#define CTRL (TC_CONSOLE_BASE + 0x08u)
#define BAUDDIV (TC_CONSOLE_BASE + 0x10u)

#define STATE_TX_FULL 1u
#define STATE_RX_FULL 2u

void tc_console_init(void) {
    TC_REG32(BAUDDIV) = TC_CONSOLE_CLOCK_HZ / TC_CONSOLE_BAUD;
    TC_REG32(CTRL) = 3u; /* transmitter and receiver on, no interrupts */
}

void tc_console_put(uint8_t byte) {
    while ((TC_REG32(STATE) & STATE_TX_FULL) != 0u) {
    }
    TC_REG32(DATA) = byte;
}

uint8_t tc_console_get(void) {
    while ((TC_REG32(STATE) & STATE_RX_FULL) == 0u) {
    }
    return (uint8_t)TC_REG32(DATA);
}
