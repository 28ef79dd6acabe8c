"""Functions that run from a memory for code: which, that they get there, and that everything else knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deploy.test_image import read_hex
from tests.deploy.toy import INPUT, Toy, toy
from tinycompile.boards import Board, all_boards, load_board
from tinycompile.deploy import Firmware, Toolchain, build_firmware
from tinycompile.deploy.fast_code import SECTION, chosen, copied
from tinycompile.deploy.image import Image, Symbol, read_image
from tinycompile.errors import EmulationFault
from tinycompile.simulate.emulator import emulate, emulate_in_qemu

#: Three layers: one that is busy and calls the compiler's library (64 bits are divided), one that calls memcpy, and one
#: that is long.
BODY = """#include "toy.h"
#include <stddef.h>
#define STEP(n) y[n] = (int8_t)(y[n] * 3 + y[(n) + 1] * 5); __asm__ volatile("" ::: "memory");
#define STEPS(n) STEP(n) STEP((n) + 1) STEP((n) + 2) STEP((n) + 3)
void *memcpy(void *to, const void *from, size_t count);
static volatile int32_t ten = 10;
static __attribute__((noinline)) void toy_hot(int8_t *y, const int8_t *x, int32_t count) {
    int32_t room[10];
    for (int32_t i = 0; i < count; ++i) {
        room[i] = (int32_t)((int64_t)(x[i] + 3) * 1000000 * ten / (10000000 * (int64_t)ten / 10));
    }
    for (int32_t i = 0; i < count; ++i) {
        y[i] = (int8_t)room[count - 1 - i];
    }
}
static __attribute__((noinline)) void toy_copies(int8_t *y, const int8_t *x, int32_t count) {
    memcpy(y, x, (size_t)count);
    y[0] = (int8_t)(y[0] + 1);
}
static __attribute__((noinline)) void toy_large(int8_t *y) {
    STEPS(0) STEPS(4) STEPS(8) STEPS(12)
}
int toy_run(uint8_t *arena, const int8_t *input, int8_t *output) {
    int8_t *const x = (int8_t *)arena;
    (void)input;
    (void)output;
    toy_hot(x + 20, x, ten);
    toy_copies(x, x + 20, ten);
    toy_large(x + 32);
    return 0;
}
"""
HEAT = {"toy_hot": 9e5, "toy_copies": 50.0, "toy_large": 100.0, "inlined_away": 1e9}
MOST = ("toy_hot", "toy_copies", "memcpy", "toy_large", "toy_run")
WITH_CODE = [board for board in all_boards() if board.fast_code is not None]


def model() -> Toy:
    return toy(BODY, arena=128)


def output() -> bytes:
    """What the model makes of INPUT."""
    made = [(v + 3) % 256 for v in reversed(INPUT)]
    return bytes([(made[0] + 1) % 256, *made[1:]])


def built(board: Board, folder: Path, toolchain: Toolchain) -> Firmware:
    return build_firmware(model(), board, folder, console="semihosting", heat=HEAT, toolchain=toolchain)


def test_boards_with_an_instruction_tcm_use_it() -> None:
    assert {board.name: board.code for board in WITH_CODE} == {
        "mps3-an547": "itcm", "stm32f746": "itcm", "stm32h743": "itcm",
    }  # fmt: skip


@pytest.mark.parametrize("board", WITH_CODE, ids=lambda b: b.name)
def test_functions_run_there_and_are_programmed_into_flash(board: Board, toolchain: Toolchain, tmp_path: Path) -> None:
    firmware = built(board, tmp_path, toolchain)
    image, region = read_image(firmware.elf), board.fast_code
    assert region is not None and firmware.fast_code is not None
    fast = firmware.fast_code
    assert set(MOST) <= set(fast.functions) <= copied(image) and fast.region == region.name
    section = image.section(SECTION)
    assert section is not None and section.address in region and section.address + section.size <= region.end
    assert fast.bytes == section.size >= sum(firmware.symbols[name] for name in MOST)
    (segment,) = (s for s in image.segments if s.runs_at == section.address)
    assert segment.address in board.flash and segment.address % 4 == section.address % 4 == 0
    raw = firmware.bin.read_bytes()
    start = segment.address - board.flash.origin
    assert raw[start : start + len(segment.data)] == segment.data
    memory, _ = read_hex(firmware.hex.read_text())
    assert bytes(memory[segment.address + i] for i in range(len(segment.data))) == segment.data
    vectors = 64 if board.vectors != "flash" else 0
    assert firmware.flash_bytes == len(raw) + vectors  # the code counts once
    assert firmware.sizes.text + firmware.sizes.rodata + firmware.sizes.data <= firmware.flash_bytes
    assert firmware.needs.total == firmware.static_ram_bytes + firmware.stack_reserved  # and is no part of the SRAM
    plain = build_firmware(model(), board, tmp_path / "plain", console="semihosting", toolchain=toolchain)
    assert plain.fast_code is None and plain.needs == firmware.needs and not copied(read_image(plain.elf))


@pytest.mark.emulator
@pytest.mark.parametrize("name", ["stm32f746", "stm32h743"])
def test_the_image_answers_the_same_and_layers_keep_their_costs(
    name: str, toolchain: Toolchain, tmp_path: Path
) -> None:
    board = load_board(name)
    plain = build_firmware(model(), board, tmp_path / "plain", console="semihosting", toolchain=toolchain)
    fast = built(board, tmp_path / "fast", toolchain)
    layers = ("toy_hot", "toy_copies", "toy_large")
    runs = [emulate(f.elf, board, files={"input.bin": INPUT}, roi="toy_run", layers=layers) for f in (plain, fast)]
    for run in runs:
        assert run.exit_status == 0 and run.files["output.bin"][:10] == output()
    for before, after in zip(*(run.layers for run in runs), strict=True):
        assert (after.name, after.calls) == (before.name, before.calls)
        assert before.instructions <= after.instructions <= 1.05 * before.instructions  # a long call into libgcc
    assert fast.run_stack.bytes == plain.run_stack.bytes
    assert runs[1].region_stack_bytes == runs[0].region_stack_bytes
    assert runs[1].region_stack_bytes is not None and 40 < runs[1].region_stack_bytes <= fast.run_stack.bytes


@pytest.mark.emulator
def test_what_does_not_fit_stays_in_flash(toolchain: Toolchain, tmp_path: Path) -> None:
    board = load_board("stm32f746")
    whole = built(board, tmp_path / "whole", toolchain)
    assert whole.fast_code is not None
    seen = set()
    for size in range(16, whole.fast_code.bytes + 16, 40):
        firmware = built(board.with_memory({"itcm": size}), tmp_path / "some", toolchain)
        fast = firmware.fast_code
        functions = fast.functions if fast is not None else ()
        assert fast is None or fast.bytes <= size
        assert firmware.run_stack.bytes == whole.run_stack.bytes  # followed through every long call
        if functions in seen:
            continue
        seen.add(functions)
        run = emulate(firmware.elf, board, files={"input.bin": INPUT}, roi="toy_run")
        assert run.exit_status == 0 and run.files["output.bin"][:10] == output()
        assert run.region_stack_bytes is not None and run.region_stack_bytes <= firmware.run_stack.bytes
    assert () in seen and any("toy_hot" in functions and "toy_large" not in functions for functions in seen)


def test_to_the_last_byte(toolchain: Toolchain, tmp_path: Path) -> None:
    board = load_board("stm32f746")
    whole = built(board, tmp_path, toolchain).fast_code
    assert whole is not None
    exact = built(board.with_memory({"itcm": whole.bytes + -whole.bytes % 4}), tmp_path, toolchain).fast_code
    assert exact == whole
    less = built(board.with_memory({"itcm": whole.bytes - 4}), tmp_path, toolchain).fast_code
    assert less is not None and set(less.functions) < set(whole.functions)


def test_it_runs_in_qemu_from_behind_the_vectors(qemu_board: Board, toolchain: Toolchain, tmp_path: Path) -> None:
    firmware = built(qemu_board, tmp_path, toolchain)
    done = emulate_in_qemu(firmware.elf, qemu_board, files={"input.bin": INPUT}, roi="toy_run")
    assert (done.exit_status, done.files["output.bin"][:10]) == (0, output())
    section = read_image(firmware.elf).section(SECTION)
    assert (section is not None) == (qemu_board.fast_code is not None) == (qemu_board.name == "mps3-an547")
    assert section is None or section.address >= 64
    assert {c.name: c.calls for c in done.functions}["toy_hot"] == 1


@pytest.mark.emulator
def test_an_unaligned_access_is_found_there_too(tmp_path: Path) -> None:
    board = load_board("stm32f746")
    pair = '__asm__ volatile("ldrd r2, r3, [%0]" ::"r"(x + 1) : "r2", "r3", "memory");'
    body = BODY.replace("    int32_t room[10];", f"    int32_t room[10];\n    {pair}")
    firmware = build_firmware(toy(body, arena=128), board, tmp_path, console="semihosting", heat=HEAT)
    assert firmware.fast_code is not None and "toy_hot" in firmware.fast_code.functions
    with pytest.raises(EmulationFault, match="unaligned address") as caught:
        emulate(firmware.elf, board, files={"input.bin": INPUT})
    assert "toy_hot" in str(caught.value)


SYMBOLS = st.dictionaries(
    st.sampled_from([f"f{i}" for i in range(9)]), st.tuples(st.integers(1, 400), st.integers(0, 999)), max_size=9
)


@given(functions=SYMBOLS, room=st.integers(0, 2000))
def test_the_busiest_bytes_come_first(functions: dict[str, tuple[int, int]], room: int) -> None:
    """Without calls: nothing chosen is too much, and nothing that is left out both fits and is denser."""
    symbols = tuple(Symbol(name, 1024 * i, size, True) for i, (name, (size, _)) in enumerate(functions.items()))
    heat = {name: float(cycles) for name, (_, cycles) in functions.items()}
    taken = chosen(Image(0, (), (), symbols), heat, room)
    sizes = {name: (size + 3) // 4 * 4 for name, (size, _) in functions.items()}
    density = {name: heat[name] / sizes[name] for name in functions}
    assert sum(sizes[name] for name in taken) <= room and len(set(taken)) == len(taken)
    assert [density[name] for name in taken] == sorted((density[name] for name in taken), reverse=True)
    for name in set(functions) - set(taken):
        before = sum(sizes[other] for other in taken if density[other] >= density[name])
        assert before + sizes[name] > room
