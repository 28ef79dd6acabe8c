/* The model as the firmware sees it: an arena, its ports, one function. */
#include "tc_firmware.h"

__attribute__((section(".noinit"), aligned(TC_MODEL_ARENA_ALIGN))) uint8_t tc_arena[TC_MODEL_ARENA_BYTES];

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
    return (int)TC_MODEL_START(tc_arena);
}

uint8_t *tc_next_row(void) {
    return TC_MODEL_NEXT_ROW(tc_arena);
}

int tc_push(const uint8_t *rows, int32_t count) {
    return (int)TC_MODEL_PUSH(tc_arena, (const void *)rows, count);
}
#else
int tc_infer(void) {
    return (int)TC_MODEL_RUN(tc_arena);
}
#endif
