"""Semihosting calls, by themselves and from firmware."""

import struct

import pytest

from tests.simulate.emulator.programs import EMULATED, board, build
from tinycompile.simulate.emulator import emulate, emulate_in_qemu, qemu_version
from tinycompile.simulate.emulator.semihosting import FAILED, Semihosting

OPEN, CLOSE, WRITEC, WRITE0, WRITE, READ, ISTTY, SEEK, FLEN = 1, 2, 3, 4, 5, 6, 9, 10, 12
CLOCK, TIME, ERRNO, CMDLINE, EXIT, EXIT_EXTENDED, ELAPSED, TICKFREQ = (
    0x10,
    0x11,
    0x13,
    0x15,
    0x18,
    0x20,
    0x30,
    0x31,
)
BLOCK, DATA = 0, 64


class Ram:
    def __init__(self):
        self.bytes = bytearray(1024)

    def mem_read(self, address, size):
        return self.bytes[address : address + size]

    def mem_write(self, address, data):
        self.bytes[address : address + len(data)] = data


class Caller:
    def __init__(self, files):
        self.ram = Ram()
        self.host = Semihosting(self.ram, files, lambda: 2_500_000, 1_000_000, command_line="prog -x")

    def __call__(self, operation, *words):
        self.ram.mem_write(BLOCK, struct.pack(f"<{len(words)}I", *words))
        return self.host.call(operation, BLOCK)

    def open(self, name, mode):
        self.ram.mem_write(DATA, name.encode())
        return self(OPEN, DATA, mode, len(name))


@pytest.fixture
def caller():
    return Caller({"in": b"hello world"})


def test_read_seek_and_length(caller):
    file = caller.open("in", 1)
    assert caller(FLEN, file) == 11
    assert caller(READ, file, DATA, 5) == 0
    assert caller.ram.mem_read(DATA, 5) == b"hello"
    assert caller(SEEK, file, 6) == 0
    assert caller(READ, file, DATA, 100) == 100 - 5  # the bytes that were not read
    assert caller.ram.mem_read(DATA, 5) == b"world"
    assert caller(READ, file, DATA, 4) == 4  # the end of the file
    assert caller(CLOSE, file) == 0
    assert caller(READ, file, DATA, 1) == 1


def test_write_truncates_and_appends(caller):
    for mode, expected in ((5, b"abc"), (9, b"abcabc"), (5, b"abc")):
        file = caller.open("out", mode)
        caller.ram.mem_write(DATA, b"abc")
        assert caller(WRITE, file, DATA, 3) == 0
        assert caller(CLOSE, file) == 0
        assert bytes(caller.host.files["out"]) == expected


def test_update_in_place(caller):
    file = caller.open("in", 3)  # r+b
    caller(SEEK, file, 13)
    caller.ram.mem_write(DATA, b"!")
    caller(WRITE, file, DATA, 1)
    assert bytes(caller.host.files["in"]) == b"hello world\0\0!"


def test_failures_have_an_errno(caller):
    assert caller.open("missing", 0) == FAILED
    assert caller(ERRNO) == 2
    assert caller(CLOSE, 99) == FAILED
    assert caller(ERRNO) == 9
    file = caller.open("in", 0)
    assert caller(WRITE, file, DATA, 3) == 3  # opened for reading


def test_console_and_clocks(caller):
    tty = caller.open(":tt", 4)
    assert caller(ISTTY, tty) == 1
    caller.ram.mem_write(DATA, b"one\0")
    caller(WRITE, tty, DATA, 3)
    caller.host.call(WRITE0, DATA)
    caller.host.call(WRITEC, DATA)
    assert caller.host.console == b"oneoneo"
    assert (caller(CLOCK), caller(TIME), caller(TICKFREQ)) == (250, 2, 1_000_000)
    assert caller(ELAPSED) == 0
    assert struct.unpack("<Q", caller.ram.mem_read(BLOCK, 8)) == (2_500_000,)


def test_command_line(caller):
    assert caller(CMDLINE, DATA, 20) == 0
    assert caller.ram.mem_read(DATA, 8) == b"prog -x\0"
    assert struct.unpack("<I", caller.ram.mem_read(BLOCK + 4, 4)) == (7,)
    assert caller(CMDLINE, DATA, 7) == FAILED


@pytest.mark.parametrize(
    ("operation", "words", "status"),
    [(EXIT_EXTENDED, (0x20026, 7), 7), (EXIT_EXTENDED, (0x20023, 7), 1)],
)
def test_exit(caller, operation, words, status):
    caller(operation, *words)
    assert caller.host.exit_status == status


def test_exit_takes_its_reason_in_the_register(caller):
    caller.host.call(EXIT, 0x20026)
    assert caller.host.exit_status == 0
    caller.host.call(EXIT, 0x20024)
    assert caller.host.exit_status == 1


def test_unknown_operation(caller):
    assert caller.host.call(0x7F, 0) is None


COPY = """
static uint8_t data[100];
static int32_t file(const char *name, uint32_t length, uint32_t mode) {
    const uint32_t block[3] = { (uint32_t)name, mode, length };
    return host(0x01, block);
}
int main(void) {
    const uint32_t in[3] = { (uint32_t)file("input.bin", 9, 1), (uint32_t)data, 100 };
    const int32_t size = 100 - host(0x06, in);
    for (int i = 0; i < size; ++i) data[i] ^= 0xFF;
    const uint32_t out[3] = { (uint32_t)file("output.bin", 10, 5), (uint32_t)data, (uint32_t)size };
    (void)host(0x05, out);
    (void)host(0x02, out);
    print("copied");
    return size;
}
"""


@pytest.mark.emulator
@pytest.mark.parametrize("core", EMULATED)
def test_firmware_reads_and_writes_files(core, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = emulate(build(COPY, core), board(core), files={"input.bin": bytes(range(60))})
    assert (run.exit_status, run.console) == (60, "copied")
    assert run.files["output.bin"] == bytes(0xFF ^ i for i in range(60))
    assert not list(tmp_path.iterdir())  # nothing reaches the disk


@pytest.mark.qemu
@pytest.mark.skipif(qemu_version() is None, reason="qemu-system-arm is not installed")
@pytest.mark.parametrize("count", [False, True])
def test_firmware_reads_and_writes_files_in_qemu(count):
    run = emulate_in_qemu(build(COPY), board(), files={"input.bin": bytes(range(60))}, count=count)
    assert (run.exit_status, run.console) == (60, "copied")
    assert run.files["output.bin"] == bytes(0xFF ^ i for i in range(60))
    assert (run.instructions > 0) == count
