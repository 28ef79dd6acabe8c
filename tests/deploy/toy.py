"""Hand-written models, small enough to see what an image must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HEADER = """#ifndef TOY_H
#define TOY_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
int toy_run(uint8_t *arena, const int8_t *input, int8_t *output);
#ifdef __cplusplus
}
#endif
#endif
"""

#: Writes input + 1 over the input itself, so a second inference on the same arena gives another result.
ADD_ONE = """#include "toy.h"
#include <stddef.h>
int toy_run(uint8_t *arena, const int8_t *input, int8_t *output) {
    const int8_t *const x = input != NULL ? input : (const int8_t *)arena;
    int8_t *const y = output != NULL ? output : (int8_t *)arena;
    for (int i = 0; i < 10; ++i) {
        y[i] = (int8_t)(x[i] + 1);
    }
    return 0;
}
"""

MODEL = """#include "toy.h"
#define TC_MODEL_NAME "toy"
#define TC_MODEL_ARENAS(X) {arenas}
#define TC_MODEL_ARENA_ALIGN 16
#define TC_MODEL_STREAMED 0
#define TC_MODEL_RUN() toy_run(tc_arena, 0, 0)
#define TC_MODEL_INPUT_BYTES {inputs}u
#define TC_MODEL_INPUT_COUNT 1
#define TC_MODEL_INPUTS {{ {{ tc_arena, {inputs}, {{ 0, 1u << 31, 0 }}, -3, 1 }} }}
#define TC_MODEL_OUTPUT_COUNT 2
#define TC_MODEL_OUTPUTS {{ {{ tc_arena, 10, {{ 0, 1u << 30, 0 }}, -3, 1 }}, {{ tc_arena + 12, 4, {{ 0 }}, 0, 4 }} }}
"""


@dataclass(frozen=True)
class Toy:
    """What a build needs of generated sources."""

    files: Mapping[str, str] = field(hash=False)
    name: str = "toy"
    run: str = "toy_run"
    entry: str = "toy_run"
    push: str | None = None


def toy(body: str = ADD_ONE, *, arena: int = 64, inputs: int = 10, section: str = ".noinit") -> Toy:
    """A model of that C, with an arena and an input of so many bytes; the arena in that section of the image."""
    model = MODEL.format(arenas=f'X(tc_arena, "{section}", {arena})', inputs=inputs)
    return Toy({"toy.h": HEADER, "toy.c": body, "tc_firmware_model.h": model})


#: Ten int8 that wrap, change sign and carry; and what the model makes of them.
INPUT = bytes([0, 1, 2, 3, 4, 5, 255, 127, 128, 10])
OUTPUT = bytes([1, 2, 3, 4, 5, 6, 0, 128, 129, 11])
