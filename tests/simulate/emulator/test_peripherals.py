"""Ready flags, counters, and a conversation over each kind of UART."""

from dataclasses import replace

import pytest

from tests.simulate.emulator.programs import board, build
from tinycompile.boards import Board
from tinycompile.errors import EmulationFault
from tinycompile.simulate.emulator import emulate, emulate_in_qemu, qemu_version
from tinycompile.simulate.emulator.peripherals import READY, UARTS, Bus

BASE = 0x4000_4000


def with_driver(driver: str, platform: str = "stm32f7") -> Board:
    plain = board()
    named = replace(plain.platform, name=platform, sources=(f"x/{driver}.c",))
    return replace(plain, platform=named, console=replace(plain.console, base=BASE))


def bus(platform="stm32f7", driver="usart_v2", commands=(), time=lambda: 0, finished=lambda: None):
    return Bus(with_driver(driver, platform), commands, time, finished)


@pytest.mark.parametrize(
    ("platform", "control", "on", "ready"),
    [
        ("stm32f4", 0x40023800, 24, 25),
        ("stm32f7", 0x40023800, 16, 17),
        ("stm32l4", 0x40021000, 8, 10),
        ("stm32g0", 0x40021000, 8, 10),
        ("stm32h7", 0x58024400, 24, 25),
        ("stm32u5", 0x46020C00, 0, 2),
    ],
)
def test_ready_follows_enable(platform, control, on, ready):
    b = bus(platform)
    b.write(control, 4, 0)
    assert b.read(control, 4) >> ready & 1 == 0
    b.write(control, 4, 1 << on)
    assert b.read(control, 4) >> ready & 1 == 1


@pytest.mark.parametrize(
    ("platform", "config", "shift"),
    [
        ("stm32f4", 0x40023808, 2),
        ("stm32g0", 0x40021008, 3),
        ("stm32h7", 0x58024410, 3),
        ("stm32u5", 0x46020C1C, 2),
    ],
)
def test_clock_switch_status(platform, config, shift):
    b = bus(platform)
    b.write(config, 4, 2)
    assert b.read(config, 4) == 2 | 2 << shift


def test_every_rule_is_within_its_register():
    for rules in READY.values():
        for rule in rules:
            assert rule.address % 4 == 0
            assert 0 < rule.mask < 2**32


def test_plain_registers_keep_what_is_written():
    b = bus()
    b.write(0x4002_0000, 4, 0x11223344)
    b.write(0x4002_0001, 1, 0xAA)
    b.write(0x4002_0002, 2, 0xBBCC)
    assert b.read(0x4002_0000, 4) == 0xBBCCAA44
    assert b.read(0x4002_0003, 1) == 0xBB
    assert b.read(0x4002_1000, 4) == 0


def test_cycle_counters():
    now = [100]
    plain = replace(board(), settings={"counter": 0x4002_8018})
    b = Bus(plain, (), lambda: now[0], lambda: None)
    for counter in (0xE0001004, 0x4002_8018):
        now[0] = 100
        b.write(counter, 4, 0)
        now[0] = 100 + 2**32 + 5
        assert b.read(counter, 4) == 5


def test_systick_counts_down():
    now = [0]
    b = Bus(board(), (), lambda: now[0], lambda: None)
    b.write(0xE000E014, 4, 999)
    b.write(0xE000E018, 4, 0)
    b.write(0xE000E010, 4, 5)
    now[0] = 1
    assert b.read(0xE000E018, 4) == 998
    now[0] = 1001
    assert b.read(0xE000E018, 4) == 998
    with pytest.raises(EmulationFault):
        b.write(0xE000E010, 4, 7)


TALK = """
#define BASE 0x40004000u
static uint8_t get(void) {
    while (!(REGISTER(BASE + STATUS) & RECEIVED)) {}
    return (uint8_t)REGISTER(BASE + RECEIVE);
}
static void put(const char *s) {
    for (; *s; ++s) {
        while ((REGISTER(BASE + STATUS) & MASK) != WANT) {}
        REGISTER(BASE + TRANSMIT) = (uint8_t)*s;
    }
}
int main(void) {
    REGISTER(BASE + 8) = 3;
    for (;;) {
        put("m-ready\\r\\n");
        char line[32]; int n = 0; char c;
        while ((c = (char)get()) != '%') line[n++] = c;
        line[n] = 0;
        put("<"); put(line); put(">\\r\\n");
    }
}
"""


def talk_flags(driver):
    layout = UARTS[driver]
    mask, want = (1, 0) if driver == "uart_cmsdk" else (0x80, 0x80)
    named = {
        "STATUS": layout.status,
        "RECEIVE": layout.receive,
        "TRANSMIT": layout.transmit,
        "RECEIVED": layout.received,
        "MASK": mask,
        "WANT": want,
    }
    return [f"-D{name}={value}u" for name, value in named.items()]


ANSWER = "m-ready\r\n<name>\r\nm-ready\r\n<db 00FF>\r\nm-ready"


@pytest.mark.emulator
@pytest.mark.parametrize("driver", UARTS)
def test_conversation(driver):
    elf = build(TALK, "cortex-m4", *talk_flags(driver))
    run = emulate(elf, with_driver(driver), uart_input=[b"name%", b"db 00FF%"], timeout_s=20)
    assert run.exit_status == 0
    assert run.console == ANSWER


@pytest.mark.qemu
@pytest.mark.skipif(qemu_version() is None, reason="qemu-system-arm is not installed")
def test_conversation_in_qemu():
    elf = build(TALK, "cortex-m4", *talk_flags("uart_cmsdk"))
    run = emulate_in_qemu(elf, board(), uart_input=[b"name%", b"db 00FF%"], count=False, timeout_s=20)
    assert run.exit_status == 0
    assert run.console.rstrip() == ANSWER


@pytest.mark.emulator
def test_waiting_for_input_that_never_comes_ends_the_run():
    elf = build(TALK.replace('put("m-ready', 'put("hello'), "cortex-m4", *talk_flags("usart_v2"))
    run = emulate(elf, with_driver("usart_v2"), uart_input=[b"name%"], timeout_s=20)
    assert (run.exit_status, run.console) == (0, "hello\r\n")
