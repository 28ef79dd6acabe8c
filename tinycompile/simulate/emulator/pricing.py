"""Prices of blocks: each is decoded once, checked against the core, and priced for every block that leads to
it.
"""

from __future__ import annotations

from collections.abc import Callable

from tinycompile.errors import EmulationFault
from tinycompile.simulate.emulator.decode import NOTHING, Block, decode
from tinycompile.simulate.emulator.image import Image
from tinycompile.simulate.emulator.isa import InstructionSet
from tinycompile.simulate.emulator.pipeline import Pipeline

ReadMemory = Callable[[int, int], bytearray]


class Prices:
    """Instructions and cycles of the blocks of one image on one core, kept from run to run."""

    def __init__(self, image: Image, instructions: InstructionSet, pipeline: Pipeline) -> None:
        self._image, self._instructions, self._pipeline = image, instructions, pipeline
        self._blocks: dict[int, Block] = {}
        self._known: dict[tuple[int, int, int], tuple[int, int]] = {}

    def price(self, origin: int, block: int, size: int, read: ReadMemory, fpu_is_on: bool) -> tuple[int, int]:
        """Instructions of the block and its cycles after the block at ``origin``.

        Raises `EmulationFault` for an instruction that the core does not have, or that needs the FPU while it
        is off.
        """
        key = (origin, block, size)
        if key not in self._known:
            found = self._decoded(block, size, read)
            self._check(found, fpu_is_on)
            cycles = self._pipeline.cycles(self._blocks.get(origin, NOTHING), found)
            self._known[key] = (len(found.code), cycles)
            self._blocks[block] = found
        return self._known[key]

    def _decoded(self, block: int, size: int, read: ReadMemory) -> Block:
        known = self._blocks.get(block, NOTHING)
        if known.end == block + size:
            return known
        raw = bytes(read(block, size))
        found = decode(raw, block)
        if found.end != block + size:
            start = found.end - block
            raise EmulationFault(
                f"executes an instruction that no core here has ({raw[start : start + 4].hex(' ', 2)})",
                where=self._image.describe(found.end),
            )
        return found

    def _check(self, block: Block, fpu_is_on: bool) -> None:
        for at, i in block.located():
            missing = self._instructions.lacks(i)
            if missing:
                raise EmulationFault(
                    f"executes '{i.text}', which the chip cannot: {missing}",
                    where=self._image.describe(at),
                    hint="build for the board's core and features",
                )
            if i.is_fp and not fpu_is_on:
                raise EmulationFault(
                    f"executes '{i.text}' while the floating-point unit is switched off",
                    where=self._image.describe(at),
                    hint="set CPACR first, in the reset handler",
                )
