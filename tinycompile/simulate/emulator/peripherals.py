"""The chip around the core: what its registers read, as far as start-up code and a console need it.

A register without a rule reads back what was written to it, or zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tinycompile.boards import Board
from tinycompile.errors import EmulationFault

REGIONS = ((0x40000000, 0x20000000), (0xE0000000, 0x00100000))
"""Origin and size of the address ranges that Armv7-M and Armv8-M reserve for peripherals and for the core's
own registers.
"""

PROMPT = b"m-ready"
IDLE_POLLS = 10_000
MASK32 = 0xFFFFFFFF

SYST_CSR, SYST_RVR, SYST_CVR = 0xE000E010, 0xE000E014, 0xE000E018
NVIC_ISER = range(0xE000E100, 0xE000E140)
CPUID, AIRCR, CLIDR, CCSIDR, CPACR = 0xE000ED00, 0xE000ED0C, 0xE000ED78, 0xE000ED80, 0xE000ED88
DWT_CTRL, DWT_CYCCNT = 0xE0001000, 0xE0001004

PART = {
    "cortex-m0plus": 0x410CC601,
    "cortex-m3": 0x412FC231,
    "cortex-m4": 0x410FC241,
    "cortex-m7": 0x411FC272,
    "cortex-m33": 0x411FD210,
}
CACHES = {CLIDR: 0x09000003, CCSIDR: 0xF01FE019}
"""Two separate first-level caches; the data cache has 16 KiB: 128 sets, 4 ways, lines of 32 bytes (Arm DDI
0489, 4.3).
"""


@dataclass(frozen=True)
class Ready:
    """Bits ``mask`` of register ``address`` follow those of ``source`` shifted left by ``shift``; no source:
    always set.
    """

    address: int
    mask: int
    source: int | None = None
    shift: int = 0


def _stm32_rcc(control: int, config: int, hsi: tuple[int, int], switch: tuple[int, int]) -> tuple[Ready, ...]:
    """Oscillators, PLL and clock switch of an STM32: HSE and PLL lie alike in all families."""
    hsi_ready, hsi_shift = hsi
    switch_mask, switch_shift = switch
    return (
        Ready(control, 1 << hsi_ready, control, hsi_shift),
        Ready(control, 1 << 17, control, 1),
        Ready(control, 1 << 25, control, 1),
        Ready(config, switch_mask, config, switch_shift),
    )


_F4 = (*_stm32_rcc(0x40023800, 0x40023808, (1, 1), (0xC, 2)), Ready(0x40007004, 1 << 14))
_L4 = (*_stm32_rcc(0x40021000, 0x40021008, (10, 2), (0xC, 2)), Ready(0x40021000, 2, 0x40021000, 1))

READY: Mapping[str, tuple[Ready, ...]] = {
    "stm32f4": _F4,  # RM0402
    "stm32f7": (*_F4, Ready(0x40007004, 3 << 16, 0x40007000, 0)),  # RM0385: overdrive
    "stm32l4": _L4,  # RM0432
    "stm32g0": _stm32_rcc(0x40021000, 0x40021008, (10, 2), (0x38, 3)),  # RM0444
    "stm32h7": (  # RM0433
        *_stm32_rcc(0x58024400, 0x58024410, (2, 2), (0x38, 3)),
        Ready(0x58024804, 1 << 13),
        Ready(0x58024818, 1 << 13),
    ),
    "stm32u5": (  # RM0456
        *_stm32_rcc(0x46020C00, 0x46020C1C, (10, 2), (0xC, 2)),
        Ready(0x46020C00, 1 << 2, 0x46020C00, 2),
        Ready(0x4602080C, 1 << 15),
        Ready(0x4602080C, 1 << 14, 0x4602080C, -4),
        Ready(0x4602083C, 1 << 15),
    ),
}
"""Ready flags by platform."""

RESET: Mapping[str, Mapping[int, int]] = {
    "stm32f4": {0x40023800: 0x83, 0x40023804: 0x24003010},
    "stm32f7": {0x40023800: 0x83, 0x40023804: 0x24003010},
    "stm32l4": {0x40021000: 0x63},
    "stm32g0": {0x40021000: 0x500},
    "stm32h7": {0x58024400: 0x83},
    "stm32u5": {0x46020C00: 0x35},
}
"""Registers that are not zero after reset and that clock set-up reads, by platform."""


@dataclass(frozen=True)
class UartLayout:
    """Where a UART has its registers, and the status bits that say it can take or has a byte."""

    status: int
    receive: int
    transmit: int
    idle: int
    received: int


UARTS: Mapping[str, UartLayout] = {
    "usart_v1": UartLayout(status=0x00, receive=0x04, transmit=0x04, idle=0xC0, received=0x20),
    "usart_v2": UartLayout(status=0x1C, receive=0x24, transmit=0x28, idle=0x6000C0, received=0x20),
    "uart_cmsdk": UartLayout(status=0x04, receive=0x00, transmit=0x00, idle=0, received=0x02),
}
"""UART register layouts, by the name of the driver that a platform compiles."""


class Uart:
    """The other end of the console: sends each command after the firmware's prompt, and keeps what the
    firmware says.

    ``finished`` is called when every command is answered, or when the firmware waits for input that never
    comes.
    """

    def __init__(self, layout: UartLayout, commands: Sequence[bytes], finished: Callable[[], None]) -> None:
        self.layout = layout
        self.output = bytearray()
        self._commands = list(commands)
        self._finished = finished
        self._pending = bytearray()
        self._idle = 0

    def read_status(self) -> int:
        if self._pending:
            return self.layout.idle | self.layout.received
        self._idle += 1
        if self._idle > IDLE_POLLS:
            self._finished()
        return self.layout.idle

    def read_data(self) -> int:
        return self._pending.pop(0) if self._pending else 0

    def write_data(self, value: int) -> None:
        self._idle = 0
        self.output.append(value & 0xFF)
        if self.output.endswith(PROMPT):
            if self._commands:
                self._pending += self._commands.pop(0)
            else:
                self._finished()


class Bus:
    """The registers of a board, by address. ``cycles`` gives the time; ``finished`` ends the run."""

    def __init__(
        self, board: Board, commands: Sequence[bytes], cycles: Callable[[], int], finished: Callable[[], None]
    ) -> None:
        platform = board.platform.name
        self._values: dict[int, int] = dict(RESET.get(platform, {}))
        self._values[CPUID] = PART.get(board.core, 0)
        if board.core == "cortex-m7":
            self._values |= CACHES
        self._ready: dict[int, list[Ready]] = {}
        for rule in READY.get(platform, ()):
            self._ready.setdefault(rule.address, []).append(rule)
        self._cycles = cycles
        self._counters = {DWT_CYCCNT: 0} if board.core != "cortex-m0plus" else {}
        numbers = {**board.platform.defines, **board.settings}
        if "counter" in numbers:
            self._counters[numbers["counter"]] = 0
        self.uart = self._uart(board, commands, finished)
        self._base = board.console.base

    @staticmethod
    def _uart(board: Board, commands: Sequence[bytes], finished: Callable[[], None]) -> Uart | None:
        for source in board.platform.sources:
            layout = UARTS.get(source.rsplit("/", 1)[-1].removesuffix(".c"))
            if layout is not None:
                return Uart(layout, commands, finished)
        return None

    @property
    def fpu_is_on(self) -> bool:
        """Whether CPACR gives full access to coprocessors 10 and 11."""
        return self._values.get(CPACR, 0) >> 20 & 0xF == 0xF

    def read(self, address: int, size: int) -> int:
        """The value of ``size`` bytes at ``address``."""
        word = self._read_word(address & ~3)
        return word >> 8 * (address & 3) & (1 << 8 * size) - 1

    def write(self, address: int, size: int, value: int) -> None:
        """Writes ``size`` bytes. Raises `EmulationFault` where firmware asks for what is not emulated."""
        register, shift = address & ~3, 8 * (address & 3)
        mask = (1 << 8 * size) - 1 << shift
        old = self._values.get(register, 0)
        self._write_word(register, (old & ~mask | value << shift & mask) & MASK32)

    def _read_word(self, register: int) -> int:
        if self.uart is not None:
            offset = register - self._base
            if offset == self.uart.layout.status:
                return self.uart.read_status()
            if offset == self.uart.layout.receive:
                return self.uart.read_data()
        if register in self._counters:
            return self._cycles() - self._counters[register] & MASK32
        if register == SYST_CVR:
            return self._systick()
        value = self._values.get(register, 0)
        for rule in self._ready.get(register, ()):
            value = value & ~rule.mask | self._follow(rule) & rule.mask
        return value

    def _follow(self, rule: Ready) -> int:
        if rule.source is None:
            return MASK32
        source = self._values.get(rule.source, 0)
        return source << rule.shift if rule.shift >= 0 else source >> -rule.shift

    def _systick(self) -> int:
        if not self._values.get(SYST_CSR, 0) & 1:
            return 0
        period = self._values.get(SYST_RVR, 0) + 1
        return period - 1 - (self._cycles() - self._values.get(SYST_CVR, 0)) % period

    def _write_word(self, register: int, value: int) -> None:
        if self.uart is not None and register == self._base + self.uart.layout.transmit:
            self.uart.write_data(value)
            return
        if register in self._counters:
            self._counters[register] = self._cycles() - value
            return
        if register == SYST_CVR:
            value = self._cycles()
        if (register == SYST_CSR and value & 3 == 3) or (register in NVIC_ISER and value):
            raise EmulationFault("enables an interrupt; the emulator has none", hint="poll instead")
        if register == AIRCR and value & 4:
            raise EmulationFault("resets the chip (AIRCR.SYSRESETREQ)")
        self._values[register] = value
