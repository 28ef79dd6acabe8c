"""One run of an image on Unicorn: memory map, hooks, and the loop that serves whatever stops the core."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from unicorn import Uc, UcError
from unicorn.arm_const import UC_ARM_REG_PC, UC_ARM_REG_R0, UC_ARM_REG_R1, UC_ARM_REG_SP
from unicorn.unicorn_const import (
    UC_ARCH_ARM,
    UC_ERR_INSN_INVALID,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_MEM_FETCH_PROT,
    UC_MEM_FETCH_UNMAPPED,
    UC_MEM_READ_PROT,
    UC_MEM_READ_UNMAPPED,
    UC_MEM_WRITE_PROT,
    UC_MEM_WRITE_UNMAPPED,
    UC_MODE_THUMB,
    UC_PROT_ALL,
    UC_PROT_EXEC,
    UC_PROT_READ,
)

from tinycompile.boards import Board, MemoryRegion
from tinycompile.errors import EmulationFault, TinycompileError, UsageError
from tinycompile.simulate.emulator.alignment import aligned_accesses
from tinycompile.simulate.emulator.cores import Core
from tinycompile.simulate.emulator.image import Image
from tinycompile.simulate.emulator.peripherals import REGIONS, Bus
from tinycompile.simulate.emulator.pricing import Prices
from tinycompile.simulate.emulator.profile import (
    PAUSED,
    RUNNING,
    TABLE_FULL,
    TOO_DEEP,
    UNALIGNED,
    WATCH_CONTEXT,
    WATCH_NOTIFY,
    Profile,
    Watch,
)
from tinycompile.simulate.emulator.semihosting import BKPT, Semihosting

PAGE = 4096
SLICE = 50_000_000
"""Instructions between two looks at the clock: some tenths of a second."""
NO_STOP = 0xFFFFFFFF
EXCEPTIONS = {
    2: "SVC",
    4: "an unaligned access",
    7: "BKPT",
    17: "a disabled coprocessor",
    18: "a jump to Arm code",
}
ACCESSES = {
    UC_MEM_READ_UNMAPPED: "reads",
    UC_MEM_WRITE_UNMAPPED: "writes",
    UC_MEM_FETCH_UNMAPPED: "jumps to",
    UC_MEM_READ_PROT: "reads",
    UC_MEM_WRITE_PROT: "writes to the read-only",
    UC_MEM_FETCH_PROT: "jumps to the data at",
}


class Machine:
    """A board with an image in its flash, ready to run once.

    ``region`` is the function to measure, ``watched`` are others whose active calls form the contexts of the
    profile, in that order. ``painted`` are blocks (address, size) of RAM to paint when the start-up code is
    done, at the entry of ``main``; so is the stack down to ``stack_bottom``, and at the entry of the region
    again, for ``region_stack_bytes``. ``flip`` is xored with every byte of paint.
    """

    def __init__(
        self,
        image: Image,
        board: Board,
        core: Core,
        prices: Prices,
        *,
        files: Mapping[str, bytes] = {},
        commands: Sequence[bytes] = (),
        region: int | None = None,
        watched: Sequence[int] = (),
        painted: Sequence[tuple[int, int]] = (),
        stack_bottom: int,
        flip: int = 0,
    ) -> None:
        self.image, self.board, self.flip = image, board, flip
        self._prices, self._painted, self._stack_bottom = prices, painted, stack_bottom
        self._initial_stack = self._region_stack = self._deepest = self.region_stack_bytes = 0
        self.has_reached_main = "main" not in image.symbols
        self._fault: TinycompileError | None = None
        self._exit: int | None = None
        self._interrupt: int | None = None
        self._access: tuple[int, int] | None = None
        self._uc: Any = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
        self._uc.ctl_set_cpu_model(core.model)  # before anything else, or the model is ignored
        self._map_memory()
        watches = [] if region is None else [Watch(region, WATCH_CONTEXT | WATCH_NOTIFY)]
        watches += [Watch(address, WATCH_CONTEXT) for address in watched]
        main = image.symbols.get("main")
        if main is not None:
            watches.append(Watch(main.address, WATCH_NOTIFY))
        self.profile = Profile(self._price, watches, self._on_crossed)
        self.profile.attach(self._uc)
        self.profile.check_alignment(self._uc, list(aligned_accesses(image)))
        self.bus = Bus(board, commands, lambda: self.profile.state.cycles, self._finish)
        self.semihosting = Semihosting(self._uc, files, lambda: self.profile.state.cycles, board.clock_hz)
        self._map_registers()
        self._uc.hook_add(UC_HOOK_INTR, self._on_interrupt)
        self._uc.hook_add(UC_HOOK_MEM_INVALID, self._on_invalid_access)

    def run(self, max_instructions: int, timeout_s: float) -> int:
        """Runs from reset to the end, and returns the exit status. Raises `EmulationFault`."""
        self._initial_stack, pc = struct.unpack("<II", self._uc.mem_read(self.image.vector_table(), 8))
        self._uc.reg_write(UC_ARM_REG_SP, self._initial_stack)
        self._paint()
        state, deadline = self.profile.state, time.monotonic() + timeout_s
        while self._exit is None:
            state.pause_at = min(state.instructions + SLICE, max_instructions)
            state.stop = RUNNING
            pc = self._resume(pc)
            if state.stop == PAUSED and state.instructions >= max_instructions:
                raise self._fault_at(pc, f"runs longer than {max_instructions:,} instructions")
            if time.monotonic() > deadline:
                raise self._fault_at(pc, f"runs longer than {timeout_s:g} s ({state.instructions:,} instructions)")
        return self._exit

    def memory(self, address: int, size: int) -> bytes:
        """The bytes at ``address``."""
        return bytes(self._uc.mem_read(address, size))

    def stack_bytes(self) -> int:
        """The deepest use of the stack in bytes, from the initial stack pointer down."""
        return max(self._deepest, self._painted_over())

    def _painted_over(self) -> int:
        """Bytes from the initial stack pointer down to the last one written since the stack was painted."""
        size = max(0, self._initial_stack - self._stack_bottom)
        now = np.frombuffer(self.memory(self._stack_bottom, size), np.uint8)
        changed = np.flatnonzero(now != np.frombuffer(paint(size, self.flip), np.uint8))
        return size - int(changed[0]) // 4 * 4 if len(changed) else 0

    def _map_memory(self) -> None:
        for region in self.board.memory:
            if region.origin % PAGE or region.size % PAGE:
                raise UsageError(
                    f"memory region {region.name!r} does not consist of whole pages of {PAGE} bytes",
                    where=self.board.name,
                    hint="round its size down in the board file",
                )
            is_flash = region.name == self.board.flash.name
            self._uc.mem_map(region.origin, region.size, UC_PROT_READ | UC_PROT_EXEC if is_flash else UC_PROT_ALL)
        code = [self.board.fast_code] if self.board.fast_code else []
        for ram in (*self.board.banks, *code):  # what RAM holds after power-up is anything but zeros
            self._uc.mem_write(ram.origin, noise(ram.size))
        for address, data in self.image.segments:
            if not any(r.origin <= address and address + len(data) <= r.end for r in self.board.memory):
                raise self._outside(address, len(data))
            self._uc.mem_write(address, data)

    def _outside(self, address: int, size: int) -> EmulationFault:
        return EmulationFault(
            f"the image loads {size:,} bytes at {address:#010x}, outside the memory of {self.board.name}",
            where=str(self.image.path),
            hint=f"it has {', '.join(_span(r) for r in self.board.memory)}",
        )

    def _map_registers(self) -> None:
        for origin, size in REGIONS:
            read = self._guard(lambda uc, offset, width, origin: self.bus.read(origin + offset, width))
            write = self._guard(lambda uc, offset, width, value, origin: self.bus.write(origin + offset, width, value))
            self._uc.mmio_map(origin, size, read, origin, write, origin)

    def _guard(self, callback: Callable[..., int | None]) -> Callable[..., int]:
        """Errors cannot pass through C: they are kept, and the core is stopped."""

        def guarded(*arguments: object) -> int:
            try:
                return callback(*arguments) or 0
            except TinycompileError as error:
                self._stop(error)
                return 0

        return guarded

    def _stop(self, fault: TinycompileError) -> None:
        self._fault = self._fault or fault
        self._uc.emu_stop()

    def _finish(self, status: int = 0) -> None:
        self._exit = status
        self._uc.emu_stop()

    def _price(self, origin: int, block: int, size: int) -> tuple[int, int] | None:
        try:
            return self._prices.price(origin, block, size, self._uc.mem_read, self.bus.fpu_is_on)
        except TinycompileError as error:
            self._fault = error
            return None

    def _paint(self) -> None:
        """At reset, in case there is no ``main``, and again at ``main``, as start-up code clears memory."""
        for address, size in self._painted:
            self._uc.mem_write(address, paint(size, self.flip))
        self._paint_stack()

    def _paint_stack(self) -> None:
        size = self._uc.reg_read(UC_ARM_REG_SP) - self._stack_bottom
        if size > 0:
            self._uc.mem_write(self._stack_bottom, paint(size, self.flip))

    def _on_crossed(self, watch: int, entering: bool) -> None:
        if not self.profile.is_context(watch):
            self.has_reached_main = True
            self._paint()
        elif entering:
            self._deepest = self.stack_bytes()
            self._region_stack = self._uc.reg_read(UC_ARM_REG_SP)
            self._paint_stack()
        else:
            lowest = self._initial_stack - self._painted_over()
            self.region_stack_bytes = max(self.region_stack_bytes, self._region_stack - lowest)

    def _on_interrupt(self, uc: Uc, number: int, _data: object) -> None:
        self._interrupt = number
        uc.emu_stop()

    def _on_invalid_access(self, uc: Uc, access: int, address: int, size: int, value: int, _data: object) -> bool:
        self._access = (access, address)
        return False

    def _resume(self, pc: int) -> int:
        """Runs until something stops the core, serves that, and returns where to go on."""
        self._interrupt = self._access = None
        error: UcError | None = None
        try:
            self._uc.emu_start(pc | 1, NO_STOP)
        except UcError as stopped:
            error = stopped
        pc = self._uc.reg_read(UC_ARM_REG_PC)
        if self._fault is not None:
            raise self._located(self._fault, pc)
        if self._access is not None:
            access, address = self._access
            raise self._fault_at(
                pc,
                f"{ACCESSES.get(access, 'accesses')} address {self.image.describe(address)}, "
                f"which {self.board.name} does not have" + (" or protects" if "PROT" in str(error) else ""),
            )
        if error is not None:
            what = "executes an undefined instruction" if error.errno == UC_ERR_INSN_INVALID else f"fails: {error}"
            raise self._fault_at(pc, what)
        if self._interrupt is not None:
            return self._serve_interrupt(pc)
        state = self.profile.state
        if state.stop == TABLE_FULL:
            self.profile.grow()
        elif state.stop == TOO_DEEP:
            raise self._fault_at(pc, "calls measured functions in a recursion without end")
        elif state.stop == UNALIGNED:
            raise self._fault_at(pc, "loads or stores words at an unaligned address")
        elif state.stop == RUNNING and self._exit is None:
            raise self._fault_at(pc, "sleeps, and no interrupt will ever wake it")
        return pc

    def _serve_interrupt(self, pc: int) -> int:
        code = struct.unpack("<H", self._uc.mem_read(pc, 2))[0]
        if self._interrupt == 7 and code == BKPT:
            operation, parameter = self._uc.reg_read(UC_ARM_REG_R0), self._uc.reg_read(UC_ARM_REG_R1)
            try:
                answer = self.semihosting.call(operation, parameter)
            except UcError as error:
                raise self._fault_at(
                    pc, f"hands semihosting a pointer outside its memory ({parameter:#010x})"
                ) from error
            if answer is None:
                raise self._fault_at(pc, f"calls semihosting operation {operation:#x}, which is not served")
            self._exit = self.semihosting.exit_status
            self._uc.reg_write(UC_ARM_REG_R0, answer)
            return pc + 2
        what = EXCEPTIONS.get(self._interrupt or 0, f"exception {self._interrupt}")
        raise self._fault_at(pc, f"stops with {what}")

    def _fault_at(self, pc: int, what: str) -> EmulationFault:
        said = bytes(self.semihosting.console + (self.bus.uart.output if self.bus.uart else b""))
        tail = said.decode("utf-8", "replace").strip().splitlines()[-3:]
        hint = f"the firmware's last words were: {' / '.join(tail)}" if tail else ""
        return EmulationFault(f"the firmware {what}", where=self.image.describe(pc), hint=hint)

    def _located(self, fault: TinycompileError, pc: int) -> TinycompileError:
        return fault if fault.where else self._fault_at(pc, fault.what)


def noise(size: int, seed: int = 0) -> bytes:
    """``size`` bytes of a fixed pseudo-random sequence."""
    return np.random.Generator(np.random.PCG64(seed)).bytes(size)


def paint(size: int, flip: int) -> bytes:
    """What a painted block of ``size`` bytes holds."""
    return bytes(np.frombuffer(noise(size, seed=1), np.uint8) ^ np.uint8(flip))


def _span(region: MemoryRegion) -> str:
    return f"{region.name} {region.origin:#010x}-{region.end - 1:#010x}"
