"""What an image uses of a board's SRAM, and whether that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tinycompile.boards import Board, all_boards
from tinycompile.deploy.image import Image
from tinycompile.errors import DoesNotFit

INPUT_BUFFER = "tc_input_buffer"
"""What the serial firmware calls its copy of the input."""
WEIGHTS = ".weights"
"""The section of the constants that are copied to RAM."""
ROOMY = 1 << 26
"""Bytes of RAM of an image that is linked only to be measured."""


@dataclass(frozen=True)
class Needs:
    """Bytes of SRAM by purpose; together all that the image uses.

    ``arena``: all parts of it, in any bank. ``variables``: data and bss, with the gaps that alignment leaves.
    ``weights``: the model's constants, where they are copied to the main SRAM.
    ``main``: how much of everything lies in the board's main SRAM.
    """

    arena: int
    stack: int
    variables: int
    input_copy: int
    weights: int
    main: int

    @property
    def total(self) -> int:
        """Bytes in all banks."""
        return self.arena + self.stack + self.variables + self.input_copy + self.weights

    @property
    def parts(self) -> Mapping[str, int]:
        """What is not empty, by purpose."""
        found = {
            "arena": self.arena,
            "stack": self.stack,
            "variables": self.variables,
            "copy of the input": self.input_copy,
            "weights": self.weights,
        }
        return {name: size for name, size in found.items() if size}


def roomy(board: Board) -> Board:
    """The board with a main SRAM, and a memory for code, that hold everything: a link cannot fail for want of it."""
    enough = (board.ram, board.fast_code)
    memory = tuple(replace(r, size=max(r.size, ROOMY)) if r in enough else r for r in board.memory)
    return replace(board, memory=memory)


def needs(image: Image, board: Board, *, linked_stack: int, stack: int) -> Needs:
    """The needs of an image linked for ``roomy(board)`` with ``linked_stack`` bytes, if it had ``stack`` bytes.

    Both are multiples of 16, as is every alignment in the linker script: nothing else moves by more or less.
    """
    main = image.used(roomy(board).ram) - linked_stack + stack
    total = main + sum(image.used(region) for region in board.banks if region != board.ram)
    copy = sum(s.size for s in image.symbols if s.name == INPUT_BUFFER)
    arena = sum(s.size for s in image.symbols if s.name.startswith("tc_arena"))
    section = image.section(WEIGHTS)
    weights = section.size if section is not None else 0
    return Needs(arena, stack, total - arena - stack - copy - weights, copy, weights, main)


def check_sram(found: Needs, board: Board, budget: int | None = None) -> None:
    """Raise DoesNotFit where the main SRAM is too small for its part, or ``budget`` bytes for all of it."""
    if found.main > board.ram.size:
        others = [b.name for b in all_boards() if b.ram.size >= found.main]
        _refuse(found, board, found.main, board.ram.size, _without_weights(found) + _hint(others))
    if budget is not None and found.total > budget:
        hint = _without_weights(found) + "a smaller model, or a larger budget (--sram)"
        _refuse(found, board, found.total, budget, hint)


def _refuse(found: Needs, board: Board, needed: int, available: int, hint: str) -> None:
    raise DoesNotFit(
        f"the image does not fit on {board.name}",
        memory=board.ram.name,
        needed=needed,
        available=available,
        parts=found.parts,
        hint=hint,
    )


def _without_weights(found: Needs) -> str:
    return "no --weights-in-ram, " if found.weights else ""


def _hint(others: list[str]) -> str:
    return "a smaller model, or a board with more sram" + (f": {', '.join(others)}" if others else "")
