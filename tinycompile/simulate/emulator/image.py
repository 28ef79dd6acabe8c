"""A firmware image as the emulator sees it: the bytes to flash, and the symbols to name addresses with."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from tinycompile.deploy.image import source_name
from tinycompile.errors import UsageError

VECTOR_TABLES = ("tc_vectors", "g_pfnVectors", "__Vectors", "__isr_vector", "vectors", "vec")


@dataclass(frozen=True)
class Symbol:
    """A name in the image: its address (Thumb bit cleared), its size in bytes, and whether it is code."""

    name: str
    address: int
    size: int
    is_code: bool


@dataclass(frozen=True)
class Image:
    """What a programmer writes to the chip, ``segments`` of (load address, bytes), and the symbols of the ELF
    file.
    """

    path: Path
    segments: tuple[tuple[int, bytes], ...]
    symbols: Mapping[str, Symbol]
    marks: tuple[tuple[int, str], ...] = ()
    """Mapping symbols, ``$t`` where code and ``$d`` where data begins, by address."""
    homes: tuple[int, ...] = ()
    """For each segment, the address at which the program runs or reads it, to which start-up may copy it; without
    them that is the load address."""

    def thumb_code(self) -> Iterator[tuple[int, bytes]]:
        """The pieces of code, with their addresses, as far as mapping symbols tell them from data."""
        homes = self.homes or tuple(address for address, _ in self.segments)
        for (start, kind), (end, _) in pairwise((*self.marks, (1 << 32, "$d"))):
            for address, (_, data) in zip(homes, self.segments, strict=True):
                if kind == "$t" and address <= start < address + len(data):
                    yield start, data[start - address : end - address]

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        """Code symbols by address, one an address."""
        first: dict[int, Symbol] = {}
        for symbol in self.symbols.values():
            if symbol.is_code:
                first.setdefault(symbol.address, symbol)
        return tuple(first[a] for a in sorted(first))

    @cached_property
    def _starts(self) -> list[int]:
        return [f.address for f in self.functions]

    def function_at(self, address: int) -> Symbol | None:
        """The function that holds ``address``; assembler symbols without a size reach to the next symbol."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        found = self.functions[index]
        return found if not found.size or address < found.address + found.size else None

    def describe(self, address: int) -> str:
        """``name+0x12 (0x08000112)`` for code, else the bare address: for messages."""
        function = self.function_at(address)
        if function is None:
            return f"{address:#010x}"
        offset = address - function.address
        return f"{function.name}{f'+{offset:#x}' if offset else ''} ({address:#010x})"

    def vector_table(self) -> int:
        """Address of the vector table: a symbol of a usual name, else the lowest loaded address."""
        for name in VECTOR_TABLES:
            if name in self.symbols:
                return self.symbols[name].address
        return min(address for address, _ in self.segments)


def read_image(path: Path) -> Image:
    """Reads an ELF file; raises `UsageError` for a file that is missing or no 32-bit Arm executable."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32:
                raise UsageError(f"is an ELF file for {elf['e_machine']}, not for Arm", where=str(path))
            loads = [s for s in elf.iter_segments("PT_LOAD") if s["p_filesz"]]
            segments = tuple((s["p_paddr"], s.data()) for s in loads)
            homes = tuple(s["p_vaddr"] for s in loads)
            table = elf.get_section_by_name(".symtab")
            symbols, marks = _symbols(table), _marks(table)
    except (OSError, ELFError) as error:
        raise UsageError(f"cannot be read as an ELF file: {error}", where=str(path)) from error
    if not segments:
        raise UsageError("holds nothing to load", where=str(path), hint="link it with a board's linker script")
    return Image(path, segments, symbols, marks, homes)


def _marks(table: object) -> tuple[tuple[int, str], ...]:
    if table is None:
        return ()
    entries = ((e["st_value"], e.name[:2]) for e in table.iter_symbols())  # type: ignore[attr-defined]
    return tuple(sorted((address & ~1, mark) for address, mark in entries if mark in ("$t", "$d")))


def _symbols(table: object) -> dict[str, Symbol]:
    if table is None:
        return {}
    found: dict[str, Symbol] = {}
    for entry in table.iter_symbols():  # type: ignore[attr-defined]
        kind, name = entry["st_info"]["type"], source_name(entry.name)
        if not name or name.startswith("$") or entry["st_shndx"] == "SHN_UNDEF" or kind in ("STT_FILE", "STT_SECTION"):
            continue
        is_code = kind == "STT_FUNC"
        found.setdefault(
            name,
            Symbol(name, entry["st_value"] & ~1 if is_code else entry["st_value"], entry["st_size"], is_code),
        )
    return found
