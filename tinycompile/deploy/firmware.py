"""Build the firmware image of a board: the model's C, our start-up code and main loop, and nothing else."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinycompile import __version__
from tinycompile.boards import Board, all_boards
from tinycompile.deploy.fast_code import SECTION, FastCode, chosen, copied
from tinycompile.deploy.image import Image, Sizes, check_placement, read_image, to_bin, to_hex
from tinycompile.deploy.needs import ROOMY, Needs, check_sram, needs, roomy
from tinycompile.deploy.platform import Console, board_header, board_sources, include_folders, linker_script
from tinycompile.deploy.sources import Sources, write_sources
from tinycompile.deploy.stack import StackBound, stack_bounds
from tinycompile.deploy.toolchain import WARNINGS, Toolchain, Unit, compile_units, find_toolchain
from tinycompile.errors import DoesNotFit, ToolchainError

_RESET, _FAULT = "Reset_Handler", "tc_fault_entry"
#: What the core pushes when a fault strikes at the deepest point: 26 words with FPU state, and alignment.
_EXCEPTION_FRAME = 112
#: The largest alignment in the linker script: a stack of a multiple of it moves nothing else by more or less.
_STACK_ALIGN = 16
#: ld.lld: "in region 'flash': overflowed by 1234 bytes"; GNU ld: "region `flash' overflowed by 1234 bytes".
_OVERFLOW = re.compile(r"region\s+[`'\"](\w+)['\"]:?\s+overflowed by (\d+) bytes")


@dataclass(frozen=True)
class Firmware:
    """A built image.

    Sizes are bytes, with the gaps that alignment leaves. ``flash_bytes`` is what is programmed,
    ``static_ram_bytes`` everything in RAM but the stack, all parts of the arena included; ``stack`` bounds the
    whole image from reset and ``run_stack`` the inference function; ``stack_reserved`` is what the image sets
    aside; ``needs`` says what RAM is used for, ``fast_code`` what runs from the board's memory for code, which is
    none of that RAM. ``symbols`` maps function and object names to sizes. ``bin`` is the
    content of the flash alone: a board whose vectors lie elsewhere boots from ``elf`` or ``hex``.
    """

    elf: Path
    bin: Path
    hex: Path
    board: Board
    console: Console
    sizes: Sizes
    flash_bytes: int
    static_ram_bytes: int
    stack: StackBound
    run_stack: StackBound
    stack_reserved: int
    needs: Needs
    keeps_input: bool
    fast_code: FastCode | None
    symbols: Mapping[str, int] = field(repr=False, hash=False)


def build_firmware(
    sources: Sources,
    board: Board,
    out_dir: Path,
    *,
    console: Console = "uart",
    checked: bool = False,
    keep_input: bool | None = None,
    sram: int | None = None,
    heat: Mapping[str, float] | None = None,
    weights_in_ram: bool = False,
    toolchain: Toolchain | None = None,
    optimize: str = "-O2",
) -> Firmware:
    """Compile and link the image of ``sources`` for ``board`` into ``out_dir/firmware.{elf,bin,hex}``.

    ``console``: the serial protocol over the board's UART, or one inference from input.bin to output.bin over
    semihosting. ``checked`` defines TC_CHECKED. With ``keep_input`` the serial image has a buffer for the whole
    input, so that one load serves many inferences; None: where the RAM allows, but not for an input that is
    streamed, whose rows are then pushed as they come in. ``sram`` bounds what the image may use of all RAM, stack
    included. ``heat`` tells the predicted cycles of functions: where the board has a memory for code, the busiest
    are copied there. ``weights_in_ram``: the constants of the model are copied to the main SRAM and read from there.
    Raises DoesNotFit with bytes and region, ToolchainError
    with the compiler's output, InternalError where the stack has no bound.
    """
    compiler = toolchain or find_toolchain()
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tinycompile-") as folder:
        heat = {sources.entry: 0.0, **heat} if heat else {}  # the caller of all, where there is room for all
        weights = f"*-{sources.name}_weights.o" if weights_in_ram else None
        build = _Build(compiler, board, console, Path(folder), optimize, checked, sram, heat, weights)
        model = build.compile_model(sources)
        if keep_input is not None or sources.push is not None:
            return build.link(sources, model, out_dir, keep_input=bool(keep_input))
        try:
            return build.link(sources, model, out_dir, keep_input=True)
        except DoesNotFit as error:
            if console == "semihosting" or error.memory != board.ram.name:
                raise
            return build.link(sources, model, out_dir, keep_input=False)


@dataclass(frozen=True)
class _Build:
    """One build: compiler, board and a scratch folder."""

    toolchain: Toolchain
    board: Board
    console: Console
    folder: Path
    optimize: str
    checked: bool
    sram: int | None
    heat: Mapping[str, float]
    weights: str | None
    """The object file whose constants are read from RAM, as linker scripts name it."""

    def compile_model(self, sources: Sources) -> list[Path]:
        """Write out the model's files and the board header; the objects of the model."""
        files = write_sources(sources, self.folder / "src")
        (self.folder / "src" / "tc_board.h").write_text(board_header(self.board), encoding="utf-8")
        return self._compile(files, "model", self.optimize, builtins=True)

    def link(self, sources: Sources, model: Sequence[Path], out_dir: Path, *, keep_input: bool) -> Firmware:
        """Link to learn how deep the stack gets, then with a stack of that size.

        The first links have all the RAM that they can want, so that what does not fit is known to the byte.
        """
        system = self._compile(
            board_sources(self.board, self.console), f"system{keep_input:d}",
            "-Os", f"-DTC_FIRMWARE_KEEP_INPUT={keep_input:d}", builtins=False,
        )  # fmt: skip
        elf = self.folder / "firmware.elf"
        image, fast = self._measured([*system, *model], elf)
        bounds = stack_bounds(image, (_RESET, _FAULT, sources.entry))
        deepest = bounds[_RESET].bytes + bounds[_FAULT].bytes + _EXCEPTION_FRAME
        reserved = -(-deepest // _STACK_ALIGN) * _STACK_ALIGN
        found = needs(image, self.board, linked_stack=_STACK_ALIGN, stack=reserved)
        check_sram(found, self.board, self.sram)
        self._link([*system, *model], elf, self.board, stack_bytes=reserved, fast=fast)
        image = read_image(elf)
        check_placement(image, self.board)
        keeps_input = keep_input and self.console == "uart"
        return self._publish(image, elf, out_dir, (bounds[_RESET], bounds[sources.entry]), found, keeps_input, fast)

    def _measured(self, objects: Sequence[Path], elf: Path) -> tuple[Image, tuple[str, ...]]:
        """The image with the least stack, in all the RAM that it can want; and the functions that run from the
        board's memory for code.

        Those are chosen by the sizes in an image where all run from flash. Only when functions are linked elsewhere is
        it known what long calls add, and which cannot be moved: the compiler's own may be in no section with a name.
        So first all are moved; if that is too much, fewer and fewer.
        """
        board, region = roomy(self.board), self.board.fast_code
        self._link(objects, elf, board, stack_bytes=_STACK_ALIGN)
        plain = read_image(elf)
        room, fixed = ROOMY, frozenset[str]()
        while region is not None and (fast := chosen(plain, self.heat, room, fixed)):
            self._link(objects, elf, board, stack_bytes=_STACK_ALIGN, fast=fast)
            image = read_image(elf)
            fixed |= set(fast) - copied(image)
            excess = image.used(region) - region.size
            if excess <= 0:
                return image, tuple(name for name in fast if name not in fixed)
            room = min(room - excess, region.size - plain.used(region))
        return plain, ()

    def _publish(
        self,
        image: Image,
        elf: Path,
        out_dir: Path,
        stack: tuple[StackBound, StackBound],
        found: Needs,
        keeps_input: bool,
        fast: tuple[str, ...],
    ) -> Firmware:
        paths = {kind: out_dir / f"firmware.{kind}" for kind in ("elf", "bin", "hex")}
        paths["elf"].write_bytes(elf.read_bytes())
        paths["bin"].write_bytes(to_bin([s for s in image.segments if s.address in self.board.flash]))
        paths["hex"].write_text(to_hex(image.segments, image.entry), encoding="ascii", newline="\n")
        sizes, code = image.sizes, image.section(SECTION)
        return Firmware(
            **paths,
            board=self.board,
            console=self.console,
            sizes=sizes,
            flash_bytes=sum(image.programmed(region) for region in self.board.memory),
            static_ram_bytes=sum(image.used(region) for region in self.board.banks) - found.stack,
            stack=stack[0],
            run_stack=stack[1],
            stack_reserved=found.stack,
            needs=found,
            keeps_input=keeps_input,
            fast_code=FastCode(self.board.code, code.size, fast) if code else None,
            symbols={s.name: s.size for s in image.symbols if s.size},
        )

    def _compile(self, files: Sequence[Path], group: str, *flags: str, builtins: bool) -> list[Path]:
        includes = (self.folder / "src", *include_folders())
        common = (
            *self.toolchain.firmware_flags(self.board.isa, builtins=builtins),
            *WARNINGS,
            *(f"-I{path}" for path in includes),
            f'-DTC_FIRMWARE_VERSION="{__version__}"',
            *(("-DTC_CHECKED=1",) if self.checked else ()),
            *flags,
        )
        objects = self.folder / group
        objects.mkdir(exist_ok=True)
        units = [Unit(file, common, objects / f"{number}-{file.stem}.o") for number, file in enumerate(files)]
        return compile_units(self.toolchain, units, scratch=self.folder / "cache")

    def _link(
        self, objects: Sequence[Path], elf: Path, board: Board, *, stack_bytes: int, fast: Sequence[str] = ()
    ) -> None:
        script = self.folder / "link.ld"
        script.write_text(linker_script(board, stack_bytes, fast=fast, weights=self.weights), encoding="utf-8")
        command = (
            *self.toolchain.link_flags(self.board.isa),
            *map(str, objects),
            "-T",
            str(script),
            *self.toolchain.libraries(),
            "-o",
            str(elf),
        )
        try:
            self.toolchain.run(command, scratch=self.folder / "cache", what=f"linking the image for {self.board.name}")
        except ToolchainError as error:
            raise _too_large(error, self.board) or error from None


def _too_large(error: ToolchainError, board: Board) -> DoesNotFit | None:
    """A linker's complaint about a full region as numbers; None for any other complaint."""
    over: dict[str, int] = {}
    for region, count in _OVERFLOW.findall(error.output):
        over[region] = max(over.get(region, 0), int(count))
    if not over:
        return None
    region = board.region(next(iter(over)))
    needed = region.size + over[region.name]
    others = [b.name for b in all_boards() if any(r.name == region.name and r.size >= needed for r in b.memory)]
    larger = f": {', '.join(others)}" if others else ""
    return DoesNotFit(
        f"the image does not fit on {board.name}",
        memory=region.name,
        needed=needed,
        available=region.size,
        hint=f"a smaller model, or a board with more {region.name}{larger}",
    )
