/* Clock of the L4 and L4+ (RM0351, RM0432). */
#include "tc_platform.h"

#define PWR_CR1 0x40007000u
#define PWR_CR2 0x40007004u
#define PWR_SR2 0x40007014u
#define PWR_CR5 0x40007080u
#define FLASH_ACR 0x40022000u
#define RCC_CR 0x40021000u
#define RCC_CFGR 0x40021008u
#define RCC_PLLCFGR 0x4002100Cu
#define RCC_APB1ENR1 0x40021058u

#define PWREN (UINT32_C(1) << 28)
#define VOS_MASK (UINT32_C(3) << 9)
#define VOS_RANGE_1 (UINT32_C(1) << 9)
#define VOSF (UINT32_C(1) << 10)
#define IOSV (UINT32_C(1) << 9)
#define R1MODE (UINT32_C(1) << 8)
#define CACHES_AND_PREFETCH 0x700u
#define HSION (UINT32_C(1) << 8)
#define HSIRDY (UINT32_C(1) << 10)
#define PLLON (UINT32_C(1) << 24)
#define PLLRDY (UINT32_C(1) << 25)
#define PLLREN (UINT32_C(1) << 24)
#define PLLSRC_HSI16 UINT32_C(2)
#define HPRE_HALF (UINT32_C(8) << 4)
#define SW_PLL UINT32_C(3)

void tc_clock_init(void) {
    TC_REG32(RCC_APB1ENR1) |= PWREN;
    (void)TC_REG32(RCC_APB1ENR1);
    tc_modify(PWR_CR1, VOS_MASK, VOS_RANGE_1);
    tc_wait(PWR_SR2, VOSF, 0);
#if TC_BOOST
    tc_modify(PWR_CR5, R1MODE, 0); /* range 1 boost, which the core needs above 80 MHz */
#endif
#if TC_VDDIO2
    TC_REG32(PWR_CR2) |= IOSV; /* pins PG2 to PG15 have a supply of their own, isolated until declared valid */
#endif
    TC_REG32(RCC_CR) |= HSION;
    tc_wait(RCC_CR, HSIRDY, HSIRDY);
    TC_REG32(RCC_PLLCFGR) = PLLSRC_HSI16 | ((TC_PLL_M - 1u) << 4) | (TC_PLL_N << 8) | ((TC_PLL_R / 2u - 1u) << 25) | PLLREN;
    TC_REG32(RCC_CR) |= PLLON;
    tc_wait(RCC_CR, PLLRDY, PLLRDY);
    TC_REG32(FLASH_ACR) = CACHES_AND_PREFETCH | TC_WAIT_STATES;
    tc_wait(FLASH_ACR, 15u, TC_WAIT_STATES);

    /* Above 80 MHz the switch must pass through half the frequency for a microsecond. */
    TC_REG32(RCC_CFGR) = HPRE_HALF;
    TC_REG32(RCC_CFGR) = HPRE_HALF | SW_PLL;
    tc_wait(RCC_CFGR, 3u << 2, SW_PLL << 2);
    for (uint32_t reads = 0; reads < 64u; ++reads) {
        (void)TC_REG32(RCC_CFGR);
    }
    TC_REG32(RCC_CFGR) = SW_PLL;
}
