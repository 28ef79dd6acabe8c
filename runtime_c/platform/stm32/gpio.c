/* Console pins: every STM32 since the F2 has the same GPIO registers, only their place differs. */
#include "stm32.h"

static void route(uint32_t port, uint32_t pin) {
    const uintptr_t gpio = TC_GPIO_BASE + 0x400u * port;
    const uint32_t two = UINT32_C(3) << (2u * pin);
    const uint32_t four = 4u * (pin & 7u);

    TC_REG32(TC_GPIO_ENABLE) |= UINT32_C(1) << port;
    (void)TC_REG32(TC_GPIO_ENABLE); /* the clock runs two cycles after the write: read back before use */
    tc_modify(gpio + 0x20u + 4u * (pin >> 3), UINT32_C(15) << four, (uint32_t)TC_CONSOLE_ALTERNATE << four);
    tc_modify(gpio + 0x0Cu, two, UINT32_C(1) << (2u * pin)); /* PUPDR: pull-up, an open input must idle high */
    tc_modify(gpio + 0x08u, two, UINT32_C(2) << (2u * pin)); /* OSPEEDR: high */
    tc_modify(gpio + 0x00u, two, UINT32_C(2) << (2u * pin)); /* MODER: alternate function */
}

void tc_stm32_console_pins(void) {
    TC_REG32(TC_CONSOLE_ENABLE) |= UINT32_C(1) << TC_CONSOLE_ENABLE_BIT;
    (void)TC_REG32(TC_CONSOLE_ENABLE);
    route(TC_CONSOLE_TX_PORT, TC_CONSOLE_TX_PIN);
    route(TC_CONSOLE_RX_PORT, TC_CONSOLE_RX_PIN);
}
