/* The firmware on a board: commands over the console in the serial protocol of the MLPerf Tiny benchmark.
 * A command ends in '%', its answer in "m-ready". The input is loaded as it lies in memory, element for element.
 * docs/serial-protocol.md has the whole dialogue. */
#include "tc_firmware.h"
#include "tc_platform.h"
#include "text.h"

#define LINE_BYTES 512u
#define DEFAULT_WARMUP 10u

/* With a buffer of its own the input survives inference; without, it lies in the arena and serves one inference. A streamed
 * input without a buffer is never there as a whole: each row is pushed when its last byte has come in. */
#define PUSHED_ON_ARRIVAL (TC_MODEL_STREAMED && !TC_FIRMWARE_KEEP_INPUT)
#if TC_FIRMWARE_KEEP_INPUT
__attribute__((section(".noinit"), aligned(4))) uint8_t tc_input_buffer[TC_MODEL_INPUT_BYTES];
#endif

static char line[LINE_BYTES];
static uint32_t loading; /* bytes that `db load` announced */
static uint32_t loaded;  /* bytes of the input that are there */
static int answered;     /* does the arena hold the outputs of an inference? */
static uint64_t elapsed; /* cycles since reset, beyond the 32 bits of the counter */
static uint32_t last_cycles;

/* Must be called more often than the counter wraps: it is, before and after every inference. */
static void advance_clock(void) {
    const uint32_t now = tc_cycles();
    elapsed += (uint32_t)(now - last_cycles);
    last_cycles = now;
}

static void put_number(const char *before, uint32_t value, const char *after) {
    tc_put(before);
    tc_put_unsigned(value);
    tc_put(after);
}

/* The quotient modulo 2^32. Bit by bit: a message takes longer than that, and the library's division more code. */
static uint32_t microseconds(uint64_t cycles) {
    uint64_t dividend = cycles * UINT64_C(1000000);
    uint32_t quotient = 0;
    uint32_t rest = 0;
    for (uint32_t bit = 0; bit < 64u; ++bit) {
        rest = rest << 1 | (uint32_t)(dividend >> 63);
        dividend <<= 1;
        quotient <<= 1;
        if (rest >= TC_CLOCK_HZ) {
            rest -= TC_CLOCK_HZ;
            quotient |= 1u;
        }
    }
    return quotient;
}

static void timestamp(void) {
    advance_clock();
    put_number("m-lap-us-", microseconds(elapsed), "\r\n");
}

#if PUSHED_ON_ARRIVAL
static int pushed;       /* what the model said to the last row */
static uint64_t pushing; /* cycles that the rows have taken */

static void store_byte(uint8_t byte) {
    if (loaded == 0u) {
        pushed = tc_start();
        pushing = 0;
    }
    const uint32_t column = loaded++ % TC_MODEL_ROW_BYTES;
    if (pushed != TC_OK && pushed != TC_MORE) {
        return; /* `infer` tells */
    }
    tc_next_row()[column] = byte;
    if (column == TC_MODEL_ROW_BYTES - 1u) {
        advance_clock();
        const uint64_t before = elapsed;
        pushed = tc_push(NULL, 1);
        advance_clock();
        pushing += elapsed - before;
    }
}

static int infer_once(void) {
    loaded = 0;
    return pushed;
}
#else
/* Where byte `index` of all inputs, laid end to end, is kept. */
static uint8_t *input_byte(uint32_t index) {
#if TC_FIRMWARE_KEEP_INPUT
    return &tc_input_buffer[index];
#else
    uint32_t port = 0;
    while (index >= tc_inputs[port].bytes) {
        index -= tc_inputs[port++].bytes;
    }
    return tc_inputs[port].data + index;
#endif
}

static void store_byte(uint8_t byte) {
    *input_byte(loaded++) = byte;
}

#if TC_MODEL_STREAMED
static int infer_once(void) {
    const int status = tc_start();
    return status == TC_OK ? tc_push(tc_input_buffer, TC_MODEL_ROWS) : status;
}
#else
static int infer_once(void) {
#if TC_FIRMWARE_KEEP_INPUT
    const uint8_t *from = tc_input_buffer;
    for (uint32_t i = 0; i < TC_MODEL_INPUT_COUNT; ++i) {
        uint8_t *const to = tc_inputs[i].data;
        for (uint32_t k = 0; k < tc_inputs[i].bytes; ++k) {
            to[k] = *from++;
        }
    }
#else
    loaded = 0;
#endif
    return tc_infer();
}
#endif
#endif

