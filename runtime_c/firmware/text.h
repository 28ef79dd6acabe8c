/* Text to the console, without printf. Lines end in CR LF. */
#ifndef TC_TEXT_H
#define TC_TEXT_H

#include <stdint.h>

void tc_put(const char *text);
void tc_put_unsigned(uint32_t value);
void tc_put_signed(int32_t value);
void tc_put_hex(uint32_t value, uint32_t digits);

/* A real scale in fixed point, whole + high / 2^32 + low / 2^64: floats are library calls on cores without FPU. */
typedef struct {
    uint32_t whole, high, low;
} tc_scale;

/* value * scale with six decimals; from 4e9 in magnitude on "inf" or "-inf". */
void tc_put_scaled(int32_t value, const tc_scale *scale);

#endif
