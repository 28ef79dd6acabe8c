"""A linked image: what lies where, whether that is on the board, and its .bin and .hex forms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinycompile.boards import Board, MemoryRegion
from tinycompile.errors import DoesNotFit, InternalError

_EXECUTABLE, _WRITABLE, _ALLOCATED = 4, 1, 2
#: What GCC appends to a static function that it rewrote for the arguments of its only callers.
_REWRITTEN = re.compile(r"(\.(constprop|isra)\.\d+)+$")


@dataclass(frozen=True)
class Segment:
    """Bytes to be programmed at ``address`` before the chip starts.

    Start-up code copies some of them to where the program finds them, ``home``; None: they stay.
    """

    address: int
    data: bytes
    home: int | None = None

    @property
    def runs_at(self) -> int:
        """The address by which the program knows the first byte."""
        return self.address if self.home is None else self.home


@dataclass(frozen=True)
class Section:
    """One allocated section of an image: where it lies when the program runs, and how much of it is in the
    file.
    """

    name: str
    address: int
    size: int
    in_flash: bool
    executable: bool
    writable: bool

    def __contains__(self, address: int) -> bool:
        return self.address <= address < self.address + self.size


@dataclass(frozen=True)
class Symbol:
    """A named function or object of an image; ``address`` without the Thumb bit."""

    name: str
    address: int
    size: int
    is_function: bool


@dataclass(frozen=True)
class Sizes:
    """Bytes by kind of section. ``bss`` holds everything in RAM without an initial value: the arena too, not
    the stack.
    """

    text: int
    rodata: int
    data: int
    bss: int


@dataclass(frozen=True)
class Image:
    """The parts of an ELF file that matter for a chip without an operating system."""

    entry: int
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    @property
    def sizes(self) -> Sizes:
        """Section sizes, in bytes."""
        text = sum(s.size for s in self.sections if s.executable)
        rodata = sum(s.size for s in self.sections if s.in_flash and not s.executable and not s.writable)
        data = sum(s.size for s in self.sections if s.in_flash and s.writable and not s.executable)
        bss = sum(s.size for s in self.sections if not s.in_flash and s.name != ".stack")
        return Sizes(text, rodata, data, bss)

    def used(self, region: MemoryRegion) -> int:
        """Bytes of ``region`` between the lowest and the highest byte that is programmed or set aside, gaps
        included.
        """
        ends = [(s.address, s.address + len(s.data)) for s in self.segments]
        ends += [(s.address, s.address + s.size) for s in self.sections]
        inside = [(low, high) for low, high in ends if low in region]
        return max(high for _, high in inside) - min(low for low, _ in inside) if inside else 0

    def programmed(self, region: MemoryRegion) -> int:
        """Bytes of ``region`` between the lowest and the highest byte that is programmed, gaps included."""
        ends = [(s.address, s.address + len(s.data)) for s in self.segments if s.address in region]
        return max(high for _, high in ends) - min(low for low, _ in ends) if ends else 0

    def section(self, name: str) -> Section | None:
        """The section of that name, None where it is empty."""
        return next((section for section in self.sections if section.name == name), None)

    def symbol(self, name: str) -> Symbol:
        """The symbol of that name. Raises InternalError: our images hold what we ask them for."""
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol
        raise InternalError(f"the image has no symbol {name!r}")


def read_image(path: Path) -> Image:
    """Read an ELF file made by ``build_firmware``."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        loads = (s for s in elf.iter_segments("PT_LOAD") if s["p_filesz"])
        segments = (Segment(int(s["p_paddr"]), s.data(), _home(s["p_paddr"], s["p_vaddr"])) for s in loads)
        return Image(int(elf["e_entry"]), tuple(sorted(segments, key=_address)), _sections(elf), _symbols(elf))


def _home(load: int, address: int) -> int | None:
    return None if load == address else address


