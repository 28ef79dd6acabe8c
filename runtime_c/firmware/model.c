/* The model as the firmware sees it: an arena, its ports, one function. */
#include "tc_firmware.h"

/* The linker puts each part into the memory that its section is named after. */
#define DEFINE(name, memory, bytes) __attribute__((section(memory), aligned(TC_MODEL_ARENA_ALIGN))) uint8_t name[bytes];
TC_MODEL_ARENAS(DEFINE)

const tc_port tc_inputs[TC_MODEL_INPUT_COUNT] = TC_MODEL_INPUTS;
const tc_port tc_outputs[TC_MODEL_OUTPUT_COUNT] = TC_MODEL_OUTPUTS;

uint32_t tc_input_bytes(void) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < TC_MODEL_INPUT_COUNT; ++i) {
        bytes += tc_inputs[i].bytes;
    }
    return bytes;
}

#if TC_MODEL_STREAMED
int tc_start(void) {
    return (int)TC_MODEL_START();
}

uint8_t *tc_next_row(void) {
    return TC_MODEL_NEXT_ROW();
}

int tc_push(const uint8_t *rows, int32_t count) {
    return (int)TC_MODEL_PUSH((const void *)rows, count);
}
#else
int tc_infer(void) {
    return (int)TC_MODEL_RUN();
}
#endif