static int run(void) {
    const int status = infer_once();
    answered = status == 0;
    advance_clock();
    return status;
}

static void put_element(const tc_port *port, uint32_t index) {
    const uint8_t *const data = port->data;
    int32_t value;
    if (port->elem == TC_ELEM_INT8) {
        value = (int32_t)((const int8_t *)data)[index];
    } else if (port->elem == TC_ELEM_INT16) {
        value = (int32_t)((const int16_t *)(const void *)data)[index];
    } else {
        value = ((const int32_t *)(const void *)data)[index];
    }
    if ((port->scale.whole | port->scale.high | port->scale.low) == 0u) {
        tc_put_signed(value);
    } else {
        tc_put_scaled(value - port->zero_point, &port->scale);
    }
}

/* One line an output; the benchmark reads the first. */
static void results(void) {
    if (!answered) {
        tc_put("e-[No results: use 'infer' first]\r\n");
        return;
    }
    for (uint32_t i = 0; i < TC_MODEL_OUTPUT_COUNT; ++i) {
        const tc_port *const port = &tc_outputs[i];
        tc_put("m-results-[");
        for (uint32_t k = 0; k < port->bytes / port->elem; ++k) {
            if (k != 0u) {
                tc_put(",");
            }
            put_element(port, k);
        }
        tc_put("]\r\n");
    }
}

static void infer(uint32_t count, uint32_t warmup) {
    int status = 0;
    if (loaded != TC_MODEL_INPUT_BYTES) {
        put_number("e-[Input holds ", loaded, " of ");
        put_number("", TC_MODEL_INPUT_BYTES, " bytes; load it with db]\r\n");
        return;
    }
#if !TC_FIRMWARE_KEEP_INPUT
    if (count > 1u || warmup > 0u) {
        tc_put(TC_MODEL_STREAMED ? "e-[A streamed input is not kept" : "e-[No RAM to keep the input");
        tc_put(": load it before each inference and use 'infer 1 0']\r\n");
        return;
    }
#endif
    put_number("m-warmup-start-", warmup, "\r\n");
    for (uint32_t i = 0; i < warmup && status == 0; ++i) {
        status = run();
    }
    tc_put("m-warmup-done\r\n");
    put_number("m-infer-start-", count, "\r\n");
    timestamp();
    for (uint32_t i = 0; i < count && status == 0; ++i) {
        status = run();
    }
    timestamp();
    tc_put("m-infer-done\r\n");
    if (status != 0) {
        put_number("e-[Inference failed with status ", (uint32_t)status, "]\r\n");
        return;
    }
#if PUSHED_ON_ARRIVAL
    put_number("m-[Rows were pushed as they came in, in ", microseconds(pushing), " us]\r\n");
#endif
    results();
}

/* The next word of the line, ended with '\0' in place; NULL where there is none. */
static char *next_word(char **rest) {
    char *at = *rest;
    while (*at == ' ') {
        ++at;
    }
    char *const word = at;
    while (*at != '\0' && *at != ' ') {
        ++at;
    }
    if (*at != '\0') {
        *at++ = '\0';
    }
    *rest = at;
    return *word != '\0' ? word : NULL;
}

