/* The four functions that compilers call on their own. Built with -fno-builtin, or each would become a call to itself.
 * Words where both sides are aligned alike, bytes elsewhere: Armv6-M has no unaligned access. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *a, const void *b, size_t count);

typedef uint32_t __attribute__((may_alias)) word;

static int alike(const void *a, const void *b) {
    return (((uintptr_t)a ^ (uintptr_t)b) & 3u) == 0u;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if (alike(t, f)) {
        for (; count != 0u && ((uintptr_t)t & 3u) != 0u; --count) {
            *t++ = *f++;
        }
        for (; count >= 16u; count -= 16u, t += 16, f += 16) {
            const word *const source = (const word *)(const void *)f;
            word *const sink = (word *)(void *)t;
            const word w0 = source[0], w1 = source[1], w2 = source[2], w3 = source[3];
            sink[0] = w0;
            sink[1] = w1;
            sink[2] = w2;
            sink[3] = w3;
        }
        for (; count >= 4u; count -= 4u, t += 4, f += 4) {
            *(word *)(void *)t = *(const word *)(const void *)f;
        }
    }
    for (; count != 0u; --count) {
        *t++ = *f++;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t count) {
    if ((uintptr_t)to - (uintptr_t)from >= count) {
        return memcpy(to, from, count); /* forwards is right: `to` lies below, or beyond the end of, `from` */
    }
    uint8_t *t = (uint8_t *)to + count;
    const uint8_t *f = (const uint8_t *)from + count;
    if (alike(t, f)) {
        for (; count != 0u && ((uintptr_t)t & 3u) != 0u; --count) {
            *--t = *--f;
        }
        for (; count >= 4u; count -= 4u) {
            t -= 4;
            f -= 4;
            *(word *)(void *)t = *(const word *)(const void *)f;
        }
    }
    for (; count != 0u; --count) {
        *--t = *--f;
    }
    return to;
}

void *memset(void *to, int value, size_t count) {
    uint8_t *t = to;
    const uint8_t byte = (uint8_t)value;
    const word four = byte * UINT32_C(0x01010101);
    for (; count != 0u && ((uintptr_t)t & 3u) != 0u; --count) {
        *t++ = byte;
    }
    for (; count >= 4u; count -= 4u, t += 4) {
        *(word *)(void *)t = four;
    }
    for (; count != 0u; --count) {
        *t++ = byte;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t count) {
    const uint8_t *x = a;
    const uint8_t *y = b;
    for (; count != 0u; --count, ++x, ++y) {
        if (*x != *y) {
            return *x < *y ? -1 : 1;
        }
    }
    return 0;
}
