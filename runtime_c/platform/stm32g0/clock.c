/* Clock of the G0 (RM0444), and TIM2 as its cycle counter. */
#include "tc_platform.h"

#define FLASH_ACR 0x40022000u
#define RCC_CR 0x40021000u
#define RCC_CFGR 0x40021008u
#define RCC_PLLCFGR 0x4002100Cu
#define RCC_APBENR1 0x4002103Cu
#define TIM2_CR1 0x40000000u

#define CACHE_AND_PREFETCH 0x300u
#define HSION (1u << 8)
#define HSIRDY (1u << 10)
#define PLLON (UINT32_C(1) << 24)
#define PLLRDY (UINT32_C(1) << 25)
#define PLLSRC_HSI16 2u
#define PLLREN (UINT32_C(1) << 28)
#define SW_PLL 2u
#define TIM2EN 1u

void tc_clock_init(void) {
    TC_REG32(RCC_CR) |= HSION;
    tc_wait(RCC_CR, HSIRDY, HSIRDY);
    TC_REG32(RCC_PLLCFGR) =
        PLLSRC_HSI16 | ((TC_PLL_M - 1u) << 4) | (TC_PLL_N << 8) | PLLREN | ((TC_PLL_R - 1u) << 29);
    TC_REG32(RCC_CR) |= PLLON;
    tc_wait(RCC_CR, PLLRDY, PLLRDY);
    /* Other bits of this register stay: one of them lets a debugger in. */
    tc_modify(FLASH_ACR, 7u, CACHE_AND_PREFETCH | TC_WAIT_STATES);
    tc_wait(FLASH_ACR, 7u, TC_WAIT_STATES);
    tc_modify(RCC_CFGR, 7u, SW_PLL);
    tc_wait(RCC_CFGR, 7u << 3, SW_PLL << 3);

    TC_REG32(RCC_APBENR1) |= TIM2EN;
    (void)TC_REG32(RCC_APBENR1);
    TC_REG32(TIM2_CR1) = 1u; /* count up to 2^32 - 1, the reset value of the limit, without prescaler */
}
