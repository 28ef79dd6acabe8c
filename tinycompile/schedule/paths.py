"""Which stages to stream: shortest paths over the places where a list of ops can be cut.

Between two places run either a single op or a streamed stage that makes one tensor. All other tensors that
cross both places wait, and are counted. So each such segment is judged by itself: its bytes are a proved lower
bound of its own small placement problem, its cycles those of its kernels. A path from the first place to the last
takes as many bytes as its largest segment. With a limit in bytes, the fastest path is a shortest path; lowering the
limit to just below the largest segment of the path found, again and again, gives all trade-offs of bytes and cycles.

What can be proved (``Paths.floor``): on every path some segment has as many bytes of rows alive at once, whatever
rings they are in. Segments that were never looked at hold more than that (``Paths.explore``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tinycompile.ir import Graph, Op
from tinycompile.schedule.live import live_bytes
from tinycompile.schedule.liveness import POSITION_BYTES, in_place, roots
from tinycompile.schedule.prices import Choice, Prices
from tinycompile.schedule.pushed import arriving
from tinycompile.schedule.rows import Cuts, Rows, rows_of
from tinycompile.schedule.segments import Path, Segment
from tinycompile.schedule.stages import Run
from tinycompile.schedule.sweeps import sweeps

TILED = 10
"""The most ops of a stage that is cut into columns: the halos of more would cost too much."""
COLUMNS = (2, 3, 4, 6, 8)
"""Into how many columns stages are cut."""
SAVED = 0.98
"""Part of a segment's bytes that slower kernels with less scratch must come below."""
NO_LIMIT = 1 << 62


