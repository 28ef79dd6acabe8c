/* From reset to main: vector table, FPU, stack paint, memory, caches, faults. The same for every Cortex-M. */
#include <stddef.h>
#include <stdint.h>

#include "tc_platform.h"

#define CPACR 0xE000ED88u
#define CLIDR 0xE000ED78u
#define CCSIDR 0xE000ED80u
#define CSSELR 0xE000ED84u
#define CCR 0xE000ED14u
#define ICIALLU 0xE000EF50u
#define DCISW 0xE000EF60u

#define CCR_ICACHE (UINT32_C(1) << 17)
#define CCR_DCACHE (UINT32_C(1) << 16)

#define STACK_PAINT UINT32_C(0xC5C5C5C5)

/* Placed by the linker script; only their addresses mean something. */
extern uint32_t tc_stack_bottom[], tc_stack_top[];
extern uint32_t tc_bss_start[], tc_bss_end[];

/* What lies in flash and is used in RAM: variables, and code and weights that are faster to reach there. */
typedef struct {
    const uint32_t *from;
    volatile uint32_t *to, *end;
} copy;
extern const copy tc_copies_start[], tc_copies_end[];

void Reset_Handler(void);
void tc_fault_entry(void);
void tc_fault(const uint32_t *frame);
static void start(void);

typedef void (*vector)(void);

/* Only the sixteen vectors of the architecture: the firmware polls, so no interrupt is ever enabled. */
__attribute__((used, section(".vectors"))) const struct {
    const uint32_t *stack;
    vector handlers[15];
} tc_vectors = {
    tc_stack_top,
    { Reset_Handler, tc_fault_entry, tc_fault_entry, tc_fault_entry, tc_fault_entry, tc_fault_entry, tc_fault_entry,
      tc_fault_entry, tc_fault_entry, tc_fault_entry, tc_fault_entry, tc_fault_entry, tc_fault_entry, tc_fault_entry,
      tc_fault_entry },
};

#define BARRIER() __asm__ volatile("dsb\n\tisb" ::: "memory")

/* The FPU must be on before any code that the compiler may vectorise, hence the split: `start` is never inlined. */
__attribute__((used, noreturn)) void Reset_Handler(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    TC_REG32(CPACR) |= UINT32_C(0xF) << 20;
    BARRIER();
#endif
    start();
    for (;;) {
    }
}

#if defined(TC_HAS_CACHES)
static void enable_caches(void) {
    const uint32_t present = TC_REG32(CLIDR) & 7u;
    if ((present & 1u) != 0u) {
        TC_REG32(ICIALLU) = 0;
        BARRIER();
        TC_REG32(CCR) |= CCR_ICACHE;
    }
    if ((present & 2u) != 0u || present == 4u) {
        TC_REG32(CSSELR) = 0;
        BARRIER();
        const uint32_t geometry = TC_REG32(CCSIDR);
        const uint32_t sets = (geometry >> 13) & 0x7FFFu;
        const uint32_t ways = (geometry >> 3) & 0x3FFu;
        for (uint32_t set = 0; set <= sets; ++set) {
            for (uint32_t way = 0; way <= ways; ++way) {
                TC_REG32(DCISW) = (set << 5) | (way << 30);
            }
        }
        BARRIER();
        TC_REG32(CCR) |= CCR_DCACHE;
    }
    BARRIER();
}
#endif

/* Not inlined: its registers would be on the stack for as long as main runs. */
__attribute__((noinline)) static void fill_memory(void) {
    for (const copy *c = tc_copies_start; (uintptr_t)c < (uintptr_t)tc_copies_end; ++c) {
        const uint32_t *from = c->from;
        for (volatile uint32_t *to = c->to; to < c->end; ++to) {
            *to = *from++;
        }
    }
    for (volatile uint32_t *to = tc_bss_start; (uintptr_t)to < (uintptr_t)tc_bss_end; ++to) {
        *to = 0;
    }
    BARRIER(); /* code may be among it */
}

__attribute__((noinline)) static void start(void) {
    /* Painted below the frame in use, so that whoever looks later sees how deep the stack went. */
    volatile uint32_t *paint = tc_stack_bottom;
    uintptr_t here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    while ((uintptr_t)paint < here) {
        *paint++ = STACK_PAINT;
    }
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
    __asm__ volatile("msr msplim, %0" ::"r"(tc_stack_bottom));
#endif
#if defined(TC_HAS_MEMORY_INIT)
    tc_memory_init();
#endif
    fill_memory();
#if defined(TC_HAS_CACHES)
    enable_caches();
#endif
    (void)main();
}

/* All faults and stray exceptions. The frame that the core stacked holds the program counter of the culprit. */
__attribute__((naked, used)) void tc_fault_entry(void) {
    __asm__ volatile("mrs r0, msp\n\tb tc_fault");
}

__attribute__((used)) void tc_fault(const uint32_t *frame) {
    uint32_t cause;
    __asm__ volatile("mrs %0, ipsr" : "=r"(cause));
    const uintptr_t address = (uintptr_t)frame;
    const int whole = address >= (uintptr_t)tc_stack_bottom && address + 32u <= (uintptr_t)tc_stack_top;
    tc_panic(cause & 0x1FFu, whole ? frame[6] : 0u);
}
