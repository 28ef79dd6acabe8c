/* Shared by the STM32 families. */
#ifndef TC_STM32_H
#define TC_STM32_H

#include "tc_platform.h"

/* Clock the console's UART and its two pins, and connect them. */
void tc_stm32_console_pins(void);

#endif
