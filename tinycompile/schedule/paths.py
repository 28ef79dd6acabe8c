"""Which stages to stream: shortest paths over the points where a network can be cut.

Where a single tensor crosses from one op to the next, everything before is done and forgotten; such points cut
the network into segments that can be judged by themselves. Between two points run either layers, one by one,
or a streamed stage. A path from the inputs to the outputs takes as many bytes as its largest segment; among
those within a limit the best makes the fewest row calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinycompile.ir import Graph
from tinycompile.schedule.liveness import Kernels, problem, roots
from tinycompile.schedule.place import lower_bound
from tinycompile.schedule.rows import Cuts, rows_of
from tinycompile.schedule.stages import Plan, Run, Stage

CLEARLY = 1.25
PATHS = 6
"""Limits that are tried, from the lowest up: bounds are no placements, so the lowest may not be the best."""


@dataclass(frozen=True)
class Segment:
    """The ops ``start <= i < stop`` of the graph, layer by layer or as one streamed stage of ``calls`` rows."""

    start: int
    stop: int
    bytes: int
    calls: int = 0


class Paths:
    """The segments of a graph of at most ``most`` bytes, with ``kernels`` for its ops.

    ``folding`` are the kernels that streamed stages use instead, for ops that fold.
    """

    def __init__(self, graph: Graph, kernels: Kernels, folding: Kernels, most: int) -> None:
        self.graph, self.kernels, self.most = graph, kernels, most
        self.in_rows = {**kernels, **folding}
        self.cuts = Cuts(graph)
        self.points = _points(graph)
        layers = [self._layers(a, b) for a, b in zip(self.points, sorted(self.points)[1:], strict=False)]
        self.segments = [s for s in (*layers, *self._streams(layers)) if s.bytes <= most]

    def best(self) -> Iterator[Plan]:
        """The paths within the lowest limits, and the one with the fewest row calls; different ones only."""
        seen: set[Plan] = set()
        limits = sorted({s.bytes for s in self.segments})
        found = (self._path(limit) for limit in limits)
        fewest = self._path(self.most)
        for path in (fewest, *found):
            if path is None:
                continue
            plan = self._plan_of(path)
            if plan.stages and plan not in seen:
                seen.add(plan)
                yield plan
            if len(seen) > PATHS:
                return

    def _path(self, limit: int) -> tuple[Segment, ...] | None:
        """The segments, none above ``limit`` bytes, with the fewest row calls from end to end."""
        best: dict[int, tuple[int, tuple[Segment, ...]]] = {0: (0, ())}
        for segment in sorted(self.segments, key=lambda s: (s.start, s.stop)):
            if segment.bytes > limit or segment.start not in best:
                continue
            calls, path = best[segment.start]
            known = best.get(segment.stop)
            if known is None or calls + segment.calls < known[0]:
                best[segment.stop] = calls + segment.calls, (*path, segment)
        end = best.get(len(self.graph.ops))
        return end[1] if end is not None else None

    def _plan_of(self, path: Sequence[Segment]) -> Plan:
        return Plan(tuple(Stage(self.graph.ops[s.stop - 1].output, self.points[s.start]) for s in path if s.calls))

    def _layers(self, start: int, stop: int) -> Segment:
        runs = [Run((op,)) for op in self.graph.ops[start:stop]]
        return Segment(start, stop, self._bytes(start, stop, runs, self.kernels))

    def _streams(self, layers: Sequence[Segment]) -> Iterator[Segment]:
        """Streamed stages of two ops or more. Longer ones hold no fewer rows than shorter ones, so those are left
        out that hold clearly more than one stage between layers takes in all."""
        enough = self.most
        for start in self.points:
            for stop in self.points:
                if stop < start + 2:
                    continue
                ops = self.graph.ops[start:stop]
                rows = rows_of(self.graph, ops, self.cuts) if self._one_output(stop) else None
                if rows is None:
                    if not all(map(self.cuts.possible, ops)):
                        break
                    continue
                size = self._bytes(start, stop, [Run(ops, rows=rows)], self.in_rows)
                yield Segment(start, stop, size, len(rows.calls))
                rest = (s.bytes for s in layers if s.stop <= start or s.start >= stop)
                enough = min(enough, round(CLEARLY * max(size, *rest, 0)))
                if sum(rows.ring_bytes.values()) > enough:
                    break

    def _one_output(self, stop: int) -> bool:
        """Whether the op before the point ``stop`` makes all that crosses it."""
        crossing = self.points[stop] if stop < len(self.graph.ops) else None
        last = self.graph.ops[stop - 1].output
        return crossing == last if crossing is not None else self.graph.outputs == (last,)

    def _bytes(self, start: int, stop: int, runs: Sequence[Run], kernels: Kernels) -> int:
        """Lower bound of the arena of a segment by itself."""
        graph, first, last = self.graph, self.points[start], self.points.get(stop)
        inputs = graph.inputs if first is None else (first,)
        outputs = graph.outputs if last is None else (last,)
        part = Graph(graph.name, inputs, outputs, graph.ops[start:stop], graph.tensors, graph.rounding)
        return lower_bound(problem(part, runs, kernels))


def _points(graph: Graph) -> Mapping[int, str | None]:
    """Positions before ops where one tensor crosses, with its name; None before the first and behind the last."""
    owner = roots(graph)
    ends: dict[str, int] = {name: len(graph.ops) for name in graph.outputs}
    for i in reversed(range(len(graph.ops))):
        for name in graph.ops[i].inputs:
            if name in owner:
                ends.setdefault(name, i)
    found: dict[int, str | None] = {0: None}
    alive = {name for name in graph.inputs if name in ends}
    for i, op in enumerate(graph.ops[:-1]):
        alive.add(op.output)
        alive = {name for name in alive if ends.get(name, -1) > i}
        if len(alive) == 1:
            found[i + 1] = next(iter(alive))
    return {**found, len(graph.ops): None}
