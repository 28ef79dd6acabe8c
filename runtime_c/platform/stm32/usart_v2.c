/* The USART of the F7, G0, H7, L4 and U5, and the LPUART, which divides a clock 256 times as fast. */
#include "stm32.h"

#define CR1 (TC_CONSOLE_BASE + 0x00u)
#define BRR (TC_CONSOLE_BASE + 0x0Cu)
#define ISR (TC_CONSOLE_BASE + 0x1Cu)
#define ICR (TC_CONSOLE_BASE + 0x20u)
#define RDR (TC_CONSOLE_BASE + 0x24u)
#define TDR (TC_CONSOLE_BASE + 0x28u)

#define CR1_UE_TE_RE ((1u << 0) | (1u << 3) | (1u << 2))
#define ISR_ORE (1u << 3)
#define ISR_RXNE (1u << 5)
#define ISR_TXE (1u << 7)

#if TC_CONSOLE_LOW_POWER
#define FACTOR 256u
#else
#define FACTOR 1u
#endif

void tc_console_init(void) {
    tc_stm32_console_pins();
    TC_REG32(CR1) = 0;
    TC_REG32(BRR) = (uint32_t)((FACTOR * (uint64_t)TC_CONSOLE_CLOCK_HZ + TC_CONSOLE_BAUD / 2u) / TC_CONSOLE_BAUD);
    TC_REG32(CR1) = CR1_UE_TE_RE;
}

void tc_console_put(uint8_t byte) {
    while ((TC_REG32(ISR) & ISR_TXE) == 0u) {
    }
    TC_REG32(TDR) = byte;
}

/* An overrun left standing would block the receiver for good. */
uint8_t tc_console_get(void) {
    for (;;) {
        const uint32_t state = TC_REG32(ISR);
        if ((state & ISR_ORE) != 0u) {
            TC_REG32(ICR) = ISR_ORE;
        }
        if ((state & ISR_RXNE) != 0u) {
            return (uint8_t)TC_REG32(RDR);
        }
    }
}
