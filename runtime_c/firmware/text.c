#include "text.h"

#include "tc_platform.h"

void tc_put(const char *text) {
    for (; *text != '\0'; ++text) {
        tc_console_put((uint8_t)*text);
    }
}

static void put_padded(uint32_t value, uint32_t width) {
    char digits[10];
    uint32_t count = 0;
    while (value != 0u || count < width) {
        digits[count++] = (char)('0' + value % 10u);
        value /= 10u;
    }
    while (count != 0u) {
        tc_console_put((uint8_t)digits[--count]);
    }
}

void tc_put_unsigned(uint32_t value) {
    put_padded(value, 1);
}

void tc_put_signed(int32_t value) {
    if (value < 0) {
        tc_console_put('-');
    }
    tc_put_unsigned(value < 0 ? 0u - (uint32_t)value : (uint32_t)value);
}

void tc_put_hex(uint32_t value, uint32_t digits) {
    while (digits != 0u) {
        tc_console_put((uint8_t)"0123456789abcdef"[(value >> (4u * --digits)) & 15u]);
    }
}

void tc_put_scaled(int32_t value, const tc_scale *scale) {
    const uint32_t magnitude = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    const uint64_t low = (uint64_t)magnitude * scale->low;
    const uint64_t middle = (uint64_t)magnitude * scale->high + (low >> 32);
    const uint64_t whole = (uint64_t)magnitude * scale->whole + (middle >> 32);
    const uint32_t millionths = (uint32_t)(((uint64_t)(uint32_t)middle * 1000000u + UINT32_C(0x80000000)) >> 32);
    const uint32_t carry = millionths < 1000000u ? 0u : 1u;
    if (value < 0) {
        tc_console_put('-');
    }
    if (whole >= UINT64_C(4000000000)) {
        tc_put("inf");
        return;
    }
    tc_put_unsigned((uint32_t)whole + carry);
    tc_console_put('.');
    put_padded(millionths - carry * 1000000u, 6);
}
