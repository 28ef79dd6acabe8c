/* Clock of the F4 and F7 (RM0402, RM0385): same RCC, PWR and FLASH; the F7 adds the overdrive of its regulator. */
#include "stm32.h"

#define PWR_CR 0x40007000u
#define PWR_CSR 0x40007004u
#define FLASH_ACR 0x40023C00u
#define RCC_CR 0x40023800u
#define RCC_PLLCFGR 0x40023804u
#define RCC_CFGR 0x40023808u
#define RCC_APB1ENR 0x40023840u

#define PWREN (UINT32_C(1) << 28)
#define VOS_SCALE_1 (UINT32_C(3) << 14)
#define OD (UINT32_C(1) << 16)
#define ODSW (UINT32_C(1) << 17)
#define PLLON (UINT32_C(1) << 24)
#define PLLRDY (UINT32_C(1) << 25)
#define SW_PLL UINT32_C(2)

/* PPRE fields count powers of two from /2 = 4. */
#define PRESCALER(divider) ((divider) == 1u ? 0u : (divider) == 2u ? 4u : (divider) == 4u ? 5u : 6u)

void tc_clock_init(void) {
    TC_REG32(RCC_APB1ENR) |= PWREN;
    (void)TC_REG32(RCC_APB1ENR);
    TC_REG32(PWR_CR) |= VOS_SCALE_1;

    /* HSI is the source, so that no board needs a crystal; Q and R of the reset value stay: nothing uses them. */
    tc_modify(RCC_PLLCFGR, 0x00437FFFu,
              TC_PLL_M | (TC_PLL_N << 6) | ((TC_PLL_P / 2u - 1u) << 16));
    TC_REG32(RCC_CR) |= PLLON;
#if TC_OVERDRIVE
    TC_REG32(PWR_CR) |= OD;
    tc_wait(PWR_CSR, OD, OD);
    TC_REG32(PWR_CR) |= ODSW;
    tc_wait(PWR_CSR, ODSW, ODSW);
#endif
    TC_REG32(FLASH_ACR) = TC_FLASH_CACHES | TC_WAIT_STATES;
    tc_wait(FLASH_ACR, 15u, TC_WAIT_STATES);
    tc_wait(RCC_CR, PLLRDY, PLLRDY);
    TC_REG32(RCC_CFGR) = (PRESCALER(TC_APB1_DIVIDER) << 10) | (PRESCALER(TC_APB2_DIVIDER) << 13);
    TC_REG32(RCC_CFGR) |= SW_PLL;
    tc_wait(RCC_CFGR, 3u << 2, SW_PLL << 2);
}
