/* The least that a test program needs: vectors, reset, semihosting. */
#include <stdint.h>

extern uint32_t tc_stack_top[], tc_bss_start[], tc_bss_end[];
__attribute__((noinline)) int main(void);
void Reset_Handler(void);

__attribute__((used, section(".vectors"))) const void *const tc_vectors[2] = { tc_stack_top, (const void *)Reset_Handler };

static int32_t host(uint32_t operation, const void *block) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static void print(const char *text) {
    (void)host(0x04, text);
}

static void leave(uint32_t status) {
    const uint32_t block[2] = { 0x20026, status };
    (void)host(0x20, block);
}

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define NEVER_INLINE __attribute__((noinline))

void Reset_Handler(void) {
#if defined(__ARM_FP) && !defined(FPU_STAYS_OFF)
    REGISTER(0xE000ED88) |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb");
#endif
    for (uint32_t *at = tc_bss_start; (uintptr_t)at < (uintptr_t)tc_bss_end; ++at) {
        *(volatile uint32_t *)at = 0;
    }
    leave((uint32_t)main());
    for (;;) {
    }
}
