"""Segments, parts of a network that are judged by themselves, and paths of them from end to end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from tinycompile.ir import Graph
from tinycompile.schedule.live import live_bytes
from tinycompile.schedule.liveness import Kernels, problem, roots, steps
from tinycompile.schedule.parts import is_image
from tinycompile.schedule.place import Problem, lower_bound, solve
from tinycompile.schedule.stages import Run

NODES = 200
"""Of the search that raises the bound of a segment."""


@dataclass
class Segment:
    """The ops ``start <= i < stop`` as runs, with their kernels, and predicted cycles."""

    start: int
    stop: int
    runs: tuple[Run, ...]
    kernels: Kernels
    cycles: int
    part: Graph
    """The ops as a graph of their own: what waits meanwhile comes in and goes out."""
    more: int
    """Bytes that the arena holds besides."""
    proved: bool = False
    squeezed: bool = False
    """Whether it has been tried how ops may work in place in its stages."""

    @cached_property
    def problem(self) -> Problem:
        """What it has to place."""
        return problem(self.part, self.runs, self.kernels)

    def __post_init__(self) -> None:
        self.bytes = lower_bound(self.problem) + self.more

    @cached_property
    def floor(self) -> int:
        """Bytes that no arrangement of its rows takes less than; where it has no stage, ``bytes``."""
        owner, step, found = roots(self.part), 0, 0
        for run in (run for run in self.runs if steps(run)):
            if run.rows is not None:
                alive = [b for b in self.problem.buffers if b.start < step < b.stop]
                dying = {b.name for b in alive if b.stop == step + 1}
                reads = [n for n in run.reads(self.part) if owner[n] in dying and is_image(self.part.tensors[n])]
                names = Counter(owner[n] for n in reads)
                waiting = sum(b.size for b in alive if b.name not in names)
                known = [n for n in reads if names[owner[n]] == 1]  # rows that have two names are not counted twice
                found = max(found, waiting + live_bytes(self.part, run.rows, known))
            step += steps(run)
        return found + self.more if found else self.bytes

    def prove(self) -> None:
        """Raise ``bytes``, which no placement of the segment is below, by a search."""
        if not self.proved:
            self.bytes = solve(self.problem, nodes=NODES).bound + self.more
            self.proved = True


@dataclass(frozen=True)
class Path:
    """Segments from end to end."""

    segments: tuple[Segment, ...]

    @property
    def bytes(self) -> int:
        """The largest segment's: no placement takes less."""
        return max((s.bytes for s in self.segments), default=0)

    @property
    def cycles(self) -> int:
        """Predicted cycles of one inference."""
        return sum(s.cycles for s in self.segments)

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs in order."""
        return tuple(run for s in self.segments for run in s.runs)

    @property
    def kernels(self) -> Kernels:
        """A kernel for each op."""
        return {name: kernel for s in self.segments for name, kernel in s.kernels.items()}
