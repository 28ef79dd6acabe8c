"""The best program that fits together with the stack and the variables of its own firmware.

How much those take is known exactly once an image is linked. So the first plan keeps only what every firmware
needs, and in most builds it is also the last. Where there is no room for what its image needs, the next best program
is tried, with a smaller arena; after a few of them, or with several banks, one that leaves what the last one
needed. If that image needs less than was kept for it, a faster program may fit into what is left, and is tried.
Where an image is too large for the flash, the next one gets kernels whose constants leave what was missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tinycompile.api.compile import Compiled
from tinycompile.api.estimate import constants, estimate, least_constants
from tinycompile.boards import Board, all_boards
from tinycompile.deploy import Console, Firmware
from tinycompile.errors import DoesNotFit, UsageError
from tinycompile.ir import Graph
from tinycompile.schedule import Goal, Program
from tinycompile.schedule.candidate import Candidate
from tinycompile.schedule.nearest import fits_on, leanest
from tinycompile.schedule.search import peak

LEAST: Mapping[Console, int] = {"uart": 768, "semihosting": 128}
"""Bytes that stack and variables of any firmware need at least."""
STEPS = 4
"""Programs that are built, one after the other, before one is planned with all that the last one needed."""


@dataclass(frozen=True)
class Images:
    """A program, its C, and what was built from it."""

    compiled: Compiled
    firmware: Firmware
    host: Path


class Work(Protocol):
    """Plans programs of one graph for one board, and builds them. Both raise DoesNotFit."""

    @property
    def graph(self) -> Graph: ...
    @property
    def board(self) -> Board: ...
    def plan(self, goal: Goal, program: Program | None = None) -> Compiled: ...
    def build(self, compiled: Compiled, *, keep_input: bool | None, weights_in_ram: bool) -> Images: ...


@dataclass(frozen=True)
class Limits:
    """What is asked for: a goal, the bytes that all of the firmware may take (None: all), and what it has."""

    goal: Goal
    sram: int | None
    console: Console
    keep_input: bool | None
    weights_in_ram: bool = False

    def least(self, graph: Graph, weights: int) -> int:
        """Bytes that a firmware whose constants take ``weights`` bytes needs at least besides its arena."""
        copied = self.keep_input is True and self.console == "uart"
        inputs = sum(graph.tensors[name].nbytes for name in graph.inputs)
        return LEAST[self.console] + (inputs if copied else 0) + (weights if self.weights_in_ram else 0)

    def within(self, weights: int) -> Limits:
        """The same with kernels whose constants take no more than ``weights`` bytes."""
        flash = weights if self.goal.flash is None else min(weights, self.goal.flash)
        return replace(self, goal=replace(self.goal, flash=flash))

    def room(self, board: Board, kept: int) -> int:
        """Bytes for the whole firmware in all banks, of which ``kept`` are not for the arena."""
        arena = self.goal.ram
        bounds = [sum(region.size for region in board.banks), self.sram, None if arena is None else arena + kept]
        return min(bound for bound in bounds if bound is not None)

    def arena(self, board: Board, kept: int) -> int:
        """Bytes for the arena in all banks, if ``kept`` bytes are kept."""
        return max(self.room(board, kept) - kept, 0)

    def besides(self, program: Program, parts: Mapping[str, int]) -> int:
        """Bytes to keep for an image like that: all that is no arena, and an optional copy of the input left out."""
        optional = parts.get("copy of the input", 0) if self.keep_input is None else 0
        gaps = 16 * (len(program.banks) - 1)
        return sum(parts.values()) + gaps - program.arena_bytes - optional


def fit(work: Work, limits: Limits) -> Images:
    """The best program under the goal that fits with its own firmware, built.

    Raises DoesNotFit, with the needs of the leanest program of all and what would help, where there is none.
    """
    try:
        return _in_sram(work, limits)
    except DoesNotFit as error:
        if "constants" not in error.parts or limits.goal.least == "code":
            raise
        flash = error.available
    try:
        return _tight(work, limits, flash)
    except DoesNotFit as tight:
        try:
            return _in_sram(work, replace(limits, goal=replace(limits.goal, least="code")))
        except DoesNotFit as least:
            raise least if least.parts else tight from None


def _tight(work: Work, limits: Limits, flash: int) -> Images:
    """The best program for a flash that does not hold the fastest kernels, or not a function for each layer.

    How much other code there is shows when it is linked. Raises DoesNotFit where nothing is left to be made smaller.
    """
    while True:
        goal = replace(limits.goal, flash=flash, tight=True)
        try:
            return _in_sram(work, replace(limits, goal=goal))
        except DoesNotFit as error:
            if flash < error.parts.get("constants", flash + 1):  # these are the smallest
                raise
            flash -= error.needed - error.available


def _in_sram(work: Work, limits: Limits) -> Images:
    """The best program whose constants take no more flash than ``limits`` allow."""
    try:
        return _fitting(work, limits)
    except DoesNotFit as error:
        if error.memory != "SRAM" or limits.goal.plan is not None:
            raise
        return _leanest(work, limits)


def _fitting(work: Work, limits: Limits) -> Images:
    """The best program that the search finds. Raises DoesNotFit for the "SRAM" where it finds none."""
    start = _with_weights(work, limits) if limits.weights_in_ram else _started(work, limits, 0)
    limits, kept, compiled, most = start.limits, start.kept, start.compiled, limits.arena(work.board, 0)
    steps = STEPS if len(work.board.banks) == 1 else 1
    while True:
        steps -= 1
        try:
            images = _build(work, limits, compiled)
        except DoesNotFit as error:
            more = limits.besides(compiled.program, error.parts) if error.parts else 0
            if more <= kept or error.memory == work.board.flash.name:
                raise
            if steps > 0:
                most = compiled.program.arena_bytes - 1
            else:
                kept = more
            compiled = _plan(work, limits, kept, most)
        else:
            return _faster(work, limits, images, kept)


def _plan(work: Work, limits: Limits, kept: int, most: int) -> Compiled:
    """The best program whose arena takes no more than ``most`` bytes and leaves ``kept``."""
    ram = min(limits.arena(work.board, kept), most)
    return work.plan(replace(limits.goal, ram=max(ram, 0), reserved=kept))


@dataclass(frozen=True)
class _Start:
    """A first plan, the bytes that it keeps for what is no arena, and the limits that it keeps to."""

    limits: Limits
    kept: int
    compiled: Compiled


def _started(work: Work, limits: Limits, weights: int) -> _Start:
    """The best program that leaves what any firmware needs, with ``weights`` bytes of constants in RAM."""
    kept = limits.least(work.graph, weights)
    return _Start(limits, kept, _plan(work, limits, kept, limits.arena(work.board, 0)))


def _with_weights(work: Work, limits: Limits) -> _Start:
    """The best program that leaves room for the constants of its own kernels, which are read from RAM.

    Where those of the fastest kernels do not fit beside their arena, either the arena gets what they leave, or they get
    what it leaves, whichever takes fewer cycles.
    """
    floor = least_constants(work.graph, work.board)
    first = _holding(work, _started(work, limits, floor))
    if first.fits:
        return first.start
    room = limits.room(work.board, first.start.kept) - first.start.compiled.program.arena_bytes
    ways = [(limits, first.weights), (limits.within(room - limits.least(work.graph, 0)), floor)]
    found = []
    for way, weights in ways:
        with suppress(DoesNotFit):
            found.append(_holding(work, _started(work, way, weights)))
    fitting = [one for one in found if one.fits]
    if not fitting:
        return _started(work, limits.within(floor), floor)
    return min(fitting, key=lambda one: estimate(one.start.compiled.program, work.board).cycles).start


@dataclass(frozen=True)
class _Holding:
    """A first plan that keeps room for the ``weights`` bytes of its own constants, and whether it fits with them."""

    start: _Start
    weights: int
    fits: bool


def _holding(work: Work, start: _Start) -> _Holding:
    program, limits = start.compiled.program, start.limits
    weights = sum(constants(program).values())
    kept = limits.least(work.graph, weights)
    fits = kept <= work.board.ram.size and program.arena_bytes <= limits.arena(work.board, kept)
    return _Holding(replace(start, kept=kept), weights, fits)


def _build(work: Work, limits: Limits, compiled: Compiled) -> Images:
    """The images of a program, as they are asked for."""
    return work.build(compiled, keep_input=limits.keep_input, weights_in_ram=limits.weights_in_ram)


def _faster(work: Work, limits: Limits, best: Images, kept: int) -> Images:
    """The best program, if ``best`` fits but needs less than the ``kept`` bytes that it was planned with."""
    while (less := _needed_by(best, limits)) < kept:
        compiled = _plan(work, limits, less, limits.arena(work.board, 0))
        if compiled.program == best.compiled.program:
            return best
        try:
            best, kept = _build(work, limits, compiled), less
        except DoesNotFit:
            return _build(work, limits, best.compiled)  # its files are overwritten
    return best


def _needed_by(images: Images, limits: Limits) -> int:
    return limits.besides(images.compiled.program, images.firmware.needs.parts)


@dataclass(frozen=True)
class _Miss:
    """A program that does not fit, and what its image would need."""

    candidate: Candidate
    program: Program
    parts: Mapping[str, int]
    error: DoesNotFit | None = None

    @property
    def total(self) -> int:
        """Bytes of SRAM in all."""
        return sum(self.parts.values())


def _leanest(work: Work, limits: Limits) -> Images:
    """The program with the least memory, if that fits after all. Raises DoesNotFit with what it needs."""
    lean = limits.within(least_constants(work.graph, work.board)) if limits.weights_in_ram else limits
    found = [_attempted(work, lean, candidate) for candidate in leanest(work.graph, work.board, lean.goal)]
    fitting = [one for one in found if isinstance(one, Images)]
    if not fitting:
        misses = [one for one in found if isinstance(one, _Miss)]
        raise _explained(work, limits, min(misses, key=lambda one: one.total))
    best = min(fitting, key=lambda one: estimate(one.compiled.program, work.board).cycles)
    return _build(work, limits, best.compiled)


def _attempted(work: Work, limits: Limits, candidate: Candidate) -> Images | _Miss:
    """A candidate, built."""
    compiled = work.plan(limits.goal, candidate.program())
    program = compiled.program
    try:
        images = _build(work, limits, compiled)
    except DoesNotFit as error:
        if not error.parts or error.memory == work.board.flash.name:
            raise
        return _Miss(candidate, program, error.parts, error)
    parts = images.firmware.needs.parts
    fits = program.arena_bytes <= limits.arena(work.board, limits.besides(program, parts))
    return images if fits else _Miss(candidate, program, parts)


def _explained(work: Work, limits: Limits, miss: _Miss) -> DoesNotFit:
    """The error that says what the nearest miss needs, to the byte, and what would do."""
    kept = limits.besides(miss.program, miss.parts)
    needed, available = miss.total, limits.room(work.board, kept)
    if needed <= available and miss.error is not None:  # in all banks together, but not in one
        needed, available = miss.error.needed, miss.error.available
    return DoesNotFit(
        f"{work.graph.name} does not fit {work.board.name}",
        memory="SRAM",
        needed=needed,
        available=available,
        peak=peak(miss.program),
        parts=miss.parts,
        hint="; or ".join([*_other_ways(work, limits, miss.total), *_other_boards(limits, miss, kept)]),
    )


def _other_ways(work: Work, limits: Limits, total: int) -> list[str]:
    """What fits this board, built to be sure, and what always helps."""
    found = []
    ways = {}
    if not limits.goal.pushed and not limits.goal.sliding:
        ways["with --input streamed"] = replace(limits, goal=replace(limits.goal, pushed=True))
    if limits.keep_input:
        ways["with --no-keep-input"] = replace(limits, keep_input=False)
    if limits.weights_in_ram:
        ways["without --weights-in-ram"] = replace(limits, weights_in_ram=False)
    for way, other in ways.items():
        try:
            images = _fitting(work, other)
        except (DoesNotFit, UsageError):
            continue
        found.append(f"build {way}, which needs {images.firmware.needs.total:,} bytes")
    if limits.sram is not None and total <= sum(region.size for region in work.board.banks):
        found.append(f"a budget (--sram) of {total:,} bytes")
    return [*found, "a smaller input or fewer channels"]


def _other_boards(limits: Limits, miss: _Miss, kept: int) -> list[str]:
    """Boards that hold the nearest miss with its firmware, where no budget is what is in the way."""
    if limits.sram is not None or limits.goal.ram is not None:
        return []
    flash = sum(constants(miss.program).values())
    names = [b.name for b in all_boards() if b.flash.size > flash and fits_on(miss.candidate, b, kept, limits.goal)]
    return [f"another board: {', '.join(names)}"] if names else []
