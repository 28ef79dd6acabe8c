"""Prices of blocks: each is decoded once, checked against the core, and priced for every block that leads to
it.
"""

from __future__ import annotations

from collections.abc import Callable

from tinycompile.errors import EmulationFault
from tinycompile.simulate.emulator.decode import Instruction, decode
from tinycompile.simulate.emulator.image import Image
from tinycompile.simulate.emulator.isa import InstructionSet
from tinycompile.simulate.emulator.pipeline import Pipeline

ReadMemory = Callable[[int, int], bytearray]


class Prices:
    """Instructions and cycles of the blocks of one image on one core, kept from run to run."""

    def __init__(self, image: Image, instructions: InstructionSet, pipeline: Pipeline) -> None:
        self._image, self._instructions, self._pipeline = image, instructions, pipeline
        self._blocks: dict[int, tuple[Instruction, ...]] = {}
        self._known: dict[tuple[int, int, int], tuple[int, int]] = {}

    def price(self, origin: int, block: int, size: int, read: ReadMemory, fpu_is_on: bool) -> tuple[int, int]:
        """Instructions of the block and its cycles after the block at ``origin``.

        Raises `EmulationFault` for an instruction that the core does not have, or that needs the FPU while it
        is off.
        """
        key = (origin, block, size)
        if key not in self._known:
            code = self._decoded(block, size, read)
            self._check(code, fpu_is_on)
            self._known[key] = (len(code), self._pipeline.cycles(self._blocks.get(origin, ()), code))
            self._blocks[block] = code
        return self._known[key]

    def _decoded(self, block: int, size: int, read: ReadMemory) -> tuple[Instruction, ...]:
        known = self._blocks.get(block, ())
        if known and known[-1].end == block + size:
            return known
        raw = bytes(read(block, size))
        code = decode(raw, block)
        end = code[-1].end if code else block
        if end != block + size:
            text = raw[end - block : end - block + 4].hex(" ", 2)
            raise EmulationFault(
                f"executes an instruction that no core here has ({text})", where=self._image.describe(end)
            )
        return code

    def _check(self, code: tuple[Instruction, ...], fpu_is_on: bool) -> None:
        for i in code:
            missing = self._instructions.lacks(i)
            if missing:
                raise EmulationFault(
                    f"executes '{i.text}', which the chip cannot: {missing}",
                    where=self._image.describe(i.location),
                    hint="build for the board's core and features",
                )
            if i.is_fp and not fpu_is_on:
                raise EmulationFault(
                    f"executes '{i.text}' while the floating-point unit is switched off",
                    where=self._image.describe(i.location),
                    hint="set CPACR first, in the reset handler",
                )
