/* What the firmware asks of the generated header tc_firmware_model.h, and what its files share. */
#ifndef TC_FIRMWARE_H
#define TC_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>

#include "text.h"

/* Kinds of tensor elements: the size of a signed integer, in bytes. */
#define TC_ELEM_INT8 1u
#define TC_ELEM_INT16 2u
#define TC_ELEM_INT32 4u

/* One input or output: where it lies in the arena, and what its elements mean: (q - zero_point) * scale. */
typedef struct {
    uint8_t *data; /* its first byte in the arena */
    uint32_t bytes;
    tc_scale scale; /* 0: the integers are the values, such as labels */
    int32_t zero_point;
    uint32_t elem; /* TC_ELEM_* */
} tc_port;

#include "tc_firmware_model.h"

/* The parts of the arena, and the ports of the model with all input bytes together. */
#define TC_DECLARE(name, memory, bytes) extern uint8_t name[bytes];
TC_MODEL_ARENAS(TC_DECLARE)
extern const tc_port tc_inputs[TC_MODEL_INPUT_COUNT];
extern const tc_port tc_outputs[TC_MODEL_OUTPUT_COUNT];
uint32_t tc_input_bytes(void);

#if TC_MODEL_STREAMED
/* The input is pushed: begin an inference, ask where the next row belongs, take in `count` rows (NULL: one, which lies
 * there). Return the model's tc_status: TC_MORE while rows are missing, TC_OK when the outputs lie in the arena. */
int tc_start(void);
uint8_t *tc_next_row(void);
int tc_push(const uint8_t *rows, int32_t count);
#else
/* One inference on what lies in the arena. Returns the model's tc_status; 0 is success. */
int tc_infer(void);
#endif

#endif
