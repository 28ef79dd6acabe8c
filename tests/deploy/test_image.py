"""Placement, .bin and Intel HEX, the linker script and the board header."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deploy.toy import toy
from tinycompile.boards import Board, all_boards, load_board
from tinycompile.deploy import Toolchain, build_firmware, read_image
from tinycompile.deploy.image import Image, Section, Segment, check_placement, source_name, to_bin, to_hex
from tinycompile.deploy.platform import board_header, linker_script
from tinycompile.errors import DoesNotFit, InternalError


def read_hex(text: str) -> tuple[dict[int, int], int]:
    """Bytes by address, and the start address; checks every record's length and checksum."""
    memory: dict[int, int] = {}
    upper = start = 0
    lines = text.splitlines()
    assert lines[-1] == ":00000001FF"
    for line in lines[:-1]:
        raw = bytes.fromhex(line[1:])
        assert line[0] == ":" and raw[0] == len(raw) - 5 and sum(raw) & 0xFF == 0
        address, kind, data = int.from_bytes(raw[1:3], "big"), raw[3], raw[4:-1]
        if kind == 4:
            upper = int.from_bytes(data, "big") << 16
        elif kind == 5:
            start = int.from_bytes(data, "big")
        else:
            assert kind == 0 and address + len(data) <= 1 << 16
            for offset, value in enumerate(data):
                assert upper + address + offset not in memory
                memory[upper + address + offset] = value
    return memory, start


@given(
    gaps=st.lists(st.tuples(st.integers(0, 100_000), st.binary(min_size=1, max_size=90)), min_size=1, max_size=4),
    base=st.integers(0, 0xF000_0000),
    entry=st.integers(0, 0xFFFF_FFFF),
)
def test_hex_and_bin_hold_every_byte(gaps: list[tuple[int, bytes]], base: int, entry: int) -> None:
    segments = []
    for gap, data in gaps:
        segments.append(Segment(base + gap, data))
        base += gap + len(data)
    expected = {s.address + i: b for s in segments for i, b in enumerate(s.data)}
    memory, start = read_hex(to_hex(segments, entry))
    assert memory == expected and start == entry
    raw, first = to_bin(segments), segments[0].address
    assert len(raw) == max(expected) + 1 - first
    assert all(b == expected.get(first + i, 0xFF) for i, b in enumerate(raw))


def test_a_built_image_equals_its_bin_and_hex(tmp_path: Path) -> None:
    board = load_board("stm32f746")
    firmware = build_firmware(toy(), board, tmp_path)
    image, raw = read_image(firmware.elf), firmware.bin.read_bytes()
    memory, start = read_hex(firmware.hex.read_text())
    origin = board.flash.origin
    assert bytes(memory.pop(origin + i, 0xFF) for i in range(len(raw))) == raw and not memory
    assert start == image.entry and image.entry & ~1 == image.symbol("Reset_Handler").address
    words = [int.from_bytes(raw[i : i + 4], "little") for i in range(0, 64, 4)]
    assert words[0] == image.symbol("tc_stack_top").address
    assert words[1] == image.symbol("Reset_Handler").address | 1
    assert set(words[2:]) == {image.symbol("tc_fault_entry").address | 1}
    assert image.symbol("tc_arena").address % 16 == 0


@pytest.mark.parametrize("board", all_boards(), ids=lambda b: b.name)
def test_the_linker_script_places_everything_on_the_board(board: Board) -> None:
    script = linker_script(board, 640)
    for region in (board.flash, board.ram):
        assert f"ORIGIN = {region.origin:#010x}, LENGTH = {region.size}" in script.replace("0X", "0x").lower().replace(
            "origin", "ORIGIN"
        ).replace("length", "LENGTH")
    assert f"*(.vectors)) }} > {board.vectors}" in script
    assert ". = . + 640;" in script


