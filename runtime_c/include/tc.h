/* What every generated model and every kernel shares: types, status codes, and the few compiler words. */
#ifndef TC_H
#define TC_H

#include <stddef.h>
#include <stdint.h>

/* Answer of every inference call. The last three come from models whose input is streamed. */
typedef enum {
    TC_OK = 0,
    TC_NO_ARENA = 1,       /* the arena pointer is null or not aligned to TC_ARENA_ALIGN */
    TC_CANARY = 2,         /* checked builds: a kernel wrote outside its tensor */
    TC_MORE = 3,           /* no error: the rows were taken in, and more are missing */
    TC_NOT_STARTED = 4,    /* rows were pushed before the inference was started */
    TC_BAD_ROWS = 5        /* more rows than are missing, less than one, or a null pointer to them */
} tc_status;

#define TC_ARENA_ALIGN 16

#if defined(__GNUC__) || defined(__clang__)
#define TC_INLINE static inline __attribute__((always_inline, unused))
#define TC_LAYER static __attribute__((noinline))
#define TC_ALIGNED(n) __attribute__((aligned(n)))
#else
#define TC_INLINE static inline
#define TC_LAYER static
#define TC_ALIGNED(n)
#endif

/* Copy or fill bytes; the compiler turns these into the best code it has, or calls memcpy and memset. */
TC_INLINE void tc_copy(void *to, const void *from, size_t bytes)
{
#if defined(__GNUC__) || defined(__clang__)
    __builtin_memcpy(to, from, bytes);
#else
    unsigned char *t = (unsigned char *)to;
    const unsigned char *f = (const unsigned char *)from;
    while (bytes-- > 0) {
        *t++ = *f++;
    }
#endif
}

TC_INLINE void tc_fill(void *to, int value, size_t bytes)
{
#if defined(__GNUC__) || defined(__clang__)
    __builtin_memset(to, value, bytes);
#else
    unsigned char *t = (unsigned char *)to;
    while (bytes-- > 0) {
        *t++ = (unsigned char)value;
    }
#endif
}

#endif
