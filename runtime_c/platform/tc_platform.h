/* What a board's start-up code offers to the firmware. One family, one folder; board facts come from tc_board.h. */
#ifndef TC_PLATFORM_H
#define TC_PLATFORM_H

#include <stdint.h>

#include "tc_board.h"

#define TC_REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* What stopped the firmware: the number of the Cortex-M exception, or one of these. */
#define TC_PANIC_CLOCK 256u /* an oscillator, PLL or voltage regulator never became ready */

/* Switch on the memories that reset leaves off. Called at reset where TC_HAS_MEMORY_INIT is defined. */
void tc_memory_init(void);

/* Clocks, wait states and counter; then the console. Called by the firmware before anything else. */
void tc_clock_init(void);
void tc_console_init(void);

/* Start the cycle counter; read it. It counts cycles of the core's clock, modulo 2^32. */
void tc_cycles_init(void);
uint32_t tc_cycles(void);

/* One byte to the console, and from it. Both wait. */
void tc_console_put(uint8_t byte);
uint8_t tc_console_get(void);

/* Wait until the masked register reads `value`; panic after about a million reads. */
void tc_wait(uintptr_t address, uint32_t mask, uint32_t value);

/* Replace the masked bits of a register. */
void tc_modify(uintptr_t address, uint32_t mask, uint32_t value);

/* Supplied by the firmware: say what happened (pc 0: unknown) and stop for good. */
void tc_panic(uint32_t cause, uint32_t pc);

/* Supplied by the firmware: everything it does, entered with memory initialised and the FPU on. */
int main(void);

#endif
