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

void tc_put_float(float value) {
    if (value != value) {
        tc_put("nan");
        return;
    }
    if (value < 0.0f) {
        tc_console_put('-');
        value = -value;
    }
    if (value >= 4.0e9f) {
        tc_put("inf");
        return;
    }
    uint32_t whole = (uint32_t)value;
    uint32_t millionths = (uint32_t)((value - (float)whole) * 1.0e6f + 0.5f);
    if (millionths >= UINT32_C(1000000)) {
        whole += 1u;
        millionths = 0;
    }
    tc_put_unsigned(whole);
    tc_console_put('.');
    put_padded(millionths, 6);
}
