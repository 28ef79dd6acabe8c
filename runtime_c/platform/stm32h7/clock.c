/* Clock of the H742, H743, H750 and H753 (RM0433): core at full speed, AXI and AHB at half, APB at a quarter. */
#include "tc_platform.h"

#define PWR_CSR1 0x58024804u
#define PWR_CR3 0x5802480Cu
#define PWR_D3CR 0x58024818u
#define SYSCFG_PWRCR 0x5800042Cu
#define FLASH_ACR 0x52002000u
#define RCC_CR 0x58024400u
#define RCC_CFGR 0x58024410u
#define RCC_D1CFGR 0x58024418u
#define RCC_D2CFGR 0x5802441Cu
#define RCC_D3CFGR 0x58024420u
#define RCC_PLLCKSELR 0x58024428u
#define RCC_PLLCFGR 0x5802442Cu
#define RCC_PLL1DIVR 0x58024430u
#define RCC_APB4ENR 0x580244F4u

#define SUPPLY_MASK 7u
#define LDOEN (1u << 1)
#define ACTVOSRDY (1u << 13)
#define VOS_1 (UINT32_C(3) << 14)
#define VOSRDY (1u << 13)
#define SYSCFGEN (1u << 1)
#define OVERDRIVE 1u
#define WRHIGHFREQ (2u << 4)
#define DIVM1_MASK (UINT32_C(63) << 4)
#define PLL1_INPUT_4_TO_8_MHZ (2u << 2)
#define DIVP1EN (UINT32_C(1) << 16)
#define PLL1ON (UINT32_C(1) << 24)
#define PLL1RDY (UINT32_C(1) << 25)
#define HALF_AHB 8u
#define HALF_APB 4u
#define SW_PLL1 UINT32_C(3)

static void raise_voltage(void) {
    tc_modify(PWR_CR3, SUPPLY_MASK, LDOEN); /* until the supply is declared, the voltage scale is locked */
    tc_wait(PWR_CSR1, ACTVOSRDY, ACTVOSRDY);
    TC_REG32(PWR_D3CR) |= VOS_1;
    tc_wait(PWR_D3CR, VOSRDY, VOSRDY);
    TC_REG32(RCC_APB4ENR) |= SYSCFGEN;
    (void)TC_REG32(RCC_APB4ENR);
    TC_REG32(SYSCFG_PWRCR) |= OVERDRIVE; /* VOS1 and overdrive make VOS0 */
    tc_wait(PWR_D3CR, VOSRDY, VOSRDY);
}

void tc_clock_init(void) {
    raise_voltage();

    /* HSI is 64 MHz; divided by M it must be 4 to 8 MHz. */
    tc_modify(RCC_PLLCKSELR, DIVM1_MASK | 3u, TC_PLL_M << 4);
    TC_REG32(RCC_PLLCFGR) = PLL1_INPUT_4_TO_8_MHZ | DIVP1EN;
    TC_REG32(RCC_PLL1DIVR) = (TC_PLL_N - 1u) | ((TC_PLL_P - 1u) << 9) | (UINT32_C(1) << 16) | (UINT32_C(1) << 24);
    TC_REG32(RCC_CR) |= PLL1ON;
    tc_wait(RCC_CR, PLL1RDY, PLL1RDY);

    TC_REG32(FLASH_ACR) = WRHIGHFREQ | TC_WAIT_STATES;
    tc_wait(FLASH_ACR, 15u, TC_WAIT_STATES);
    TC_REG32(RCC_D1CFGR) = HALF_AHB | (HALF_APB << 4);
    TC_REG32(RCC_D2CFGR) = (HALF_APB << 4) | (HALF_APB << 8);
    TC_REG32(RCC_D3CFGR) = HALF_APB << 4;
    tc_modify(RCC_CFGR, 7u, SW_PLL1);
    tc_wait(RCC_CFGR, 7u << 3, SW_PLL1 << 3);
}
