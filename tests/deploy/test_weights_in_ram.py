"""Constants that start-up copies to RAM: where they lie, what they take, and that the model reads them there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.test_image import read_hex
from tests.deploy.toy import INPUT, OUTPUT, Toy, toy
from tinycompile.boards import Board, all_boards, load_board
from tinycompile.deploy import Firmware, Toolchain, build_firmware
from tinycompile.deploy.image import read_image
from tinycompile.deploy.needs import WEIGHTS
from tinycompile.errors import DoesNotFit
from tinycompile.simulate.emulator import emulate, emulate_in_qemu

BODY = """#include "toy.h"
#include "toy_weights.h"
static const int8_t toy_table[3] = { 1, 0, 2 };
static volatile int32_t variable = 77;
int toy_run(uint8_t *arena, const int8_t *input, int8_t *output) {
    int8_t *const x = (int8_t *)arena;
    (void)input;
    (void)output;
    for (int i = 0; i < 10; ++i) {
        x[i] = (int8_t)(x[i] * toy_weights[i] + toy_bias[i & 3] + toy_table[x[i] & 1] + variable - 77);
    }
    return 0;
}
"""
HEADER = "#include <stdint.h>\nextern const int8_t toy_weights[999];\nextern const int32_t toy_bias[4];\n"
VALUES = [3, -5, 7, 1, 2, -128, 127, 4, 9, -1]
BIAS = [100, -100, 17, 0]
CONSTANTS = f"""#include "toy_weights.h"
const int8_t toy_weights[999] = {{ {", ".join(map(str, VALUES))} }};
const int32_t toy_bias[4] __attribute__((aligned(4))) = {{ {", ".join(map(str, BIAS))} }};
"""
SIZE = 4 * ((999 + 3) // 4 + 4)


def model(arena: int = 64) -> Toy:
    made = toy(BODY, arena=arena)
    return Toy({**made.files, "toy_weights.h": HEADER, "toy_weights.c": CONSTANTS})


def output() -> bytes:
    """What the model makes of INPUT."""
    signed = [v - 256 if v > 127 else v for v in INPUT]
    made = [v * VALUES[i] + BIAS[i & 3] + (1, 0)[v & 1] for i, v in enumerate(signed)]
    return bytes(v & 255 for v in made)


def built(board: Board, folder: Path, toolchain: Toolchain, *, weights_in_ram: bool = True) -> Firmware:
    return build_firmware(
        model(), board, folder, console="semihosting", weights_in_ram=weights_in_ram, toolchain=toolchain
    )


@pytest.mark.parametrize("board", all_boards(), ids=lambda b: b.name)
def test_they_lie_in_the_main_memory_and_are_programmed_once(
    board: Board, toolchain: Toolchain, tmp_path: Path
) -> None:
    there = built(board, tmp_path / "ram", toolchain)
    plain = built(board, tmp_path / "flash", toolchain, weights_in_ram=False)
    image, section = read_image(there.elf), read_image(there.elf).section(WEIGHTS)
    assert section is not None and section.size == there.needs.weights == SIZE
    assert plain.needs.weights == 0 and read_image(plain.elf).section(WEIGHTS) is None
    for name, size in (("toy_weights", 999), ("toy_bias", 16)):
        assert image.symbol(name).size == size and image.symbol(name).address in section
        assert read_image(plain.elf).symbol(name).address in board.flash
    assert section.address in board.ram and image.symbol("toy_table").address in board.flash
    assert there.needs.variables <= plain.needs.variables + 16
    assert there.needs.total == there.static_ram_bytes + there.stack_reserved
    assert SIZE <= there.needs.total - plain.needs.total <= SIZE + 32 and there.stack_reserved == plain.stack_reserved
    assert there.needs.parts["weights"] == SIZE and "weights" not in plain.needs.parts
    assert 0 <= there.flash_bytes - plain.flash_bytes <= 64
    (segment,) = (s for s in image.segments if s.runs_at <= section.address < s.runs_at + len(s.data))
    load = segment.address + section.address - segment.runs_at
    assert load in board.flash and load % 4 == 0
    wanted = bytes(v & 255 for v in VALUES)
    memory, _ = read_hex(there.hex.read_text())
    start = load + image.symbol("toy_weights").address - section.address
    assert bytes(memory[start + i] for i in range(10)) == wanted
    assert there.bin.read_bytes()[start - board.flash.origin :][:10] == wanted


@pytest.mark.emulator
@pytest.mark.parametrize("board", [b for b in all_boards() if b.emulator], ids=lambda b: b.name)
def test_the_model_reads_them_there(board: Board, toolchain: Toolchain, tmp_path: Path) -> None:
    firmware = built(board, tmp_path, toolchain)
    run = emulate(firmware.elf, board, files={"input.bin": INPUT}, roi="toy_run", dump=["toy_weights", "toy_bias"])
    assert run.exit_status == 0 and run.files["output.bin"][:10] == output()
    assert run.objects["toy_weights"] == bytes(v & 255 for v in VALUES) + bytes(989)
    assert run.objects["toy_bias"] == b"".join(v.to_bytes(4, "little", signed=True) for v in BIAS)
    assert run.stack_bytes is not None and run.stack_bytes <= firmware.stack.bytes


def test_they_are_copied_in_qemu(qemu_board: Board, toolchain: Toolchain, tmp_path: Path) -> None:
    firmware = built(qemu_board, tmp_path, toolchain)
    done = emulate_in_qemu(firmware.elf, qemu_board, files={"input.bin": INPUT}, count=False)
    assert (done.exit_status, done.files["output.bin"][:10]) == (0, output())


def test_they_count_where_memory_is_short(toolchain: Toolchain, tmp_path: Path) -> None:
    board = load_board("stm32l4r5")
    needed = built(board, tmp_path, toolchain).needs.total
    exact = board.with_memory({"sram": needed})
    assert built(exact, tmp_path, toolchain).needs.total == needed
    with pytest.raises(DoesNotFit) as caught:
        built(board.with_memory({"sram": needed - 4}), tmp_path, toolchain)
    assert (caught.value.needed, caught.value.parts["weights"]) == (needed, SIZE)
    assert "no --weights-in-ram" in str(caught.value)
    with pytest.raises(DoesNotFit, match="no --weights-in-ram"):
        build_firmware(
            model(), board, tmp_path, console="semihosting", weights_in_ram=True, sram=needed - 1, toolchain=toolchain
        )


@pytest.mark.emulator
def test_a_model_may_have_none(toolchain: Toolchain, tmp_path: Path) -> None:
    board = load_board("stm32f746")
    firmware = build_firmware(toy(), board, tmp_path, console="semihosting", weights_in_ram=True, toolchain=toolchain)
    assert firmware.needs.weights == 0
    assert emulate(firmware.elf, board, files={"input.bin": INPUT}).files["output.bin"][:10] == OUTPUT
