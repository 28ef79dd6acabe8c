"""Semihosting (Arm IHI 0060): the calls firmware makes with BKPT 0xAB. Files live in a dictionary, never on
the disk.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

BKPT = 0xBEAB
ADP_APPLICATION_EXIT = 0x20026
FAILED = 0xFFFFFFFF
ENOENT, EBADF = 2, 9


class Memory(Protocol):
    """The memory of the emulated machine."""

    def mem_read(self, address: int, size: int) -> bytearray: ...
    def mem_write(self, address: int, data: bytes) -> None: ...


@dataclass
class _Open:
    name: str
    position: int = 0
    writes: bool = False


class Semihosting:
    """The host's side. ``files`` holds the contents by name, ``console`` what was printed, ``exit_status``
    the end.

    ``cycles`` gives the time for the clock calls, ``clock_hz`` its rate.
    """

    def __init__(
        self,
        memory: Memory,
        files: Mapping[str, bytes],
        cycles: Callable[[], int],
        clock_hz: int,
        command_line: str = "",
    ) -> None:
        self.files = {name: bytearray(data) for name, data in files.items()}
        self.console = bytearray()
        self.exit_status: int | None = None
        self._memory, self._cycles, self._clock_hz, self._command_line = (
            memory,
            cycles,
            clock_hz,
            command_line,
        )
        self._open: dict[int, _Open] = {}
        self._errno = 0
        self._calls: dict[int, Callable[[int], int]] = {
            0x01: self._sys_open,
            0x02: self._sys_close,
            0x03: self._sys_writec,
            0x04: self._sys_write0,
            0x05: self._sys_write,
            0x06: self._sys_read,
            0x09: self._sys_istty,
            0x0A: self._sys_seek,
            0x0C: self._sys_flen,
            0x10: lambda p: self._cycles() * 100 // self._clock_hz & FAILED,
            0x11: lambda p: self._cycles() // self._clock_hz & FAILED,
            0x13: lambda p: self._errno,
            0x15: self._sys_get_cmdline,
            0x18: self._sys_exit,
            0x20: self._sys_exit_extended,
            0x30: self._sys_elapsed,
            0x31: lambda p: self._clock_hz,
        }

    def call(self, operation: int, parameter: int) -> int | None:
        """Serves one call: r0, r1 to the new r0; None for an operation that is not served."""
        served = self._calls.get(operation)
        return None if served is None else served(parameter)

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self._memory.mem_read(address, 4 * count))

    def _string(self, address: int) -> bytes:
        found = bytearray()
        while True:
            byte = self._memory.mem_read(address + len(found), 1)
            if byte == b"\0":
                return bytes(found)
            found += byte

    def _fail(self, errno: int) -> int:
        self._errno = errno
        return FAILED

    def _sys_open(self, block: int) -> int:
        pointer, mode, length = self._words(block, 3)
        name = bytes(self._memory.mem_read(pointer, length)).decode("utf-8", "replace")
        base = "rwa"[mode // 4 % 3]
        if name != ":tt":
            if base == "r" and name not in self.files:
                return self._fail(ENOENT)
            if base == "w":
                self.files[name] = bytearray()
            self.files.setdefault(name, bytearray())
        handle = max(self._open, default=0) + 1
        start = len(self.files[name]) if base == "a" and name != ":tt" else 0
        self._open[handle] = _Open(name, start, writes=base != "r" or bool(mode & 2))
        return handle

    def _sys_close(self, block: int) -> int:
        return 0 if self._open.pop(self._words(block, 1)[0], None) else self._fail(EBADF)

    def _sys_writec(self, address: int) -> int:
        self.console += self._memory.mem_read(address, 1)
        return 0

    def _sys_write0(self, address: int) -> int:
        self.console += self._string(address)
        return 0

    def _sys_write(self, block: int) -> int:
        handle, pointer, length = self._words(block, 3)
        file = self._open.get(handle)
        if file is None or not file.writes:
            self._errno = EBADF
            return length
        data = self._memory.mem_read(pointer, length)
        if file.name == ":tt":
            self.console += data
            return 0
        content = self.files[file.name]
        content.extend(bytes(max(0, file.position - len(content))))
        content[file.position : file.position + length] = data
        file.position += length
        return 0

    def _sys_read(self, block: int) -> int:
        handle, pointer, length = self._words(block, 3)
        file = self._open.get(handle)
        if file is None or file.name == ":tt":
            self._errno = EBADF
            return length
        data = bytes(self.files[file.name][file.position : file.position + length])
        if data:
            self._memory.mem_write(pointer, data)
        file.position += len(data)
        return length - len(data)

    def _sys_istty(self, block: int) -> int:
        file = self._open.get(self._words(block, 1)[0])
        return self._fail(EBADF) if file is None else int(file.name == ":tt")

    def _sys_seek(self, block: int) -> int:
        handle, position = self._words(block, 2)
        file = self._open.get(handle)
        if file is None or file.name == ":tt":
            return self._fail(EBADF)
        file.position = position
        return 0

    def _sys_flen(self, block: int) -> int:
        file = self._open.get(self._words(block, 1)[0])
        if file is None:
            return self._fail(EBADF)
        return 0 if file.name == ":tt" else len(self.files[file.name])

    def _sys_get_cmdline(self, block: int) -> int:
        pointer, size = self._words(block, 2)
        line = self._command_line.encode() + b"\0"
        if len(line) > size:
            return FAILED
        self._memory.mem_write(pointer, line)
        self._memory.mem_write(block + 4, struct.pack("<I", len(line) - 1))
        return 0

    def _sys_exit(self, reason: int) -> int:
        self.exit_status = 0 if reason == ADP_APPLICATION_EXIT else 1
        return 0

    def _sys_exit_extended(self, block: int) -> int:
        reason, status = self._words(block, 2)
        self.exit_status = status if reason == ADP_APPLICATION_EXIT else 1
        return 0

    def _sys_elapsed(self, block: int) -> int:
        self._memory.mem_write(block, struct.pack("<Q", self._cycles()))
        return 0
