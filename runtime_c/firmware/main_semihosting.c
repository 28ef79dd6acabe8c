/* The firmware for debuggers and emulators: input.bin through the model to output.bin, then exit with a status.
 * Both files hold the raw tensors one after another; a streamed input is read row by row. Clocks and console stay as reset left them: the host is the console,
 * and an emulator needs to know nothing of the chip but its memory. */
#include "tc_firmware.h"
#include "tc_platform.h"

/* Operations of Arm's semihosting specification. */
#define SYS_OPEN 0x01u
#define SYS_CLOSE 0x02u
#define SYS_WRITE0 0x04u
#define SYS_WRITE 0x05u
#define SYS_READ 0x06u
#define SYS_FLEN 0x0Cu
#define SYS_EXIT_EXTENDED 0x20u

#define MODE_READ_BINARY 1u
#define MODE_WRITE_BINARY 5u
#define APPLICATION_EXIT 0x20026u

/* How the firmware exits. */
enum { EXIT_OK = 0, EXIT_NO_INPUT = 1, EXIT_INPUT_SIZE = 2, EXIT_MODEL = 3, EXIT_OUTPUT = 4, EXIT_FAULT = 5 };

static int32_t host(uint32_t operation, uintptr_t argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static void leave(uint32_t status) {
    const uint32_t block[2] = { APPLICATION_EXIT, status };
    for (;;) {
        (void)host(SYS_EXIT_EXTENDED, (uintptr_t)block);
    }
}

static void fail(uint32_t status, const char *why) {
    (void)host(SYS_WRITE0, (uintptr_t)why);
    leave(status);
}

static int32_t open_file(const char *name, uint32_t length, uint32_t mode) {
    const uintptr_t block[3] = { (uintptr_t)name, mode, length };
    return host(SYS_OPEN, (uintptr_t)block);
}

/* SYS_READ or SYS_WRITE; returns the number of bytes that were not transferred. */
static int32_t transfer(uint32_t operation, int32_t file, uint8_t *at, uint32_t bytes) {
    const uintptr_t block[3] = { (uintptr_t)file, (uintptr_t)at, bytes };
    return host(operation, (uintptr_t)block);
}

static void read_bytes(int32_t file, uint8_t *to, uint32_t bytes) {
    if (transfer(SYS_READ, file, to, bytes) != 0) {
        fail(EXIT_INPUT_SIZE, "e-[input.bin ended early]\n");
    }
}

/* input.bin, which has the size of all inputs. */
static int32_t open_inputs(void) {
    const int32_t file = open_file("input.bin", 9, MODE_READ_BINARY);
    if (file == -1) {
        fail(EXIT_NO_INPUT, "e-[cannot open input.bin]\n");
    }
    const uintptr_t handle = (uintptr_t)file;
    if ((uint32_t)host(SYS_FLEN, (uintptr_t)&handle) != tc_input_bytes()) {
        fail(EXIT_INPUT_SIZE, "e-[input.bin does not have the size of the model's input]\n");
    }
    return file;
}

#if TC_MODEL_STREAMED
/* One inference; no more of the input is held than the model's ring. Returns the last status. */
static int infer(int32_t file) {
    int status = tc_start();
    for (uint32_t row = 0; row < TC_MODEL_ROWS && (status == TC_OK || status == TC_MORE); ++row) {
        read_bytes(file, tc_next_row(), TC_MODEL_ROW_BYTES);
        status = tc_push(NULL, 1);
    }
    return status;
}
#else
static int infer(int32_t file) {
    for (uint32_t i = 0; i < TC_MODEL_INPUT_COUNT; ++i) {
        read_bytes(file, tc_inputs[i].data, tc_inputs[i].bytes);
    }
    return tc_infer();
}
#endif

static void write_outputs(void) {
    const int32_t file = open_file("output.bin", 10, MODE_WRITE_BINARY);
    if (file == -1) {
        fail(EXIT_OUTPUT, "e-[cannot create output.bin]\n");
    }
    for (uint32_t i = 0; i < TC_MODEL_OUTPUT_COUNT; ++i) {
        if (transfer(SYS_WRITE, file, tc_outputs[i].data, tc_outputs[i].bytes) != 0) {
            fail(EXIT_OUTPUT, "e-[cannot write output.bin]\n");
        }
    }
    const uintptr_t handle = (uintptr_t)file;
    (void)host(SYS_CLOSE, (uintptr_t)&handle);
}

void tc_panic(uint32_t cause, uint32_t pc) {
    (void)cause;
    (void)pc;
    fail(EXIT_FAULT, "e-[fault]\n");
}

int main(void) {
    const int32_t file = open_inputs();
    if (infer(file) != 0) {
        fail(EXIT_MODEL, "e-[the model returned an error]\n");
    }
    const uintptr_t handle = (uintptr_t)file;
    (void)host(SYS_CLOSE, (uintptr_t)&handle);
    write_outputs();
    leave(EXIT_OK);
    return 0;
}
