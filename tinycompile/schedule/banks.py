"""An arena over several memories: which buffer lies in which bank.

The arena is the banks end to end, so an offset names a bank as well, and everything that counts in offsets
stays as it is. A buffer lies in one bank; buffers in different banks share no bytes, so each bank is a
placement problem of its own, with the buffers that lie in it.

What fits the bank nearest to the core lies there as a whole. Otherwise the buffers with the most traffic per
byte (``heat``) get the nearest bank in which they, and all that is there already, can still be placed. If some
are left over that way, all are put where they fit, the largest first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tinycompile.boards import Board
from tinycompile.ir import Graph
from tinycompile.schedule.assemble import assemble
from tinycompile.schedule.liveness import ARENA_ALIGN, Kernels, without
from tinycompile.schedule.place import Buffer, Placement, Problem, lower_bound, solve
from tinycompile.schedule.program import Arrival, Bank, Call, Program
from tinycompile.schedule.stages import Run

NODES = 100
"""Nodes of the placement search for a set of buffers that may or may not fit a bank."""
TRIES = 2000
"""Choices of a bank for a buffer before the search for any arena that fits is given up."""


@dataclass(frozen=True)
class Room:
    """``size`` bytes of the memory ``region`` that the arena may take; of several rooms, a multiple of 16 each."""

    region: str
    size: int


@dataclass(frozen=True)
class Memory:
    """What the arena may take: ``rooms``, the one nearest to the core first, and ``size`` bytes in all."""

    rooms: tuple[Room, ...]
    size: int

    @staticmethod
    def of(board: Board, reserved: int, limit: int | None = None) -> Memory:
        """The banks of a board, without ``reserved`` bytes of the main one; or ``limit`` bytes of them in all."""
        found = [Room(r.name, r.size - (reserved if r == board.ram else 0)) for r in board.banks]
        if len(found) == 1:
            size = found[0].size if limit is None else limit
            return Memory((Room(found[0].region, size),), size)
        whole = sum(max(room.size, 0) for room in found)
        limit = whole if limit is None else min(limit, whole)
        usable = (max(min(room.size, limit), 0) // ARENA_ALIGN * ARENA_ALIGN for room in found)
        return Memory(tuple(Room(room.region, size) for room, size in zip(found, usable, strict=True)), limit)

    @property
    def largest(self) -> Memory:
        """The largest room alone."""
        room = max(self.rooms, key=lambda r: r.size)
        return Memory((room,), min(room.size, self.size))

    def __str__(self) -> str:
        return ", ".join(f"{room.region} {room.size:,} bytes" for room in self.rooms)


@dataclass(frozen=True)
class Layout:
    """Where every buffer lies, in offsets that count through the whole arena, and the banks it is made of."""

    placement: Placement
    banks: tuple[Bank, ...]


Heat = Mapping[str, float]


def alone(placement: Placement, rooms: Iterable[Room]) -> Layout | None:
    """A placement of everything in the nearest bank that holds it; None where none does."""
    for room in rooms:
        if placement.height <= room.size:
            return Layout(placement, (Bank(room.region, 0, placement.height),))
    return None


def arrange(
    problem: Problem, whole: Placement, memory: Memory, heat: Callable[[], Heat], *, compact: bool = False
) -> Layout | None:
    """The banks for buffers of which ``whole`` is the placement in one piece; None where they do not fit.

    ``compact``: in one piece wherever that fits, as several banks may take more bytes in all.
    """
    rooms = memory.rooms
    found = alone(whole, rooms if compact else rooms[:1])
    if found is None and len(rooms) > 1 and _may_fit(problem, rooms):
        found = spread(problem, rooms, heat())
        if found is None or found.placement.height > memory.size:
            found = alone(whole, rooms)
    return found


def spread(problem: Problem, rooms: Sequence[Room], heat: Heat) -> Layout | None:
    """The buffers over several banks, those with the most ``heat`` nearest to the core; None where none is found.

    None is a proof only where there are few buffers: the search ends after ``TRIES`` choices.
    """
    if not _may_fit(problem, rooms):
        return None
    sets = _Sets(problem)
    found = _hottest_first(sets, rooms, heat)
    if found is None:
        found = _largest_first(sets, rooms)
    return _layout(sets, rooms, found) if found is not None else None


def _may_fit(problem: Problem, rooms: Sequence[Room]) -> bool:
    """Whether each buffer fits some bank, and what is alive at once all of them together."""
    largest = max(room.size for room in rooms)
    in_all = sum(room.size for room in rooms)
    return all(b.size <= largest for b in problem.buffers) and lower_bound(problem) <= in_all


def heat(graph: Graph, runs: Sequence[Run], kernels: Kernels, problem: Problem) -> dict[str, float]:
    """For each buffer, the bytes read and written in it over one inference, per byte of its size.

    Each call reads its inputs and its scratch once, and writes its output and its scratch once; a row of a pushed
    input is written once.
    """
    program = _apart(graph, runs, kernels, problem)
    spans = sorted(program.spans, key=lambda span: span.offset)
    starts = [span.offset for span in spans]
    traffic: Counter[str] = Counter()
    for event in program.events():
        for offset, count in _accesses(event, graph):
            traffic[spans[bisect_right(starts, offset) - 1].name] += count
    return {span.name: traffic[span.name] / span.size for span in spans}


def _apart(graph: Graph, runs: Sequence[Run], kernels: Kernels, problem: Problem) -> Program:
    """The program with all buffers side by side, so that an offset tells whose it is."""
    offsets, end = {}, 0
    for buffer in problem.buffers:
        offsets[buffer.name] = end
        end += -(-buffer.size // ARENA_ALIGN) * ARENA_ALIGN
    return assemble(graph, runs, kernels, problem, Placement(offsets, end, False, 0))


def _accesses(call: Call | Arrival, graph: Graph) -> Iterator[tuple[int, int]]:
    """Offset and bytes of all that a call, or the arrival of a row, reads and writes."""
    if isinstance(call, Arrival):
        yield call.view.offset, call.view.pitch
        return
    io = call.io(graph)
    for view, tensor in zip(call.inputs, io.activations, strict=True):
        yield view.offset, tensor.nbytes
    yield call.output.offset, io.out.nbytes
    if call.scratch is not None:
        yield call.scratch, 2 * call.kernel.scratch(call.op, io)


Chosen = dict[str, int]
"""The index of the room of each buffer."""


def _hottest_first(sets: _Sets, rooms: Sequence[Room], heat: Heat) -> Chosen | None:
    """Each buffer in the nearest room that takes it, in order of heat; None where one is left over."""
    chosen: Chosen = {}
    for buffer in sorted(sets.buffers, key=lambda b: (-heat[b.name], b.size, b.name)):
        room = next((i for i in range(len(rooms)) if sets.takes(chosen, i, buffer, rooms[i])), None)
        if room is None:
            return None
        chosen[buffer.name] = room
    return chosen


def _largest_first(sets: _Sets, rooms: Sequence[Room]) -> Chosen | None:
    """Each buffer in the largest room that takes it, in order of size; where one is left over, others move."""
    order = sorted(sets.buffers, key=lambda b: (-b.size, b.name))
    by_size = sorted(range(len(rooms)), key=lambda i: -rooms[i].size)
    stack: list[Chosen] = [{}]
    for _ in range(TRIES):
        if not stack:
            return None
        chosen = stack.pop()
        if len(chosen) == len(order):
            return chosen
        buffer = order[len(chosen)]
        fitting = [i for i in by_size if sets.takes(chosen, i, buffer, rooms[i])]
        stack += [{**chosen, buffer.name: i} for i in reversed(fitting)]
    return None


class _Sets:
    """Sets of a problem's buffers, each placed by itself."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.buffers = problem, problem.buffers
        self._known: dict[tuple[frozenset[str], int], bool] = {}

    def takes(self, chosen: Chosen, index: int, buffer: Buffer, room: Room) -> bool:
        """Whether ``buffer`` and those chosen for the room of that index can be placed in it."""
        names = frozenset((*(name for name, i in chosen.items() if i == index), buffer.name))
        if buffer.size > room.size:
            return False
        if (names, room.size) not in self._known:
            self._known[names, room.size] = self._fits(names, room.size)
        return self._known[names, room.size]

    def _fits(self, names: frozenset[str], size: int) -> bool:
        part = self.only(names)
        if sum(b.size + b.align - 1 for b in part.buffers) <= size:
            return True
        return lower_bound(part) <= size and self.place(names, size).height <= size

    def only(self, names: frozenset[str]) -> Problem:
        """The problem with no buffers but these."""
        return without(self.problem, {b.name for b in self.buffers} - names)

    def place(self, names: frozenset[str], size: int) -> Placement:
        """These buffers placed within ``size`` bytes, if that is found."""
        return solve(replace(self.only(names), capacity=size), nodes=NODES)


def _layout(sets: _Sets, rooms: Sequence[Room], chosen: Chosen) -> Layout:
    """The banks that are used, end to end, each from a multiple of the arena's alignment."""
    offsets, banks, end = dict[str, int](), list[Bank](), 0
    used = sorted(set(chosen.values()))
    for index in used:
        part = sets.place(frozenset(name for name, i in chosen.items() if i == index), rooms[index].size)
        offsets |= {name: end + offset for name, offset in part.offsets.items()}
        size = part.height if index == used[-1] else -(-part.height // ARENA_ALIGN) * ARENA_ALIGN
        banks.append(Bank(rooms[index].region, end, size))
        end += size
    bound = lower_bound(sets.problem)
    return Layout(Placement(offsets, end, end == bound, bound), tuple(banks))
