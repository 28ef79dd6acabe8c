"""Random operators on every emulated core, as firmware: the specification equals what the core computes.

Many one-op programs become one image: a model whose single input and output are all of theirs, end to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.equality import noise, up, variants
from tests.ops import every
from tinycompile.boards import load_board
from tinycompile.codegen import Sources, render
from tinycompile.deploy import build_firmware, find_toolchain
from tinycompile.ir import Array, Graph, verify
from tinycompile.schedule.program import Program
from tinycompile.simulate import reference
from tinycompile.simulate.emulator import emulate
from tinycompile.simulate.emulator.qemu import emulate_in_qemu

CORES = {
    "stm32g0b1": "Cortex-M0+",
    "stm32l4r5": "Cortex-M4",
    "stm32f746": "Cortex-M7",
    "stm32u575": "Cortex-M33",
}
BATCH = 25


def combine(programs: Sequence[Program], inputs: Sequence[dict[str, Array]]) -> tuple[Sources, bytes, bytes]:
    """The sources, the bytes of all inputs, and the bytes that all outputs must have."""
    files: dict[str, str] = {}
    calls, given, expected = [], b"", b""
    work = 0
    for i, (program, values) in enumerate(zip(programs, inputs, strict=True)):
        sources = render(program, name=f"case{i}")
        files.update({n.replace(".c", ".inc"): t for n, t in sources.files.items()})
        outputs = reference(program.graph, values)
        places, results = [], []
        for name in program.graph.inputs:
            places.append(len(given))
            given += values[name].tobytes().ljust(up(values[name].nbytes), b"\0")
        for name in program.graph.outputs:
            results.append(len(expected))
            expected += outputs[name].tobytes().ljust(up(outputs[name].nbytes), b"\0")
        pointers = [f"(const void *)(in + {p})" for p in places] + [f"(void *)(out + {p})" for p in results]
        calls.append(f"    status |= case{i}_run(work, {', '.join(pointers)});")
        work = max(work, program.arena_bytes)
    start = -(-(len(given) + len(expected)) // 16) * 16
    includes = "\n".join(f'#include "case{i}_weights.inc"\n#include "case{i}.inc"' for i in range(len(programs)))
    files["batch.h"] = (
        f'#include "tc.h"\n#define BATCH_ARENA_BYTES {start + work}\n'
        "tc_status batch_run(uint8_t *arena, const int8_t *input, int8_t *output);\n"
    )
    files["batch.c"] = (
        f'#include "batch.h"\n{includes}\n'
        "tc_status batch_run(uint8_t *arena, const int8_t *input, int8_t *output)\n{\n"
        f"    uint8_t *in = arena, *out = arena + {len(given)}, *work = arena + {start};\n    unsigned status = 0;\n"
        "    (void)input;\n    (void)output;\n" + "\n".join(calls).replace("|= case", "|= (unsigned)case") + "\n"
        "    return (tc_status)status;\n}\n"
    )
    files["tc_firmware_model.h"] = (
        '#include "batch.h"\n#define TC_MODEL_NAME "batch"\n'
        '#define TC_MODEL_ARENAS(X) X(tc_arena, ".noinit", BATCH_ARENA_BYTES)\n'
        "#define TC_MODEL_ARENA_ALIGN TC_ARENA_ALIGN\n#define TC_MODEL_RUN() batch_run(tc_arena, NULL, NULL)\n"
        f"#define TC_MODEL_INPUT_COUNT 1\n#define TC_MODEL_INPUTS {{ {{ tc_arena, {len(given)}, 1.0f, 0, 1 }} }}\n"
        f"#define TC_MODEL_INPUT_BYTES {len(given)}\n#define TC_MODEL_OUTPUT_BYTES {len(expected)}\n"
        "#define TC_MODEL_OUTPUT_COUNT 1\n"
        f"#define TC_MODEL_OUTPUTS {{ {{ tc_arena + {len(given)}, {len(expected)}, 1.0f, 0, 1 }} }}\n"
    )
    files.pop("tc_firmware_model.inc", None)
    return Sources("batch", files, "batch_run", {}), given, expected


def run_batch(cases: list[Graph], board_name: str, folder: Path, toolchain: Literal["zig", "gcc"] = "zig") -> None:
    """Build one image of all cases in all their variants, run it, and compare every output byte."""
    board = load_board(board_name)
    programs = [p for graph in cases for p in variants(verify(graph), board.abilities)]
    inputs = [noise(p.graph, count=1)[0] for p in programs]
    sources, given, expected = combine(programs, inputs)
    image = build_firmware(
        sources, board, folder, console="semihosting", optimize="-O1", toolchain=find_toolchain(toolchain)
    )
    files = {"input.bin": given}
    if board.emulator:
        run = emulate(image.elf, board, files=files)
    else:
        run = emulate_in_qemu(image.elf, board, files=files, count=False)
    assert run.exit_status == 0, run.console
    left, right = np.frombuffer(run.files["output.bin"], np.uint8), np.frombuffer(expected, np.uint8)
    start = 0
    for program, values in zip(programs, inputs, strict=True):
        for name, array in reference(program.graph, values).items():
            stop = start + array.nbytes
            assert np.array_equal(left[start:stop], right[start:stop]), f"{board_name} {name}: {program}"
            start += up(array.nbytes)


ON_CORES = settings(
    max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", CORES)
def test_operators_on_emulated_cores(board: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    @ON_CORES
    @given(st.lists(every.graphs(), min_size=BATCH, max_size=BATCH))
    def run(cases: list[Graph]) -> None:
        run_batch(cases, board, tmp_path_factory.mktemp("batch"))

    run()


@pytest.mark.slow
@pytest.mark.qemu
def test_operators_on_a_cortex_m55(tmp_path_factory: pytest.TempPathFactory) -> None:
    @ON_CORES
    @given(st.lists(every.graphs(), min_size=BATCH, max_size=BATCH))
    def run(cases: list[Graph]) -> None:
        run_batch(cases, "mps3-an547", tmp_path_factory.mktemp("batch"))

    run()


@pytest.mark.slow
@pytest.mark.gcc
@pytest.mark.emulator
def test_operators_built_with_arm_gcc(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(ON_CORES, max_examples=2)
    @given(st.lists(every.graphs(), min_size=BATCH, max_size=BATCH))
    def run(cases: list[Graph]) -> None:
        run_batch(cases, "stm32f412", tmp_path_factory.mktemp("batch"), toolchain="gcc")

    run()
