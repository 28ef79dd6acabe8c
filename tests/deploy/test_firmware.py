"""Images of a hand-written model: they build for every board, boot, and answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.toy import ADD_ONE, INPUT, OUTPUT, toy
from tinycompile.api.fit import LEAST
from tinycompile.boards import Board, all_boards, load_board
from tinycompile.deploy import Console, Toolchain, build_firmware, find_toolchain
from tinycompile.deploy.image import read_image
from tinycompile.errors import DoesNotFit, InternalError, ToolchainError
from tinycompile.simulate.emulator import emulate, emulate_in_qemu
from tinycompile.simulate.emulator.peripherals import Bus

DIALOGUE = [
    b"name%", b"profile%", b"results%", b"infer 1 0%", b"db 00%", b"db load 11%", b"db load 10%",
    b"db 0001020304%", b"db 05ff7f800a%", b"db print%", b"infer 3 2%", b"infer 0%", b"infer 1 x%",
    b"db load x%", b"db%", b"%", b"\r\nfoo%", b"x" * 600 + b"%", b"help%", b"timestamp%",
]  # fmt: skip


def answers(console: str) -> list[list[str]]:
    """The lines of each answer, without its m-ready; the first is what the firmware says on its own."""
    parts = console.replace("\r\n", "\n").split("m-ready")
    return [[line for line in part.split("\n") if line] for part in parts]


def check_dialogue(console: str, board: Board) -> None:
    said = answers(console)
    assert said[0][0] == "m-timestamp-mode-performance"
    assert said[0][1].startswith("m-lap-us-") and said[0][2] == "m-init-done"
    assert said[1] == [f"m-name-dut-[{board.name}]"]
    assert said[2][0].startswith("m-profile-[tinycompile") and said[2][1] == "m-model-[toy]"
    assert said[3] == ["e-[No results: use 'infer' first]"]
    assert said[4] == ["e-[Input holds 0 of 10 bytes; load it with db]"]
    assert said[5] == ["e-[Use 'db load' first]"]
    assert said[6] == ["e-[Input takes at most 10 bytes]"]
    assert said[7:10] == [["m-[Expecting 10 bytes]"], [], ["m-load-done"]]
    assert said[10] == ["m-buffer-00-01-02-03-04-05-ff-7f", "m-buffer-80-0a"]
    assert said[11][:3] == ["m-warmup-start-2", "m-warmup-done", "m-infer-start-3"]
    assert said[11][5] == "m-infer-done"
    laps = [int(line.removeprefix("m-lap-us-")) for line in said[11][3:5]]
    assert laps[0] <= laps[1]
    # The model overwrites its input: only a kept copy makes the fifth inference equal the first.
    dequantized = "1.000000,1.250000,1.500000,1.750000,2.000000,2.250000,0.750000,-31.250000,-31.000000,3.500000"
    assert said[11][6] == f"m-results-[{dequantized}]"
    assert said[11][7].startswith("m-results-[") and "." not in said[11][7]
    assert said[12] == ["e-[Inference iterations must be >0]"]
    assert said[13] == ["e-[Inference warmup must be >=0]"]
    assert said[14] == ["e-[Command 'db load' requires the # of bytes]"]
    assert said[15] == ["e-[Command 'db' requires a subcommand]"]
    assert said[16] == []
    assert said[17] == ["e-[Unknown command: foo]"]
    assert said[18] == ["e-[Command too long]"]
    assert len(said[19]) == 8
    assert said[20][0].startswith("m-lap-us-")


@pytest.mark.parametrize("console", ["uart", "semihosting"])
@pytest.mark.parametrize("board", all_boards(), ids=lambda b: b.name)
def test_every_board_builds(board: Board, console: Console, toolchain: Toolchain, tmp_path: Path) -> None:
    firmware = build_firmware(toy(), board, tmp_path, console=console, toolchain=toolchain)
    assert firmware.elf.stat().st_size > firmware.flash_bytes
    vectors = 0 if board.vectors == "flash" else 64
    assert firmware.bin.stat().st_size + vectors >= firmware.flash_bytes
    assert firmware.symbols["tc_arena"] == 64
    assert firmware.keeps_input == (console == "uart")
    assert firmware.run_stack.bytes <= firmware.stack.bytes < firmware.stack_reserved
    assert firmware.flash_bytes < 12_000 and firmware.static_ram_bytes < 1024
    found = firmware.needs
    assert found.total == firmware.static_ram_bytes + firmware.stack_reserved
    # the first plan for a board keeps the least that any image needs besides its arena, and little less than it does
    assert LEAST[console] <= found.stack + found.variables <= 1.5 * LEAST[console]


@pytest.mark.parametrize(
    ("name", "bank"), [(b.name, r.name) for b in all_boards() for r in b.banks if r != b.ram], ids="-".join
)
def test_an_arena_lies_in_the_bank_of_its_section(name: str, bank: str, toolchain: Toolchain, tmp_path: Path) -> None:
    board = load_board(name)
    arena = 20_000
    firmware = build_firmware(toy(arena=arena, section=f".arena.{bank}"), board, tmp_path, toolchain=toolchain)
    image = read_image(firmware.elf)
    assert image.symbol("tc_arena").address == board.region(bank).origin
    assert image.used(board.ram) < 2048 and arena < firmware.static_ram_bytes < arena + 1024
    assert firmware.bin.stat().st_size < 12_000  # the arena is no part of what is programmed
    with pytest.raises(DoesNotFit) as caught:
        large = toy(arena=board.region(bank).size + 4, section=f".arena.{bank}")
        build_firmware(large, board, tmp_path, toolchain=toolchain)
    assert (caught.value.memory, caught.value.available) == (bank, board.region(bank).size)


@pytest.mark.emulator
@pytest.mark.parametrize(("name", "bank"), [("stm32h743", "sram_d2"), ("stm32f407", "ccm")])
def test_an_image_with_its_arena_in_another_bank_answers(
    name: str, bank: str, toolchain: Toolchain, tmp_path: Path
) -> None:
    board = load_board(name)
    firmware = build_firmware(toy(section=f".arena.{bank}"), board, tmp_path, toolchain=toolchain)
    check_dialogue(emulate(firmware.elf, board, uart_input=DIALOGUE).console, board)


@pytest.mark.emulator
def test_the_h743_switches_its_d2_memories_on_before_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[int, int] = {}
    write = Bus.write

    def note(bus: Bus, address: int, size: int, value: int) -> None:
        written[address] = value
        write(bus, address, size, value)

    monkeypatch.setattr(Bus, "write", note)
    board = load_board("stm32h743")
    firmware = build_firmware(toy(section=".arena.sram_d2"), board, tmp_path, console="semihosting")
    assert emulate(firmware.elf, board, files={"input.bin": INPUT}).exit_status == 0
    assert written[0x580244DC] >> 29 == 7  # RCC_AHB2ENR: SRAM1EN, SRAM2EN, SRAM3EN


@pytest.mark.emulator
@pytest.mark.parametrize("board", [b for b in all_boards() if b.emulator], ids=lambda b: b.name)
def test_emulated_boards_answer_and_stay_within_the_stack_bound(
    board: Board, toolchain: Toolchain, tmp_path: Path
) -> None:
    serial = build_firmware(toy(), board, tmp_path / "uart", toolchain=toolchain)
    talk = emulate(serial.elf, board, uart_input=DIALOGUE)
    check_dialogue(talk.console, board)
    assert talk.stack_bytes is not None and 0 < talk.stack_bytes <= serial.stack.bytes
    hosted = build_firmware(toy(), board, tmp_path / "semi", console="semihosting", toolchain=toolchain)
    done = emulate(hosted.elf, board, files={"input.bin": INPUT})
    assert (done.exit_status, done.files["output.bin"][:10]) == (0, OUTPUT)


def test_qemu_boots_and_answers(qemu_board: Board, toolchain: Toolchain, tmp_path: Path) -> None:
    serial = build_firmware(toy(), qemu_board, tmp_path / "uart", toolchain=toolchain)
    check_dialogue(emulate_in_qemu(serial.elf, qemu_board, uart_input=DIALOGUE, count=False).console, qemu_board)
    hosted = build_firmware(toy(), qemu_board, tmp_path / "semi", console="semihosting", toolchain=toolchain)
    done = emulate_in_qemu(hosted.elf, qemu_board, files={"input.bin": INPUT}, count=False)
    assert (done.exit_status, done.files["output.bin"][:10]) == (0, OUTPUT)


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("body", "files", "status"),
    [
        (ADD_ONE, {}, 1),
        (ADD_ONE, {"input.bin": INPUT[:9]}, 2),
        (ADD_ONE, {"input.bin": INPUT + b"\0"}, 2),
        (ADD_ONE.replace("return 0", "return 7"), {"input.bin": INPUT}, 3),
    ],
)
def test_semihosting_exits_with_a_status(body: str, files: dict[str, bytes], status: int, tmp_path: Path) -> None:
    board = load_board("stm32l4r5")
    firmware = build_firmware(toy(body), board, tmp_path, console="semihosting")
    done = emulate(firmware.elf, board, files=files)
    assert done.exit_status == status
    assert done.console.startswith("e-[") and "output.bin" not in done.files


@pytest.mark.emulator
def test_a_failed_inference_is_reported_over_the_uart(tmp_path: Path) -> None:
    board = load_board("stm32g0b1")
    firmware = build_firmware(toy(ADD_ONE.replace("return 0", "return 7")), board, tmp_path)
    talk = emulate(
        firmware.elf,
        board,
        uart_input=[b"db load 10%", b"db " + INPUT.hex().encode() + b"%", b"infer 1 0%", b"results%"],
    )
    assert answers(talk.console)[3][-1] == "e-[Inference failed with status 7]"
    assert answers(talk.console)[4] == ["e-[No results: use 'infer' first]"]


@pytest.mark.emulator
def test_without_ram_for_a_copy_the_input_serves_one_inference(tmp_path: Path) -> None:
    board = load_board("stm32g0b1")
    firmware = build_firmware(toy(arena=80_000, inputs=70_000), board, tmp_path)
    assert not firmware.keeps_input and firmware.static_ram_bytes < 81_000
    loads = [b"db load 70000%", *[b"db " + b"05" * 200 + b"%"] * 350]
    runs = [b"infer 2 0%", b"infer 1 0%", b"infer 1 0%", b"results%"]
    talk = emulate(firmware.elf, board, uart_input=[*loads, *runs, b"db load 70000%", b"db 05%", b"results%"])
    said = answers(talk.console)
    assert said[351] == ["m-load-done"]
    assert said[352][0].startswith("e-[No RAM to keep the input")
    assert said[353][-2].startswith("m-results-[2.250000,2.250000")
    assert said[354] == ["e-[Input holds 0 of 70000 bytes; load it with db]"]
    assert said[355] == [line for line in said[353] if line.startswith("m-results")]
    assert said[358] == ["e-[No results: use 'infer' first]"]  # the input has overwritten them


def test_a_board_too_small_is_told_in_bytes(toolchain: Toolchain, tmp_path: Path) -> None:
    board = load_board("stm32g0b1")
    with pytest.raises(DoesNotFit) as ram:
        build_firmware(toy(arena=200_000), board, tmp_path, toolchain=toolchain)
    assert ram.value.memory == "sram" and ram.value.available == 144 * 1024
    assert 200_000 < ram.value.needed < 201_500
    assert not list(tmp_path.iterdir())

    constants = "static const int32_t big[200000] = { 1, 2, 3 };\n"
    body = ADD_ONE.replace("int toy_run", f"{constants}int toy_run").replace("+ 1)", "+ big[arena[9]])")
    with pytest.raises(DoesNotFit) as flash:
        build_firmware(toy(body), board, tmp_path, toolchain=toolchain)
    assert flash.value.memory == "flash" and flash.value.needed > 800_000
    roomy = board.with_memory({"flash": 1 << 20})
    assert build_firmware(toy(body), roomy, tmp_path, toolchain=toolchain).flash_bytes > 800_000


def test_wrong_c_is_shown_with_command_and_place(toolchain: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        build_firmware(
            toy(ADD_ONE.replace("return 0", "return nothing")), load_board("stm32f746"), tmp_path, toolchain=toolchain
        )
    assert "toy.c" in str(caught.value) and "nothing" in caught.value.output
    assert "-c" in caught.value.command


def test_warnings_are_errors_in_generated_code(toolchain: Toolchain, tmp_path: Path) -> None:
    narrowing = ADD_ONE.replace("(int8_t)(x[i] + 1)", "x[i] * 300")
    with pytest.raises(ToolchainError, match="onversion"):
        build_firmware(toy(narrowing), load_board("stm32f746"), tmp_path, toolchain=toolchain)


RECURSION = """
int deep(int n);
int deep(int n) { volatile int x = n; return x > 0 ? deep(x - 1) + x : 0; }
int toy_run"""
POINTER = """
static int one(int a) { return a + 1; }
int (*volatile chosen)(int) = one;
int toy_run"""


@pytest.mark.parametrize(
    ("code", "call", "why"),
    [(RECURSION, "deep(x[0])", "recursion deep -> deep"), (POINTER, "chosen(x[0])", "call through a pointer")],
)
def test_a_stack_without_bound_is_an_error(
    code: str, call: str, why: str, toolchain: Toolchain, tmp_path: Path
) -> None:
    body = ADD_ONE.replace("int toy_run", code).replace("return 0", f"return {call} * 0")
    body = body.replace(f"return {call} * 0", f"y[0] = (int8_t){call};\n    return 0")
    with pytest.raises(InternalError, match=why):
        build_firmware(toy(body), load_board("stm32l4r5"), tmp_path, toolchain=toolchain)


LOCALS = """
    volatile int8_t room[3000];
    for (int i = 0; i < 3000; ++i) {
        room[i] = x[i % 10];
    }
    y[0] = room[2999];
    return 0"""


@pytest.mark.emulator
@pytest.mark.parametrize("name", ["stm32g0b1", "stm32f746"])
def test_large_frames_are_counted(name: str, toolchain: Toolchain, tmp_path: Path) -> None:
    board = load_board(name)
    body = ADD_ONE.replace("    return 0", LOCALS)
    firmware = build_firmware(toy(body), board, tmp_path, console="semihosting", toolchain=toolchain)
    assert 3000 <= firmware.run_stack.bytes <= 3100
    done = emulate(firmware.elf, board, files={"input.bin": INPUT})
    assert done.stack_bytes is not None and 3000 <= done.stack_bytes <= firmware.stack.bytes


def test_the_same_input_gives_the_same_image(tmp_path: Path) -> None:
    board, compiler = load_board("stm32f746"), find_toolchain()
    images = [build_firmware(toy(), board, tmp_path / n, toolchain=compiler) for n in ("a", "b")]
    assert images[0].elf.read_bytes() == images[1].elf.read_bytes()
