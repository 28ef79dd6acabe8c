"""Board files: what ships is right, what is wrong is rejected with file, key and what is allowed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tinycompile.boards import MemoryRegion, all_boards, load_board, load_platform, parse_size
from tinycompile.errors import BoardError
from tinycompile.resources import folder

NAMES = (
    "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547", "stm32f407", "stm32f412",
    "stm32f746", "stm32g0b1", "stm32h743", "stm32l4r5", "stm32u575",
)  # fmt: skip


ITCM = 'code = "itcm"\nmemory = [\n    { name = "itcm", origin = 0, size = "4K" },'


def edited(tmp_path: Path, old: str, new: str, base: str = "stm32f746") -> Path:
    """A copy of a board file with one piece of text replaced."""
    text = (folder("boards") / f"{base}.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_every_board_ships_and_is_found_by_name_and_alias() -> None:
    assert tuple(board.name for board in all_boards()) == NAMES
    for board in all_boards():
        assert load_board(board.name) == board
        for alias in board.aliases:
            assert load_board(alias.upper()).name == board.name


@pytest.mark.parametrize(
    ("name", "dsp", "fpu", "mve"),
    [
        ("stm32f746", True, "sp", False),
        ("stm32h743", True, "dp", False),
        ("stm32u575", True, "sp", False),
        ("stm32g0b1", False, "none", False),
        ("mps3-an547", True, "dp", True),
    ],
)
def test_isa_follows_from_core_and_features(name: str, dsp: bool, fpu: str, mve: bool) -> None:
    isa = load_board(name).isa
    assert (isa.has_dsp, isa.fpu, isa.mve) == (dsp, fpu, mve)


def test_pll_settings_make_the_clock_that_the_board_promises() -> None:
    source = {"stm32f7": 16, "stm32f4": 16, "stm32l4": 16, "stm32u5": 16, "stm32g0": 16, "stm32h7": 64}
    for board in all_boards():
        if board.platform.name in source:
            s = board.settings
            out = s["pll_p"] if "pll_p" in s else s["pll_r"]
            assert source[board.platform.name] * 10**6 * s["pll_n"] == board.clock_hz * s["pll_m"] * out, board.name


def test_h743_has_stack_and_variables_in_axi_sram_and_the_arena_in_three_banks() -> None:
    board = load_board("stm32h743")
    assert board.ram == MemoryRegion("sram", 0x2400_0000, 512 * 1024)
    assert {"dtcm", "itcm", "sram_d2", "sram_d3"} < {r.name for r in board.memory}
    assert board.banks == (
        MemoryRegion("dtcm", 0x2000_0000, 128 * 1024),
        MemoryRegion("sram", 0x2400_0000, 512 * 1024),
        MemoryRegion("sram_d2", 0x3000_0000, 288 * 1024),
    )


def test_a_board_that_names_no_banks_has_the_main_memory_alone() -> None:
    several = {board.name for board in all_boards() if board.banks != (board.ram,)}
    assert several == {"mps3-an547", "stm32f407", "stm32h743"}


def test_fast_code_is_what_the_file_says() -> None:
    assert load_board("stm32f746").fast_code == MemoryRegion("itcm", 0, 16 * 1024)
    assert load_board("stm32l4r5").fast_code is None


@pytest.mark.parametrize(
    ("base", "old", "new", "what", "allowed"),
    [
        ("stm32f746", 'code = "itcm"', 'code = "tcm"', "code names 'tcm', which is no region", "flash, itcm"),
        ("stm32f746", 'code = "itcm"', 'code = "sram"', "code names 'sram', which holds data", "flash, itcm"),
        ("stm32h743", 'code = "itcm"', 'code = "dtcm"', "code names 'dtcm', which holds data", "sram_d3"),
        ("stm32f746", 'code = "itcm"', "code = 1", "code is 1", "a text"),
        ("stm32g0b1", 'platform = "', 'code = "itcm"\nplatform = "', "code names 'itcm', which is no region", "flash"),
        ("stm32g0b1", "memory = [", ITCM, "code is 'itcm'", "Thumb-2"),
    ],
)
def test_wrong_memories_for_code_are_rejected(
    tmp_path: Path, base: str, old: str, new: str, what: str, allowed: str
) -> None:
    path = edited(tmp_path, old, new, base=base)
    with pytest.raises(BoardError) as caught:
        load_board(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert what in message and allowed in message


def test_an_alias_may_have_its_own_console() -> None:
    discovery, nucleo = load_board("stm32f746g-disco"), load_board("nucleo-f746zg")
    assert (discovery.console.base, str(discovery.console.tx)) == (0x4001_1000, "PA9")
    assert (nucleo.console.base, str(nucleo.console.tx)) == (0x4000_4800, "PD8")


def test_boards_hash_compare_and_pickle() -> None:
    for board in all_boards():
        assert pickle.loads(pickle.dumps(board)) == board
        assert len({board, load_board(board.name)}) == 1


def test_an_unknown_board_is_answered_with_near_names() -> None:
    with pytest.raises(BoardError, match="stm32f746") as caught:
        load_board("stm32f756")
    assert "own .toml" in str(caught.value)


def test_memory_can_be_resized() -> None:
    board = load_board("stm32f746").with_memory({"flash": 8 << 20})
    assert board.flash.size == 8 << 20
    assert board.ram == load_board("stm32f746").ram
    with pytest.raises(BoardError, match="one of: flash, sram, itcm"):
        board.with_memory({"ram": 1})
    with pytest.raises(BoardError, match="overlap"):
        load_board("stm32h743").with_memory({"itcm": 1 << 31})
    with pytest.raises(BoardError, match="cannot have -1"):
        board.with_memory({"flash": -1})


@pytest.mark.parametrize(("text", "size"), [("320K", 327680), ("2M", 2 << 20), ("1 GiB", 1 << 30), ("65536", 65536)])
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "1.5M", "-1K", "2T"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


def test_an_own_board_file_is_read(tmp_path: Path) -> None:
    path = edited(tmp_path, 'name = "stm32f746"', 'name = "mine"')
    assert load_board(path).name == "mine"
    assert load_board(str(path)).flash.size == 1 << 20


@pytest.mark.parametrize(
    ("old", "new", "key", "allowed"),
    [
        ('core = "cortex-m7"', 'core = "cortex-a7"', "core", "cortex-m7"),
        ('core = "cortex-m7"', "", "core is missing", "a text"),
        ("clock_hz = 216_000_000", "clock_hz = -1", "clock_hz", "above 0"),
        ("clock_hz = 216_000_000", "clock_hz = true", "clock_hz", "int"),
        ('"fpu-sp"', '"mve"', "features", "fpu-dp"),
        ('"fpu-sp"', '"fpu-sp", "fpu-dp"', "features", "one of them"),
        ('["dsp", "fpu-sp"]', "[]", "lacks dsp", "dsp"),
        ('size = "320K"', 'size = "much"', "memory[1].size", "320K"),
        ("origin = 0x2000_0000", "origin = 0xFFFF_FFFF", "memory[1].origin", "0xFFFF_FFFF"),
        ("origin = 0x2000_0000", "origin = 0x0800_0000", "overlap", "bytes for flash"),
        ('name = "sram"', 'name = "ram"', "no region 'sram'", "flash"),
        ('name = "sram"', 'name = "flash"', "same name", "its own"),
        ('name = "sram"', 'name = "S-RAM"', "memory[1].name", "lower-case"),
        ('platform = "stm32f7"', 'platform = "avr"', "platform = 'avr'", "stm32f7"),
        ("pll_n = 216", "", "settings", "pll_n"),
        ("pll_n = 216", "pll_n = 216\npll_q = 9", "settings", "pll_q"),
        ('tx = "PA9"', 'tx = "A9"', "console.tx", "PA9"),
        ('rx = "PB7"', "", "console.enable, tx, rx", "PA9"),
        ("enable = [0x4002_3844, 4]", "enable = [4]", "console.enable", "number of the bit"),
        ('emulator = "cortex-m7"', 'emulater = "cortex-m7"', "did you mean emulator", "emulator"),
        ("console_of.nucleo-f746zg", "console_of.nucleo-f767zi", "console_of.nucleo-f767zi", "nucleo-f746zg"),
        ('name = "stm32f746"', 'name = "', "not a TOML file", ""),
    ],
)
def test_a_wrong_file_is_rejected_by_key(tmp_path: Path, old: str, new: str, key: str, allowed: str) -> None:
    path = edited(tmp_path, old, new)
    with pytest.raises(BoardError) as caught:
        load_board(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert key in message and allowed in message


@pytest.mark.parametrize(
    ("old", "new", "what", "allowed"),
    [
        ('["dtcm", ', '["dtcm2", ', "arena names 'dtcm2', which is no region of this board", "dtcm"),
        ('["dtcm", ', '["flash", ', "arena names 'flash', which holds code", "sram_d2"),
        ('["dtcm", ', '["dtcm", "dtcm", ', "arena is ['dtcm', 'dtcm'", "each region once"),
        ('["dtcm", "sram", ', '["dtcm", ', "arena is ['dtcm', 'sram_d2']", "'sram' in it"),
        ('arena = ["dtcm", ', 'arena = [1, ', "arena is [1,", "a list of strings"),
        ('origin = 0x2000_0000, size = "128K"', 'origin = 0x2400_0000, size = "128K"', "overlap", "at most"),
    ],
)  # fmt: skip
def test_wrong_banks_are_rejected_by_key(tmp_path: Path, old: str, new: str, what: str, allowed: str) -> None:
    path = edited(tmp_path, old, new, base="stm32h743")
    with pytest.raises(BoardError) as caught:
        load_board(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert what in message and allowed in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"gone\.toml: cannot read"):
        load_board(tmp_path / "gone.toml")


def test_every_platform_names_sources_that_exist() -> None:
    root = folder("runtime_c") / "platform"
    platforms = [load_platform(path.parent.name) for path in root.glob("*/platform.toml")]
    assert len(platforms) == 8
    used = {root / source for platform in platforms for source in platform.sources}
    assert used == set(root.glob("*/*.c"))
