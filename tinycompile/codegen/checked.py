"""Canaries: around every call of a checked build, the arena's free bytes must keep their pattern."""

from __future__ import annotations

from typing import Any

from tinycompile.codegen.names import bank_name
from tinycompile.schedule.liveness import POSITION_BYTES
from tinycompile.schedule.program import Program, Stream, View

TAIL = 16
"""Bytes that checked builds add behind the arena; always free."""

Range = tuple[int, int]


class Guards:
    """The free byte ranges of the arena during each step of a program."""

    def __init__(self, program: Program) -> None:
        self._end = program.arena_bytes + TAIL
        self._program = program
        self._producers = program.graph.producers()
        calls = list(program.unrolled())
        self._busy: list[set[Range]] = [set() for _ in calls]
        alive: dict[str, tuple[int, int]] = {}
        ranges: dict[str, set[Range]] = {}

        def touch(view: View, step: int) -> None:
            root = self._root(view.tensor)
            first, last = alive.get(root, (step, step))
            alive[root] = min(first, step), max(last, step)
            start = view.offset - view.slot * view.pitch
            size = self._bytes(view)
            ranges.setdefault(root, set()).add((start, start + size))

        for view in program.inputs:
            touch(view, 0)
        for step, call in enumerate(calls):
            for view in (*call.inputs, call.output):
                touch(view, step)
            if call.scratch is not None:
                size = call.kernel.scratch(call.op, call.io(program.graph))
                self._busy[step].add((call.scratch, call.scratch + size))
        for view in program.outputs:
            touch(view, len(calls) - 1)
        for view in _kept(program):
            touch(view, len(calls) - 1)
        if program.position is not None:
            for busy in self._busy:
                busy.add((program.position, program.position + POSITION_BYTES))
        for root, (first, last) in alive.items():
            for step in range(max(first, 0), min(last + 1, len(calls))):  # a graph of nothing but views has no calls
                self._busy[step] |= ranges[root]

    def of(self, first: int, count: int) -> list[Range]:
        """Byte ranges ``(start, stop)`` that stay free during ``count`` calls from call ``first`` on."""
        free, cursor = [], 0
        for low, high in sorted(set().union(*self._busy[first : first + count])):
            if low > cursor:
                free.append((cursor, low))
            cursor = max(cursor, high)
        free.append((cursor, self._end))
        return free

    def tables(self, step: int, first: int, count: int) -> list[dict[str, Any]]:
        """What ``of`` finds, for each bank with free bytes: its pointer, its ranges, and the suffix of their table."""
        found: dict[int, list[Range]] = {}
        banks = self._program.banks
        ends = [*(bank.start for bank in banks[1:]), self._end]
        for low, high in self.of(first, count):
            for index, (bank, end) in enumerate(zip(banks, ends, strict=True)):
                start, stop = max(low, bank.start), min(high, end)
                if start < stop:
                    found.setdefault(index, []).append((start - bank.start, stop - bank.start))
        return [
            {"arena": bank_name(i), "table": f"free_{step}" + (f"_{i}" if i else ""), "ranges": ranges}
            for i, ranges in sorted(found.items())
        ]

    def _root(self, tensor: str) -> str:
        """The tensor whose bytes an alias shows."""
        op = self._producers.get(tensor)
        return self._root(op.inputs[0]) if op is not None and op.alias else tensor

    def _bytes(self, view: View) -> int:
        """Bytes from a view's first element to behind its last; in a ring, of all slots."""
        rows, columns = view.hw
        rows = view.slots or rows
        element = self._program.graph.tensors[view.tensor].dtype.size
        return (rows - 1) * view.pitch + columns * view.shape[-1] * element


def _kept(program: Program) -> list[View]:
    """Views of the rings that a sliding window keeps from one inference to the next."""
    streams = (step for step in program.steps if isinstance(step, Stream) and step.hops)
    return [view for step in streams for call in step.calls for view in call.inputs if view.slots]
