"""What turns a board into C and a memory layout: the sources of its platform, ``tc_board.h`` and the linker
script.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tinycompile.boards import Board
from tinycompile.resources import folder

Console = Literal["uart", "semihosting"]

_FIRMWARE: dict[Console, tuple[str, ...]] = {
    "uart": ("model.c", "memory.c", "text.c", "main_serial.c"),
    "semihosting": ("model.c", "memory.c", "main_semihosting.c"),
}


def board_sources(board: Board, console: Console) -> tuple[Path, ...]:
    """The C files that make an image for this board, besides those of the model."""
    runtime = folder("runtime_c")
    platform = tuple(runtime / "platform" / source for source in board.platform.sources)
    return platform + tuple(runtime / "firmware" / source for source in _FIRMWARE[console])


def include_folders() -> tuple[Path, ...]:
    """The folders where ``board_sources`` find their headers."""
    runtime = folder("runtime_c")
    return (runtime / "platform", runtime / "firmware")


def board_header(board: Board) -> str:
    """``tc_board.h``: name, clock, console, and the numbers of platform and board as ``TC_<NAME>``."""
    constants = sorted({**board.platform.defines, **board.settings}.items())
    return _render("tc_board.h.j2", board=board, constants=constants)


def linker_script(board: Board, stack_bytes: int, *, fast: Sequence[str] = (), weights: str | None = None) -> str:
    """The GNU linker script of the board with a stack of that many bytes, a multiple of 8.

    ``fast`` are the functions that run from ``board.code``, ``weights`` a pattern of the object files whose constants
    are read from RAM (None: all are read from flash).
    """
    used = {"flash", board.vectors, board.code, *board.arena}
    regions = [r for r in board.memory if r.name in used]
    copied = [".data", *([".weights"] if weights else []), *([".fast_code"] if fast else [])]
    return _render(
        "link.ld.j2", board=board, regions=regions, stack_bytes=stack_bytes, fast=fast, weights=weights, copied=copied
    )


def _render(template: str, **values: object) -> str:
    loader = FileSystemLoader(folder("codegen_templates") / "firmware")
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.get_template(template).render(**values)