class Paths:
    """The segments of a graph, its ops in their given order; with ``pushed``, of its one input's rows.

    Whole ops are there from the start, streamed stages after ``explore``.
    """

    def __init__(self, graph: Graph, prices: Prices, *, pushed: bool = False) -> None:
        self.graph, self.prices, self.pushed = graph, prices, pushed
        self.aliases = [op for op in graph.ops if op.alias]
        self.crossing = _crossing(graph)
        self.cuts = Cuts(graph)
        self.segments: list[Segment] = []
        self.arrives = arriving(graph) if pushed else None
        self._starts = range(_first_cut(graph, self.arrives), len(graph.ops))
        self._next = {start: start for start in self._starts}
        self._known: dict[tuple[str | int | None, ...], Rows | None] = {}
        self._tiled: set[tuple[int, int]] = set()
        for i, op in enumerate(graph.ops):
            if not pushed or i > self._starts.start:
                self._add(i, i + 1, (Run((op,)),))

    def explore(self, most: int, longest: int | None = None) -> None:
        """Add the streamed stages of at most ``longest`` ops, and of at most ``most`` bytes.

        A longer stage from the same place holds no fewer rows of what it shares with a shorter one. So where those
        of one alone take more than ``most``, no longer one is looked at.
        """
        for start in self._starts:
            end = len(self.graph.ops) if longest is None else min(start + longest, len(self.graph.ops))
            for stop in range(self._next[start] + 1, end + 1):
                self._next[start] = stop
                if not self._stream(start, stop, most):
                    self._next[start] = len(self.graph.ops)
                    break

    def tile(self) -> None:
        """Cut stages into columns where whole rows take most, as long as that helps.

        Tiles compute their halos twice, so only stages of few ops around the largest segments are tried.
        """
        least = self.least(NO_LIMIT)
        while least < NO_LIMIT:
            for segment in self._leanest():
                if segment.bytes >= least:
                    self._tile_around(segment, least)
            found = self.least(least)
            if found == least:
                return
            least = found

    def least(self, most: int) -> int:
        """The fewest bytes of any path, as far as bounds tell; ``most``, where there is none within it."""
        return min(most, max((s.bytes for s in self._leanest()), default=most))

    def front(self, most: int) -> Iterator[Path]:
        """The fastest path within ``most`` bytes, then those that take less, each the fastest that does."""
        path = self.best(most)
        while path is not None:
            yield path
            path = self.best(path.bytes - 1)

    def best(self, limit: int) -> Path | None:
        """The segments, none above ``limit`` bytes, with the fewest cycles from end to end. Where ops can work in place
        in those that take most, and less is taken so, they do."""
        while (path := self._shortest(limit) or self._within(limit)) is not None:
            for segment in path.segments:
                segment.prove()
            largest = [segment for segment in path.segments if segment.bytes == path.bytes]
            if path.bytes <= limit and not any(map(self._in_place, largest)):
                return path
        return None

    def _within(self, limit: int) -> Path | None:
        """The fastest path within ``limit`` bytes that only ops in place make possible; None where there is none."""
        while (path := self._shortest(limit, _hope)) is not None:
            above = [segment for segment in path.segments if segment.bytes > limit]
            if not above:
                return path
            for segment in above:
                self._in_place(segment)
        return None

    def _shortest(self, limit: int, size_of: Callable[[Segment], int] = lambda s: s.bytes) -> Path | None:
        best: dict[int, tuple[int, int, Segment | None]] = {0: (0, 0, None)}
        for segment in sorted(self.segments, key=lambda s: (s.start, s.stop)):
            if segment.start not in best or (taken := size_of(segment)) > limit:
                continue
            cycles, size, _ = best[segment.start]
            way = cycles + segment.cycles, max(size, taken)
            if segment.stop not in best or way < best[segment.stop][:2]:
                best[segment.stop] = *way, segment
        found = self._chain({stop: segment for stop, (*_, segment) in best.items()})
        return Path(found) if found or not self.graph.ops else None

    def floor(self) -> int:
        """Bytes that no path of these segments takes less than, however their rows are arranged."""
        return max((s.floor for s in self._leanest(lambda s: s.floor)), default=0)

    def _leanest(self, size_of: Callable[[Segment], int] = lambda s: s.bytes) -> tuple[Segment, ...]:
        """The path of which the largest segment is smallest, by bounds; empty where there is no path."""
        best: dict[int, tuple[int, Segment | None]] = {0: (0, None)}
        for segment in sorted(self.segments, key=lambda s: s.start):
            if segment.start in best:
                size = max(best[segment.start][0], size_of(segment))
                if segment.stop not in best or size < best[segment.stop][0]:
                    best[segment.stop] = size, segment
        return self._chain({stop: segment for stop, (_, segment) in best.items()})

    def _chain(self, last: Mapping[int, Segment | None]) -> tuple[Segment, ...]:
        """The segments from the first position to the end, given the last one before each position."""
        at, found = len(self.graph.ops), []
        while (segment := last.get(at)) is not None:
            found.append(segment)
            at = segment.start
        return tuple(reversed(found)) if at == 0 else ()

    def _tile_around(self, segment: Segment, most: int) -> None:
        """Add the tiled stages of less than ``most`` bytes that share ops with ``segment``."""
        for start in range(max(segment.stop - TILED, self._starts.start), segment.stop):
            for stop in range(max(start + 2, segment.start + 1), min(start + TILED, len(self.graph.ops)) + 1):
                if self._arrives(start) is None and (start, stop) not in self._tiled:
                    self._tiled.add((start, stop))
                    if self._makes_one(start, stop, None) and self._ends(start, stop, None) < most:
                        self._tile(self.graph.ops[start:stop], start, stop, most)

    def _tile(self, ops: tuple[Op, ...], start: int, stop: int, most: int) -> None:
        for columns in COLUMNS:
            rows = rows_of(self.graph, ops, self.cuts, grid=(1, columns))
            if rows is None:
                return
            if sum(rows.ring_bytes.values()) < most:
                self._add(start, stop, (Run(ops, rows),))

    def _stream(self, start: int, stop: int, most: int) -> bool:
        """Add the stages between two places; False where no longer one from the first is worth a look."""
        ops = self.graph.ops[start:stop]
        if self._blocks(ops[-1]):
            return False
        arrives = self._arrives(start)
        if not self._makes_one(start, stop, arrives) or (len(ops) < 2 and arrives is None):
            return True
        if self._ends(start, stop, arrives) > most:
            return True
        paces = [self._in_rows(ops, arrives, *pace) for pace in self._paces(ops)]
        for rows in paces:
            if rows is not None:
                self._add(start, stop, (Run(ops, rows=rows),))
        again = sweeps(self.graph, ops, self._in_rows) if arrives is None else None
        if again is not None:
            self._add(start, stop, again)
        ways = [[rows] for rows in paces[:1] if rows is not None]
        ways += [_rows(again)] if again is not None else []
        if not ways or min(max(sum(r.ring_bytes.values()) for r in way) for way in ways) <= most:
            return True
        return min(max(live_bytes(self.graph, r) for r in way) for way in ways) <= most

    def _in_rows(
        self, ops: tuple[Op, ...], arrives: str | None = None, step: int = 1, paces: Mapping[str, int] | None = None
    ) -> Rows | None:
        """``rows_of``, which remembers: stages have sweeps in common."""
        key = *(op.name for op in ops), arrives, step, *(paces or {})
        if key not in self._known:
            self._known[key] = rows_of(self.graph, ops, self.cuts, step=step, paces=paces, arrives=arrives)
        return self._known[key]

    def _paces(self, ops: Sequence[Op]) -> list[tuple[int, Mapping[str, int]]]:
        """Rows a call that are worth a try: one; what the kernels of some op make together; that for the last ops of
        which some kernel does, as images become smaller, and one for all others."""
        together = {op.name: max((k.together for k in self.prices.kernels.get(op.name, ())), default=1) for op in ops}
        fast = [name for name, rows in together.items() if rows > 1]
        some = [{name: together[name] for name in fast[-count:]} for count in sorted({len(fast), len(fast) // 2, 1})]
        steps = sorted({1, *together.values()})
        return [(step, {}) for step in steps] + [(1, paces) for paces in some if paces]

    def _blocks(self, op: Op) -> bool:
        """Whether an op reads or makes an image that it cannot take row by row."""
        io = self.graph.io(op)
        images = [t for t in (*io.activations, io.out) if len(t.shape) == 4 and t.hw != (1, 1)]
        return bool(images) and not self.cuts.possible(op)

    def _arrives(self, start: int) -> str | None:
        """What is pushed into a stage that starts there."""
        return self.arrives if start == self._starts.start else None

    def _makes_one(self, start: int, stop: int, arrives: str | None) -> bool:
        """Whether all that the ops make and that is used later is the last one's output; a pushed input is gone."""
        made = {op.output for op in self.graph.ops[start:stop]}
        made |= self.crossing[start] if arrives is not None else set()
        return made & self.crossing[stop] == {self.graph.ops[stop - 1].output}

    def _ends(self, start: int, stop: int, arrives: str | None) -> int:
        """Bytes that any stage between two positions takes for what comes in, goes out and waits."""
        before = self.crossing[start] if arrives is None else frozenset()
        sizes = (sum(self.graph.tensors[n].nbytes for n in names) for names in (before, self.crossing[stop]))
        return max(sizes)

    def _add(self, start: int, stop: int, runs: tuple[Run, ...]) -> None:
        """Segments of these runs, one for each choice of kernels."""
        early = self.graph.ops[:start] if self._arrives(start) and runs[0].rows else ()
        part = self._part(start, stop)

        def segment(choice: Choice) -> Segment:
            more = POSITION_BYTES if self.pushed and not any(r.arrives for r in _rows(runs)) else 0
            begin, whole = (0, (*(Run((op,)) for op in early), *runs)) if early else (start, runs)
            return Segment(begin, stop, whole, choice.kernels, choice.cycles, part, more)

        self.segments += _worthwhile(list(self.prices.choices(runs)), segment)

    def _in_place(self, segment: Segment) -> bool:
        """Whether the segment takes less with ops that work in place; it is then added."""
        if segment.squeezed or not any(run.rows for run in segment.runs):
            return False
        segment.squeezed = True
        runs = tuple(in_place(self.graph, run, segment.kernels) for run in segment.runs)
        found = replace(segment, runs=runs, proved=False, squeezed=True)
        if found.bytes < segment.bytes:
            self.segments.append(found)
        return found.bytes < segment.bytes

    def _part(self, start: int, stop: int) -> Graph:
        """The ops between two positions, with all that crosses them."""
        graph = self.graph
        before = [op for op in self.aliases if op not in graph.ops[start:]]
        return replace(
            graph, inputs=tuple(sorted(self.crossing[start])), outputs=tuple(sorted(self.crossing[stop])),
            ops=(*before, *graph.ops[start:stop]),
        )  # fmt: skip


def _worthwhile(choices: Sequence[Choice], segment: Callable[[Choice], Segment]) -> list[Segment]:
    """Segments of choices, the fastest first: that one, those that take clearly less, and the one with the least
    scratch, whose kernels may yet work in place."""
    found = [segment(choice) for choice in choices[:1]]
    last = [segment(choice) for choice in choices[1:][-1:]]
    if last and last[0].bytes < SAVED * found[0].bytes:
        for one in map(segment, choices[1:-1]):
            if last[0].bytes < one.bytes < SAVED * found[-1].bytes:
                found.append(one)
    return found + last


def _hope(segment: Segment) -> int:
    """The fewest bytes that a segment takes, or might take if ops worked in place."""
    return segment.floor if not segment.squeezed and any(run.rows for run in segment.runs) else segment.bytes


def _rows(runs: Sequence[Run] | None) -> list[Rows]:
    return [run.rows for run in runs or () if run.rows is not None]


def _first_cut(graph: Graph, arrives: str | None) -> int:
    """The position where what is pushed is complete: behind the aliases of the input that it goes by."""
    return next((i + 1 for i, op in enumerate(graph.ops) if op.output == arrives), 0)


def _crossing(graph: Graph) -> Sequence[frozenset[str]]:
    """For each position before an op, and the end: the buffers that exist there and are needed from there on."""
    owner = roots(graph)
    alive = {owner[name] for name in graph.outputs}
    found = [frozenset(alive)]
    for op in reversed(graph.ops):
        if not op.alias:
            alive.discard(op.output)
        alive |= {owner[name] for name in op.inputs if name in owner}
        found.append(frozenset(alive))
    return [frozenset(owner[name] for name in graph.inputs), *found[-2::-1]]
