"""Read and check a board: a ``.toml`` that says what a chip has and how its image is laid out.

A board is data. Everything that depends on the chip family is in ``runtime_c/platform/<platform>``, whose
``platform.toml`` names the settings a board must give; this module checks both against each other, so that a
wrong board file is rejected before any compiler runs.
"""

from __future__ import annotations

import difflib
import itertools
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from tinycompile.errors import BoardError
from tinycompile.resources import folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Fpu = Literal["none", "sp", "dp"]
T = TypeVar("T")

#: The features that a board of each core may name.
CORES: Mapping[str, frozenset[str]] = {
    "cortex-m0plus": frozenset(),
    "cortex-m3": frozenset(),
    "cortex-m4": frozenset({"dsp", "fpu-sp"}),
    "cortex-m7": frozenset({"dsp", "fpu-sp", "fpu-dp"}),
    "cortex-m33": frozenset({"dsp", "fpu-sp"}),
    "cortex-m55": frozenset({"dsp", "fpu-sp", "fpu-dp", "mve"}),
    "cortex-m85": frozenset({"dsp", "fpu-sp", "fpu-dp", "mve"}),
}
#: Features that are part of the core itself: a board cannot leave them out.
_ALWAYS: Mapping[str, frozenset[str]] = {
    "cortex-m4": frozenset({"dsp"}),
    "cortex-m7": frozenset({"dsp"}),
    "cortex-m55": frozenset({"dsp"}),
    "cortex-m85": frozenset({"dsp"}),
}
_SIZE = re.compile(r"(\d+)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)
_UNIT = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class MemoryRegion:
    """One block of addressable memory: ``size`` bytes from address ``origin``."""

    name: str
    origin: int
    size: int

    @property
    def end(self) -> int:
        """The first address after the region."""
        return self.origin + self.size

    def __contains__(self, address: int) -> bool:
        return self.origin <= address < self.end


@dataclass(frozen=True)
class Isa:
    """What the core can execute, as far as kernels and compilers care."""

    core: str
    has_dsp: bool
    fpu: Fpu
    mve: bool


@dataclass(frozen=True)
class Pin:
    """A GPIO pin: ``port`` counts from 0 for A."""

    port: int
    number: int

    def __str__(self) -> str:
        return f"P{chr(ord('A') + self.port)}{self.number}"


@dataclass(frozen=True)
class Console:
    """The UART that the firmware talks on.

    ``base`` is the address of its registers, ``clock_hz`` the clock that feeds its baud rate generator,
    ``enable`` the address of the register and the number of the bit that switch its bus clock on. Pins are
    None where the UART is wired up without GPIO multiplexing.
    """

    base: int
    clock_hz: int
    baud: int
    low_power: bool = False
    enable: tuple[int, int] | None = None
    tx: Pin | None = None
    rx: Pin | None = None
    alternate: int = 0


@dataclass(frozen=True)
class Platform:
    """A ``platform.toml`` of ``runtime_c/platform``: C sources, constants, settings a board must give."""

    name: str
    sources: tuple[str, ...]
    settings: tuple[str, ...]
    defines: Mapping[str, int] = field(hash=False)
    pins: bool = False


@dataclass(frozen=True)
class Board:
    """A board: core, memory map, clock, console, and the numbers its platform and the cost model need."""

    name: str
    aliases: tuple[str, ...]
    core: str
    features: frozenset[str]
    clock_hz: int
    memory: tuple[MemoryRegion, ...]
    platform: Platform
    console: Console
    settings: Mapping[str, int] = field(default_factory=dict, hash=False)
    vectors: str = "flash"
    arena: tuple[str, ...] = ("sram",)
    """The regions that may hold parts of the arena, the one nearest to the core first."""
    code: str = "flash"
    """The region that start-up copies the busiest layers to; ``flash``: they run where they lie."""
    emulator: str | None = None
    qemu: str | None = None
    cycles: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def flash(self) -> MemoryRegion:
        """Where code and constants go."""
        return self.region("flash")

    @property
    def ram(self) -> MemoryRegion:
        """Where stack and variables go, and what of the arena is in no other bank."""
        return self.region("sram")

    @property
    def banks(self) -> tuple[MemoryRegion, ...]:
        """The regions that may hold parts of the arena, the one nearest to the core first."""
        return tuple(self.region(name) for name in self.arena)

    @property
    def fast_code(self) -> MemoryRegion | None:
        """Where the busiest layers run, if that is not the flash."""
        return None if self.code == "flash" else self.region(self.code)

    @property
    def isa(self) -> Isa:
        """What the core can execute."""
        fpu: Fpu = "dp" if "fpu-dp" in self.features else "sp" if "fpu-sp" in self.features else "none"
        return Isa(self.core, "dsp" in self.features, fpu, "mve" in self.features)

    @property
    def abilities(self) -> frozenset[str]:
        """What kernels may ask for: the features, and the name of the core."""
        return self.features | {self.core}

    def region(self, name: str) -> MemoryRegion:
        """The region called ``name``. Raises BoardError, naming those there are."""
        for region in self.memory:
            if region.name == name:
                return region
        known = ", ".join(r.name for r in self.memory)
        raise BoardError(f"no memory region {name!r}", where=self.name, hint=f"one of: {known}")

    def with_memory(self, overrides: Mapping[str, int]) -> Board:
        """The same board with other region sizes in bytes. Raises BoardError: unknown name, overlap."""
        for name, size in overrides.items():
            self.region(name)
            if size <= 0:
                raise BoardError(f"memory region {name!r} cannot have {size} bytes", where=self.name)
        memory = tuple(replace(r, size=overrides.get(r.name, r.size)) for r in self.memory)
        _check_overlaps(memory, self.name)
        return replace(self, memory=memory)


def load_board(name: str | Path) -> Board:
    """The board of that name or alias, or of the board file at that path.

    An alias may have a console of its own (``[console_of.<alias>]``). Raises BoardError: for an unknown name
    with the nearest known ones, for a wrong file with the key and what it may hold.
    """
    if str(name).endswith(".toml"):
        return _read(Path(name), alias=None)
    wanted = str(name).lower()
    index = _index()
    if wanted not in index:
        near = difflib.get_close_matches(wanted, index, n=4, cutoff=0.4)
        known = ", ".join(near or sorted(p.stem for p in set(index.values())))
        raise BoardError(f"unknown board {str(name)!r}", hint=f"{known}; or the path of your own .toml")
    return _read(index[wanted], alias=wanted)


def all_boards() -> tuple[Board, ...]:
    """Every board that ships with tinycompile, in order of name."""
    return tuple(_read(path, alias=None) for path in sorted(folder("boards").glob("*.toml")))


def parse_size(text: str | int) -> int:
    """Bytes from ``320K``, ``2M``, ``1G`` (powers of 1024) or a plain number. Raises ValueError."""
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a size such as 320K, 2M or 65536")
    return int(match[1]) * _UNIT[match[2].upper()]


@cache
def load_platform(name: str) -> Platform:
    """The platform in that folder of ``runtime_c/platform``. Raises BoardError, naming those there are."""
    root = folder("runtime_c") / "platform"
    path = root / name / "platform.toml"
    known = sorted(p.parent.name for p in root.glob("*/platform.toml"))
    if name not in known:
        raise BoardError(f"platform = {name!r} does not exist", hint=f"one of: {', '.join(known)}")
    table = _Table(_toml(path), str(path))
    platform = Platform(
        name=name,
        sources=table.strings("sources"),
        settings=table.strings("settings", ()),
        defines=table.numbers("defines"),
        pins=table.take("pins", bool, False),
    )
    table.done()
    return platform


def _index() -> dict[str, Path]:
    """Lower-case names and aliases to board files, read without checking, so one bad file hides no other."""
    index: dict[str, Path] = {}
    for path in sorted(folder("boards").glob("*.toml")):
        names = [path.stem, *_toml(path).get("aliases", ())]
        index.update({str(n).lower(): path for n in names})
    return index


def _toml(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BoardError(f"cannot read the board file: {error.strerror}", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BoardError(f"not a TOML file: {error}", where=str(path)) from error
    return values


def _read(path: Path, alias: str | None) -> Board:
    """The checked board of one file; ``alias`` chooses a console where the file has one of that name."""
    raw = _toml(path)
    consoles = raw.pop("console_of", {})
    if alias is not None and alias in consoles:
        raw["console"] = consoles[alias]
    table = _Table(raw, str(path))
    name = table.take("name", str)
    platform = _platform(table)
    core = table.choice("core", CORES)
    board = Board(
        name=name,
        aliases=table.strings("aliases", ()),
        core=core,
        features=_features(table, core),
        clock_hz=table.positive("clock_hz"),
        memory=_memory(table, name),
        platform=platform,
        console=_console(table, platform),
        settings=_settings(table, platform),
        vectors=table.take("vectors", str, "flash"),
        arena=table.strings("arena", ("sram",)),
        code=table.take("code", str, "flash"),
        emulator=table.take("emulator", str, "") or None,
        qemu=table.take("qemu", str, "") or None,
        cycles=table.reals("cycles"),
    )
    table.done()
    for needed in ("flash", "sram", board.vectors):
        if needed not in {r.name for r in board.memory}:
            raise table.wrong("memory", f"has no region {needed!r}", "regions flash, sram and others")
    _check_arena(table, board)
    _check_code(table, board)
    for other in consoles:
        if other not in board.aliases:
            raise table.wrong(f"console_of.{other}", "is no alias of this board", ", ".join(board.aliases))
    return board


def _check_arena(table: _Table, board: Board) -> None:
    """The arena's regions are there, each once, ``sram`` among them, and none holds code."""
    possible = [r.name for r in board.memory if r.name not in ("flash", board.vectors)]
    for name in board.arena:
        if name not in possible:
            what = "holds code" if name in {r.name for r in board.memory} else "is no region of this board"
            raise table.wrong("arena", f"names {name!r}, which {what}", ", ".join(possible))
    if len(set(board.arena)) != len(board.arena):
        raise table.wrong("arena", f"is {list(board.arena)!r}", "each region once, the nearest to the core first")
    if "sram" not in board.arena:
        raise table.wrong("arena", f"is {list(board.arena)!r}", "a list with 'sram' in it")


def _check_code(table: _Table, board: Board) -> None:
    """The region that layers are copied to is there and holds no data, and its core has calls that reach it."""
    possible = [r.name for r in board.memory if r.name not in board.arena]
    if board.code not in possible:
        what = "holds data" if board.code in board.arena else "is no region of this board"
        raise table.wrong("code", f"names {board.code!r}, which {what}", ", ".join(possible))
    if board.code != "flash" and board.core == "cortex-m0plus":  # linkers make long calls through its stack there
        raise table.wrong("code", f"is {board.code!r}", "flash; another region wants a core with Thumb-2")


def _platform(table: _Table) -> Platform:
    try:
        return load_platform(table.take("platform", str))
    except BoardError as error:
        if error.where:
            raise
        raise BoardError(error.what, where=table.where, hint=error.hint) from None


def _features(table: _Table, core: str) -> frozenset[str]:
    features = frozenset(table.strings("features", ()))
    unknown = features - CORES[core]
    allowed = ", ".join(sorted(CORES[core])) or "nothing"
    if unknown:
        raise table.wrong("features", f"has {', '.join(sorted(unknown))}, which no {core} has", allowed)
    missing = _ALWAYS.get(core, frozenset()) - features
    if missing:
        raise table.wrong("features", f"lacks {', '.join(sorted(missing))}, which every {core} has", allowed)
    if {"fpu-sp", "fpu-dp"} <= features:
        raise table.wrong("features", "has both fpu-sp and fpu-dp", "one of them: fpu-dp includes fpu-sp")
    return features


def _memory(table: _Table, board: str) -> tuple[MemoryRegion, ...]:
    regions = []
    for entry in table.tables("memory"):
        region = MemoryRegion(entry.take("name", str), entry.take("origin", int), entry.size("size"))
        entry.done()
        if not re.fullmatch(r"[a-z][a-z0-9_]*", region.name):
            raise entry.wrong("name", f"is {region.name!r}", "lower-case letters, digits and _")
        if region.origin < 0 or region.end > 1 << 32:
            raise entry.wrong("origin", f"puts {region.name} beyond 32-bit addresses", "0 to 0xFFFF_FFFF")
        regions.append(region)
    if len({r.name for r in regions}) != len(regions):
        raise table.wrong("memory", "has two regions of the same name", "a name of its own for each")
    _check_overlaps(regions, table.where or board)
    return tuple(regions)


def _check_overlaps(memory: Iterable[MemoryRegion], where: str) -> None:
    ordered = sorted(memory, key=lambda r: r.origin)
    for low, high in itertools.pairwise(ordered):
        if low.end > high.origin:
            raise BoardError(
                f"memory regions {low.name} ({low.origin:#x} to {low.end:#x}) and {high.name} "
                f"(from {high.origin:#x}) overlap",
                where=where,
                hint=f"at most {high.origin - low.origin:,} bytes for {low.name}",
            )


def _console(table: _Table, platform: Platform) -> Console:
    entry = table.table("console")
    enable = entry.take("enable", list, [])
    if enable and not (len(enable) == 2 and all(type(v) is int for v in enable)):
        raise entry.wrong("enable", f"is {enable!r}", "[address of the register, number of the bit]")
    console = Console(
        base=entry.take("base", int),
        clock_hz=entry.positive("clock_hz"),
        baud=entry.positive("baud"),
        low_power=entry.take("low_power", bool, False),
        enable=(enable[0], enable[1]) if enable else None,
        tx=entry.pin("tx"),
        rx=entry.pin("rx"),
        alternate=entry.take("alternate", int, 0),
    )
    entry.done()
    if platform.pins and None in (console.enable, console.tx, console.rx):
        raise entry.wrong("enable, tx, rx", f"must all be there on {platform.name}", 'for example tx = "PA9"')
    return console


def _settings(table: _Table, platform: Platform) -> Mapping[str, int]:
    settings = table.numbers("settings")
    if set(settings) != set(platform.settings):
        odd = sorted(set(settings) ^ set(platform.settings))
        raise table.wrong(
            "settings", f"must hold exactly what platform {platform.name} asks for; see to {', '.join(odd)}",
            ", ".join(platform.settings) or "nothing",
        )  # fmt: skip
    return settings


_KINDS: Mapping[type, str] = {
    str: "a text", int: "an integer", bool: "true or false", list: "a list", dict: "a table",
}  # fmt: skip


class _Table:
    """A TOML table that is read key by key; what is left at the end was a mistake."""

    def __init__(self, values: Mapping[str, Any], where: str, prefix: str = "") -> None:
        self.values, self.where, self.prefix = dict(values), where, prefix
        self.known: list[str] = []

    def wrong(self, key: str, what: str, allowed: str) -> BoardError:
        return BoardError(f"{self.prefix}{key} {what}", where=self.where, hint=f"allowed: {allowed}")

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        self.known.append(key)
        value = self.values.pop(key, default)
        if value is None:
            raise self.wrong(key, "is missing", _KINDS[kind])
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.wrong(key, f"is {value!r}", _KINDS[kind])
        return value

    def positive(self, key: str) -> int:
        value = self.take(key, int)
        if value <= 0:
            raise self.wrong(key, f"is {value}", "a number above 0")
        return value

    def choice(self, key: str, allowed: Iterable[str]) -> str:
        value = self.take(key, str)
        if value not in allowed:
            raise self.wrong(key, f"is {value!r}", ", ".join(allowed))
        return value

    def size(self, key: str) -> int:
        value = self.values.pop(key, None)
        self.known.append(key)
        try:
            size = parse_size(value) if type(value) in (str, int) else 0
        except ValueError:
            size = 0
        if size <= 0:
            raise self.wrong(key, f"is {value!r}", 'a size such as "320K", "2M" or 65536')
        return size

    def strings(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self.take(key, list, None if default is None else list(default))
        if not all(isinstance(v, str) for v in value):
            raise self.wrong(key, f"is {value!r}", "a list of strings")
        return tuple(value)

    def table(self, key: str) -> _Table:
        return _Table(self.take(key, dict), self.where, f"{self.prefix}{key}.")

    def tables(self, key: str) -> list[_Table]:
        value = self.take(key, list)
        if not value or not all(isinstance(v, dict) for v in value):
            raise self.wrong(key, f"is {value!r}", "a list of tables")
        return [_Table(v, self.where, f"{self.prefix}{key}[{i}].") for i, v in enumerate(value)]

    def numbers(self, key: str) -> Mapping[str, int]:
        value = self.take(key, dict, {})
        if not all(type(v) is int and v >= 0 for v in value.values()):
            raise self.wrong(key, f"is {value!r}", "names with whole numbers from 0")
        return dict(value)

    def reals(self, key: str) -> Mapping[str, float]:
        value = self.take(key, dict, {})
        if not all(type(v) in (int, float) and v >= 0 for v in value.values()):
            raise self.wrong(key, f"is {value!r}", "names with numbers from 0")
        return {name: float(v) for name, v in value.items()}

    def pin(self, key: str) -> Pin | None:
        value = self.take(key, str, "")
        if not value:
            return None
        match = re.fullmatch(r"P([A-K])(\d|1[0-5])", value)
        if not match:
            raise self.wrong(key, f"is {value!r}", "a pin such as PA9: a port from A to K, a number from 0 to 15")
        return Pin(ord(match[1]) - ord("A"), int(match[2]))

    def done(self) -> None:
        for key in self.values:
            near = difflib.get_close_matches(key, self.known, n=1)
            guess = f"; did you mean {near[0]}?" if near else ""
            raise self.wrong(key, f"is no known key{guess}", ", ".join(self.known))
