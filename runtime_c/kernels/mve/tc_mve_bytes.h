/* Copies and fills of a few bytes, for which a call would cost more than the work. */
#ifndef TC_MVE_BYTES_H
#define TC_MVE_BYTES_H

#include "tc.h"

/* ``count`` bytes that do not overlap. */
TC_INLINE void tc_mve_copy(int8_t *to, const int8_t *from, int32_t count)
{
#if defined(__ARM_FEATURE_MVE)
    __asm__ volatile(
        "wlstp.8 lr, %[n], 2f\n\t"
        "1:\n\t"
        "vldrb.u8 q0, [%[f]], #16\n\t"
        "vstrb.8 q0, [%[t]], #16\n\t"
        "letp lr, 1b\n\t"
        "2:"
        : [t] "+r"(to), [f] "+r"(from)
        : [n] "r"(count)
        : "lr", "q0", "memory");
#else
    tc_copy(to, from, (size_t)count);
#endif
}

TC_INLINE void tc_mve_fill(int8_t *to, int32_t value, int32_t count)
{
#if defined(__ARM_FEATURE_MVE)
    __asm__ volatile(
        "vdup.8 q0, %[v]\n\t"
        "wlstp.8 lr, %[n], 2f\n\t"
        "1:\n\t"
        "vstrb.8 q0, [%[t]], #16\n\t"
        "letp lr, 1b\n\t"
        "2:"
        : [t] "+r"(to)
        : [n] "r"(count), [v] "r"(value)
        : "lr", "q0", "memory");
#else
    tc_fill(to, value, (size_t)count);
#endif
}

#endif
