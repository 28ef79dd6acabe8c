/* The USART of the F1, F2 and F4: status and data registers come first. */
#include "stm32.h"

#define SR (TC_CONSOLE_BASE + 0x00u)
#define DR (TC_CONSOLE_BASE + 0x04u)
#define BRR (TC_CONSOLE_BASE + 0x08u)
#define CR1 (TC_CONSOLE_BASE + 0x0Cu)

#define SR_RXNE (1u << 5)
#define SR_TXE (1u << 7)
#define CR1_UE_TE_RE ((1u << 13) | (1u << 3) | (1u << 2))

void tc_console_init(void) {
    tc_stm32_console_pins();
    TC_REG32(BRR) = (TC_CONSOLE_CLOCK_HZ + TC_CONSOLE_BAUD / 2u) / TC_CONSOLE_BAUD;
    TC_REG32(CR1) = CR1_UE_TE_RE;
}

void tc_console_put(uint8_t byte) {
    while ((TC_REG32(SR) & SR_TXE) == 0u) {
    }
    TC_REG32(DR) = byte;
}

/* Reading SR and then DR also clears an overrun. */
uint8_t tc_console_get(void) {
    while ((TC_REG32(SR) & SR_RXNE) == 0u) {
    }
    return (uint8_t)TC_REG32(DR);
}
