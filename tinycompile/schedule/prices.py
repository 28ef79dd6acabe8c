"""What the kernels of a graph cost on a board: whole ops, patches and rows. Costs that were asked for are remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinycompile.backends import Kernel, candidates
from tinycompile.boards import Board
from tinycompile.cost import kernel_cycles
from tinycompile.errors import Unsupported, UnsupportedOp
from tinycompile.ir import IO, Graph, Op
from tinycompile.schedule.liveness import Kernels, scratch_bytes
from tinycompile.schedule.rows import RowOp, Rows
from tinycompile.schedule.stages import Run


@dataclass(frozen=True)
class Price:
    """A kernel for an op in some runs: predicted cycles of one inference, and bytes of scratch."""

    kernel: Kernel
    cycles: int
    scratch: int


@dataclass(frozen=True)
class Choice:
    """A kernel for every op of some runs, and their predicted cycles."""

    kernels: Kernels
    cycles: int


class Prices:
    """The kernels of a graph's ops on a board.

    Raises UnsupportedOp, naming all of them, where ops have no kernel on the board's core.
    """

    def __init__(self, graph: Graph, board: Board) -> None:
        self.graph, self.core = graph, board.core
        ops = [op for op in graph.ops if not op.alias]
        self.kernels = {op.name: candidates(op, graph.io(op), board.features) for op in ops}
        missing = [_unsupported(op, graph.io(op)) for op in ops if not self.kernels[op.name]]
        if missing:
            raise UnsupportedOp(missing, where=graph.name)
        self._rows: dict[tuple[int, str], tuple[RowOp, int] | None] = {}

    def choices(self, runs: Sequence[Run]) -> Iterator[Choice]:
        """Kernels for these runs, from the fastest to those with the least scratch; none where an op has none.

        What counts is the largest scratch, so for each limit every op takes its fastest kernel within it.
        """
        offers = self._offers(runs)
        if not all(offers.values()):
            return
        limits = sorted({price.scratch for prices in offers.values() for price in prices} or {0}, reverse=True)
        seen: list[Kernels] = []
        for limit in limits:
            taken = {name: _best(prices, limit) for name, prices in offers.items()}
            kernels = {name: price.kernel for name, price in taken.items()}
            if kernels not in seen:
                seen.append(kernels)
                yield Choice(kernels, sum(price.cycles for price in taken.values()))

    def _offers(self, runs: Sequence[Run]) -> Mapping[str, list[Price]]:
        """By op, the kernels that fit all runs it is in."""
        found: dict[str, list[Price]] = {}
        for run in runs:
            for index, op in enumerate(run.ops):
                if not op.alias:
                    here = [self._price(run, index, kernel) for kernel in self._fitting(run, index)]
                    found[op.name] = _both(found[op.name], here) if op.name in found else here
        return found

    def _fitting(self, run: Run, index: int) -> Sequence[Kernel]:
        op = run.ops[index]
        kernels = self.kernels[op.name]
        if run.rows is not None:
            part = run.rows.of[op.name]
            told = _told_of_rows(kernels, part, run.rows)
            return [kernel for kernel in told if self._row_cycles(part, kernel) is not None]
        return _rows_for_windows(kernels, self.graph, run, index) if run.patches else kernels

    def _price(self, run: Run, index: int, kernel: Kernel) -> Price:
        op = run.ops[index]
        scratch = scratch_bytes(self.graph, run, index, kernel)
        if run.rows is not None:
            cycles = self._row_cycles(run.rows.of[op.name], kernel)
            assert cycles is not None
            return Price(kernel, cycles, 0 if run.rows.of[op.name].folds else scratch)
        if run.patches:
            calls = ((p.ops[index], p.ios[index]) for p in run.patches)
            return Price(kernel, sum(kernel_cycles(part, io, kernel, self.core) for part, io in calls), scratch)
        return Price(kernel, kernel_cycles(op, self.graph.io(op), kernel, self.core), scratch)

    def _row_cycles(self, part: RowOp, kernel: Kernel) -> int | None:
        """Cycles of all calls of an op by rows; None where the kernel does not fit one of them."""
        key = id(part), kernel.name
        if key not in self._rows:
            self._rows[key] = (part, self._sum(part, kernel)) if _fits(part, kernel) else None
        known = self._rows[key]
        return known[1] if known is not None else None

    def _sum(self, part: RowOp, kernel: Kernel) -> int:
        count = Counter(part.kind(y) for y in range(len(part.cuts)))
        first = {part.kind(y): y for y in reversed(range(len(part.cuts)))}
        each = {kind: kernel_cycles(part.cuts[y].op, part.row_io(y), kernel, self.core) for kind, y in first.items()}
        return sum(count[kind] * cycles for kind, cycles in each.items())


def _best(prices: Sequence[Price], limit: int) -> Price:
    """The fastest within ``limit`` bytes of scratch, the first of equals; where none is, the leanest."""
    within = [price for price in prices if price.scratch <= limit]
    return min(within, key=lambda p: p.cycles) if within else min(prices, key=lambda p: (p.scratch, p.cycles))


def _both(one: Sequence[Price], other: Sequence[Price]) -> list[Price]:
    """The kernels that are in both, with the cycles of both."""
    second = {price.kernel.name: price for price in other}
    pairs = [(price, second[price.kernel.name]) for price in one if price.kernel.name in second]
    return [Price(a.kernel, a.cycles + b.cycles, max(a.scratch, b.scratch)) for a, b in pairs]


def _unsupported(op: Op, io: IO) -> Unsupported:
    types = ", ".join(str(t) for t in (*io.activations, io.out))
    return Unsupported(op.name, type(op).__name__, f"no kernel computes it on {types}")


def _fits(part: RowOp, kernel: Kernel) -> bool:
    return part.folds or all(kernel.fits(cut.op, io) for cut, io in part.kinds)


def _told_of_rows(kernels: Sequence[Kernel], part: RowOp, rows: Rows) -> list[Kernel]:
    """The kernels that are told pitches, and turns of the rings of which they read several rows at once."""
    if part.folds:
        return [kernel for kernel in kernels if "in0_last" in kernel.arguments]
    images = [(i, t) for i, t in enumerate(part.io.activations) if len(t.shape) == 4]
    needed = {"out_pitch", *(f"in{i}_pitch" for i, _ in images)}
    for i, tensor in images:
        if rows.slots.get(tensor.name, tensor.hw[0]) < tensor.hw[0] and part.most_rows[tensor.name] > 1:
            needed |= {f"in{i}_turn", f"in{i}_ring"}
    return [kernel for kernel in kernels if needed <= set(kernel.arguments)]


def _rows_for_windows(kernels: Sequence[Kernel], graph: Graph, run: Run, index: int) -> list[Kernel]:
    """The kernels that are told the pitch of every image they touch, and fit each patch."""
    images = [i for i, t in enumerate(graph.io(run.ops[index]).activations) if len(t.shape) == 4]
    needed = {"out_pitch", *(f"in{i}_pitch" for i in images)}
    told = [kernel for kernel in kernels if needed <= set(kernel.arguments)]
    return [kernel for kernel in told if all(kernel.fits(p.ops[index], p.ios[index]) for p in run.patches)]