def source_name(symbol: str) -> str:
    """The name in the C source of the function behind an ELF symbol: ``f`` for GCC's ``f.constprop.0``."""
    return _REWRITTEN.sub("", symbol)


def _address(part: Segment | Symbol) -> int:
    return part.address


def _sections(elf: ELFFile) -> tuple[Section, ...]:
    return tuple(
        Section(
            name=s.name,
            address=int(s["sh_addr"]),
            size=int(s["sh_size"]),
            in_flash=s["sh_type"] != "SHT_NOBITS",
            executable=bool(s["sh_flags"] & _EXECUTABLE),
            writable=bool(s["sh_flags"] & _WRITABLE),
        )
        for s in elf.iter_sections()
        if s["sh_flags"] & _ALLOCATED and s["sh_size"]
    )


def _symbols(elf: ELFFile) -> tuple[Symbol, ...]:
    table = elf.get_section_by_name(".symtab")
    found = []
    for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
        kind = symbol["st_info"]["type"]
        if symbol["st_shndx"] == "SHN_UNDEF" or (kind not in ("STT_FUNC", "STT_OBJECT") and not symbol.name):
            continue
        if kind in ("STT_FILE", "STT_SECTION"):
            continue
        is_function = kind == "STT_FUNC"
        address = int(symbol["st_value"]) & (~1 if is_function else ~0)
        found.append(Symbol(source_name(symbol.name), address, int(symbol["st_size"]), is_function))
    return tuple(sorted(found, key=_address))


def check_placement(image: Image, board: Board) -> None:
    """Every section and segment must lie whole in one region of the board. Raises DoesNotFit with the
    numbers.
    """
    parts = [(s.name, s.address, s.size) for s in image.sections]
    parts += [(f"load image at {s.address:#010x}", s.address, len(s.data)) for s in image.segments]
    for name, address, size in parts:
        region = _region_of(address, board.memory)
        if region is None:
            raise InternalError(f"{name} at {address:#010x} lies in no memory of {board.name}")
        if address + size > region.end:
            raise DoesNotFit(
                f"{name} does not fit on {board.name}",
                memory=region.name,
                needed=address + size - region.origin,
                available=region.size,
            )


def _region_of(address: int, regions: Sequence[MemoryRegion]) -> MemoryRegion | None:
    return next((r for r in regions if address in r), None)


def to_bin(segments: Sequence[Segment]) -> bytes:
    """The raw bytes from the lowest segment on, gaps filled with 0xFF as erased flash reads."""
    start = segments[0].address
    raw = bytearray()
    for segment in segments:
        raw += b"\xff" * (segment.address - start - len(raw))
        raw += segment.data
    return bytes(raw)


def to_hex(segments: Sequence[Segment], entry: int) -> str:
    """Intel HEX with 32-bit addresses (records 00, 01, 04, 05), 16 bytes a line."""
    lines = []
    upper = -1
    for address, data in _rows(segments):
        if address >> 16 != upper:
            upper = address >> 16
            lines.append(_record(0, 4, upper.to_bytes(2, "big")))
        lines.append(_record(address & 0xFFFF, 0, data))
    lines.append(_record(0, 5, entry.to_bytes(4, "big")))
    lines.append(_record(0, 1, b""))
    return "\n".join(lines) + "\n"


def _rows(segments: Sequence[Segment]) -> Iterator[tuple[int, bytes]]:
    """Rows of at most 16 bytes that start at a multiple of 16 where they can, so none crosses a 64 KiB
    border.
    """
    for segment in segments:
        position = 0
        while position < len(segment.data):
            address = segment.address + position
            count = 16 - address % 16
            yield address, segment.data[position : position + count]
            position += count


def _record(address: int, kind: int, data: bytes) -> str:
    body = bytes([len(data), address >> 8, address & 0xFF, kind]) + data
    return f":{body.hex().upper()}{-sum(body) & 0xFF:02X}"