static int same(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

/* A decimal number of at most nine digits into `value`; 0 where the word is none. */
static int parse_number(const char *word, uint32_t *value) {
    uint32_t result = 0;
    uint32_t digits = 0;
    for (; *word >= '0' && *word <= '9' && digits < 9u; ++word, ++digits) {
        result = result * 10u + (uint32_t)(*word - '0');
    }
    *value = result;
    return digits != 0u && *word == '\0';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void load(char *count) {
    uint32_t bytes = 0;
    if (count == NULL || !parse_number(count, &bytes) || bytes == 0u) {
        tc_put("e-[Command 'db load' requires the # of bytes]\r\n");
    } else if (bytes > TC_MODEL_INPUT_BYTES) {
        put_number("e-[Input takes at most ", TC_MODEL_INPUT_BYTES, " bytes]\r\n");
    } else {
        loading = bytes;
        loaded = 0;
        put_number("m-[Expecting ", bytes, " bytes]\r\n");
    }
}

static void store(const char *hex) {
    if (loaded >= loading) {
        tc_put("e-[Use 'db load' first]\r\n");
        return;
    }
#if !TC_FIRMWARE_KEEP_INPUT
    answered = 0; /* the input may lie where the outputs were */
#endif
    for (; *hex != '\0' && loaded < loading; hex += 2) {
        const int high = hex_digit(hex[0]);
        const int low = high < 0 ? -1 : hex_digit(hex[1]);
        if (low < 0) {
            tc_put("e-[Invalid or missing hex digit]\r\n");
            return;
        }
        store_byte((uint8_t)(high * 16 + low));
    }
    if (loaded == loading) {
        tc_put("m-load-done\r\n");
    }
}

static void print_buffer(void) {
#if PUSHED_ON_ARRIVAL
    tc_put("e-[A streamed input is not kept]\r\n");
#else
    for (uint32_t i = 0; i < loaded; ++i) {
        tc_put(i % 8u == 0u ? "m-buffer-" : "-");
        tc_put_hex(*input_byte(i), 2);
        if (i % 8u == 7u || i + 1u == loaded) {
            tc_put("\r\n");
        }
    }
#endif
}

static void buffer_command(char *rest) {
    char *const word = next_word(&rest);
    if (word == NULL) {
        tc_put("e-[Command 'db' requires a subcommand]\r\n");
    } else if (same(word, "load")) {
        load(next_word(&rest));
    } else if (same(word, "print")) {
        print_buffer();
    } else {
        store(word);
    }
}

static void infer_command(char *rest) {
    uint32_t count = 1;
    uint32_t warmup = DEFAULT_WARMUP;
    const char *word = next_word(&rest);
    if (word != NULL && (!parse_number(word, &count) || count == 0u)) {
        tc_put("e-[Inference iterations must be >0]\r\n");
        return;
    }
    word = next_word(&rest);
    if (word != NULL && !parse_number(word, &warmup)) {
        tc_put("e-[Inference warmup must be >=0]\r\n");
        return;
    }
    infer(count, warmup);
}

static void help(void) {
    tc_put("name         : the board\r\n"
           "profile      : the firmware and the model\r\n"
           "timestamp    : microseconds since reset\r\n"
           "db load N    : expect N bytes of input\r\n"
           "db HH[HH]*   : the next bytes, in hex\r\n"
           "db print     : the bytes that are there\r\n"
           "infer N [W]  : W inferences to warm up (default 10), then N timed ones\r\n"
           "results      : the outputs of the last inference\r\n");
}

static void command(char *rest) {
    const char *const word = next_word(&rest);
    if (word == NULL) {
        return; /* a bare '%' asks whether anyone is there */
    }
    if (same(word, "name")) {
        tc_put("m-name-dut-[" TC_BOARD_NAME "]\r\n");
    } else if (same(word, "profile")) {
        tc_put("m-profile-[tinycompile " TC_FIRMWARE_VERSION "]\r\nm-model-[" TC_MODEL_NAME "]\r\n");
    } else if (same(word, "timestamp")) {
        timestamp();
    } else if (same(word, "help")) {
        help();
    } else if (same(word, "db")) {
        buffer_command(rest);
    } else if (same(word, "infer")) {
        infer_command(rest);
    } else if (same(word, "results")) {
        results();
    } else {
        tc_put("e-[Unknown command: ");
        tc_put(word);
        tc_put("]\r\n");
    }
}

/* One command into `line`, without its '%'; returns 0 where it was too long. Line ends from a terminal do not count. */
static int read_command(void) {
    uint32_t length = 0;
    for (;;) {
        const char c = (char)tc_console_get();
        if (c == '%') {
            line[length < LINE_BYTES ? length : LINE_BYTES - 1u] = '\0';
            return length < LINE_BYTES;
        }
        if (c == '\r' || c == '\n') {
            continue;
        }
        if (length < LINE_BYTES) {
            line[length] = c;
            ++length;
        }
    }
}

void tc_panic(uint32_t cause, uint32_t pc) {
    put_number("e-[Stopped: exception ", cause, " at 0x");
    tc_put_hex(pc, 8);
    tc_put("]\r\n");
    for (;;) {
    }
}

int main(void) {
    tc_clock_init();
    tc_cycles_init();
    tc_console_init();
    last_cycles = tc_cycles();
    tc_put("m-timestamp-mode-performance\r\n");
    timestamp();
    tc_put("m-init-done\r\nm-ready\r\n");
    for (;;) {
        if (read_command()) {
            command(line);
        } else {
            tc_put("e-[Command too long]\r\n");
        }
        tc_put("m-ready\r\n");
    }
}
