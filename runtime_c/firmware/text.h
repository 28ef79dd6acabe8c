/* Text to the console, without printf. Lines end in CR LF. */
#ifndef TC_TEXT_H
#define TC_TEXT_H

#include <stdint.h>

void tc_put(const char *text);
void tc_put_unsigned(uint32_t value);
void tc_put_signed(int32_t value);
void tc_put_hex(uint32_t value, uint32_t digits);

/* Six decimals up to 4e9 in magnitude; beyond that, and for what is no number: "inf", "-inf", "nan". */
void tc_put_float(float value);

#endif
