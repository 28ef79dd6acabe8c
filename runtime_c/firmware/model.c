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

int tc_infer(void) {
    return (int)TC_MODEL_RUN(tc_arena);
}