def test_the_board_header_carries_the_settings() -> None:
    header = board_header(load_board("stm32l4r5"))
    for line in ("TC_CLOCK_HZ 120000000u", "TC_PLL_N 30u", "TC_CONSOLE_LOW_POWER 1", "TC_CONSOLE_TX_PORT 6u"):
        assert f"#define {line}\n" in header
    assert "TC_CONSOLE_TX_PORT" not in board_header(load_board("mps2-an386"))


def test_the_bin_is_the_content_of_the_flash_alone(tmp_path: Path) -> None:
    board = load_board("mps3-an547")
    firmware = build_firmware(toy(), board, tmp_path)
    image = read_image(firmware.elf)
    assert image.segments[0].address == board.region("itcm").origin
    assert firmware.flash_bytes <= firmware.bin.stat().st_size + 64 < 12_000
    memory, _ = read_hex(firmware.hex.read_text())
    assert {0, board.flash.origin} <= set(memory)


def placed(address: int, size: int) -> Image:
    return Image(0, (), (Section(".text", address, size, True, True, False),), ())


def test_placement_is_checked_against_the_board() -> None:
    board = load_board("stm32f746")
    check_placement(placed(board.flash.origin, board.flash.size), board)
    with pytest.raises(DoesNotFit) as caught:
        check_placement(placed(board.flash.origin + 16, board.flash.size), board)
    assert caught.value.needed - caught.value.available == 16
    with pytest.raises(InternalError, match="no memory"):
        check_placement(placed(0x9000_0000, 4), board)


LAYERS = """#include "toy.h"
#include <stddef.h>
static __attribute__((noinline)) void toy_first(int8_t *y, const int8_t *x, int32_t count, int32_t step) {
    for (int32_t i = 0; i < count; ++i) {
        y[i] = (int8_t)(x[i] + step);
    }
}
static __attribute__((noinline)) void toy_second(int8_t *y, const int8_t *x, int32_t count, int32_t step) {
    for (int32_t i = 0; i < count; ++i) {
        y[i] = (int8_t)(x[i] + step);
    }
}
int toy_run(uint8_t *arena, const int8_t *input, int8_t *output) {
    (void)input;
    (void)output;
    toy_first((int8_t *)arena, (const int8_t *)arena, 10, 3);
    toy_second((int8_t *)arena, (const int8_t *)arena, 10, 3);
    return 0;
}
"""


@pytest.mark.parametrize(
    ("symbol", "name"),
    [("f", "f"), ("f.constprop.0", "f"), ("f.isra.0", "f"), ("f.constprop.0.isra.0", "f"), ("f.part.0", "f.part.0")],
)
def test_names_that_gcc_gives_to_rewritten_functions(symbol: str, name: str) -> None:
    assert source_name(symbol) == name


def test_every_layer_keeps_its_name_and_its_code(toolchain: Toolchain, tmp_path: Path) -> None:
    """GCC rewrites functions for their only caller and merges equal ones: costs must still have a name."""
    firmware = build_firmware(toy(LAYERS), load_board("stm32l4r5"), tmp_path, toolchain=toolchain)
    assert firmware.symbols["toy_first"] > 0 and firmware.symbols["toy_second"] > 0


@pytest.mark.parametrize("board", ["stm32f746", "mps3-an547"])
def test_sizes_cover_alignment(board: str, tmp_path: Path) -> None:
    target = load_board(board)
    firmware = build_firmware(toy(arena=52), target, tmp_path)
    image = read_image(firmware.elf)
    in_ram = [s for s in image.sections if s.address in target.ram]
    end = max(s.address + s.size for s in in_ram)
    assert firmware.static_ram_bytes + firmware.stack_reserved == end - target.ram.origin
    in_flash = [s for s in image.segments if s.address in target.flash]
    vectors = 64 if target.vectors != "flash" else 0
    assert firmware.flash_bytes - vectors == in_flash[-1].address + len(in_flash[-1].data) - in_flash[0].address
