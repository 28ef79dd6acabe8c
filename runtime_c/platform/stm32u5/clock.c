/* Clock of the U5 (RM0456): voltage range 1 with the EPOD booster, PLL1 from HSI16. */
#include "tc_platform.h"

#define PWR_VOSR 0x4602080Cu
#define FLASH_ACR 0x40022000u
#define ICACHE_CR 0x40030400u
#define RCC_CR 0x46020C00u
#define RCC_CFGR1 0x46020C1Cu
#define RCC_PLL1CFGR 0x46020C28u
#define RCC_PLL1DIVR 0x46020C34u
#define RCC_AHB3ENR 0x46020C94u

#define PWREN (1u << 2)
#define BOOSTRDY (1u << 14)
#define VOSRDY (1u << 15)
#define VOS_RANGE_1 (UINT32_C(3) << 16)
#define BOOSTEN (UINT32_C(1) << 18)
#define PREFETCH (1u << 8)
#define HSION (1u << 8)
#define HSIRDY (1u << 10)
#define PLL1ON (UINT32_C(1) << 24)
#define PLL1RDY (UINT32_C(1) << 25)
#define PLL1SRC_HSI16 2u
#define PLL1REN (UINT32_C(1) << 18)
#define SW_PLL1 UINT32_C(3)

void tc_clock_init(void) {
    TC_REG32(RCC_AHB3ENR) |= PWREN;
    (void)TC_REG32(RCC_AHB3ENR);
    TC_REG32(RCC_CR) |= HSION;
    tc_wait(RCC_CR, HSIRDY, HSIRDY);

    /* The booster takes HSI16 undivided (MBOOST 0), so the PLL's source comes first. RGE 0: PLL input of 4 to 8 MHz. */
    TC_REG32(RCC_PLL1CFGR) = PLL1SRC_HSI16 | ((TC_PLL_M - 1u) << 8) | PLL1REN;
    TC_REG32(RCC_PLL1DIVR) =
        (TC_PLL_N - 1u) | (UINT32_C(1) << 9) | (UINT32_C(1) << 16) | ((TC_PLL_R - 1u) << 24);
    tc_modify(PWR_VOSR, VOS_RANGE_1, VOS_RANGE_1);
    tc_wait(PWR_VOSR, VOSRDY, VOSRDY);
    TC_REG32(PWR_VOSR) |= BOOSTEN;
    tc_wait(PWR_VOSR, BOOSTRDY, BOOSTRDY);

    TC_REG32(RCC_CR) |= PLL1ON;
    tc_wait(RCC_CR, PLL1RDY, PLL1RDY);
    TC_REG32(FLASH_ACR) = PREFETCH | TC_WAIT_STATES;
    tc_wait(FLASH_ACR, 15u, TC_WAIT_STATES);
    tc_modify(RCC_CFGR1, 3u, SW_PLL1);
    tc_wait(RCC_CFGR1, 3u << 2, SW_PLL1 << 2);
    TC_REG32(ICACHE_CR) |= 1u; /* invalid after reset, so there is nothing to clear */
}
