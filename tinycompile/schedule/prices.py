"""What the kernels of a graph cost on a board, whole and in rows. Costs that were asked for are remembered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinycompile.backends import SHARED, Kernel, candidates
from tinycompile.boards import Board
from tinycompile.cost import kernel_cycles
from tinycompile.errors import Unsupported, UnsupportedOp
from tinycompile.ir import IO, Graph, Op
from tinycompile.schedule.flash import OWN_CODE, affordable
from tinycompile.schedule.liveness import Kernels, bytes_apart, scratch_bytes
from tinycompile.schedule.parts import RowOp
from tinycompile.schedule.rows import Rows
from tinycompile.schedule.stages import Run

LESS = 0.7
"""Part of a limit of scratch bytes that the next one is worth a look below."""


@dataclass(frozen=True)
class Price:
    """A kernel for an op in some runs: predicted cycles of one inference, bytes of scratch and of inputs to stay clear
    of."""

    kernel: Kernel
    cycles: int
    scratch: int
    apart: int


@dataclass(frozen=True)
class Choice:
    """A kernel for every op of some runs, and their predicted cycles."""

    kernels: Kernels
    cycles: int


class Prices:
    """The kernels of a graph's ops on a board.

    ``flash`` is what their constants may take together, in bytes (None: all of the board's flash). Where code is to be
    ``compact``, ops have kernels that share it, and portable ones only where none of those fits. Where flash is
    ``tight``, they have all kernels, and ``flash`` is for the code of their own too. Raises UnsupportedOp, naming all
    of them, where ops have no kernel on the board's core.
    """

    def __init__(
        self, graph: Graph, board: Board, flash: int | None = None, *, compact: bool = False, tight: bool = False
    ) -> None:
        self.graph, self.core, self.compact = graph, board.core, compact
        abilities = SHARED if compact else board.abilities | SHARED if tight else board.abilities
        ops = [op for op in graph.ops if not op.alias]
        self.kernels: Mapping[str, tuple[Kernel, ...]] = {
            op.name: candidates(op, graph.io(op), abilities) for op in ops
        }
        missing = [_unsupported(op, graph.io(op)) for op in ops if not self.kernels[op.name]]
        if missing:
            raise UnsupportedOp(missing, where=graph.name)
        if not compact:  # those that are take no more constants than they must
            budget = board.flash.size if flash is None else flash
            self.kernels = affordable(graph, ops, self.kernels, board.core, budget, OWN_CODE if tight else 0)
        self._apart: dict[tuple[str, str], int] = {}
        self._prices: dict[tuple[str, str, tuple[int, ...]], tuple[Sequence[RowOp], Price | None]] = {}

    def choices(self, runs: Sequence[Run]) -> Iterator[Choice]:
        """Kernels for these runs, from the fastest to those with the least scratch; none where an op has none.

        What counts is the largest scratch, so for each limit every op takes its fastest kernel within it. Limits that
        are hardly less than the one before (``LESS``) are passed over, except the least. There, where what works in
        place makes a difference, kernels that do so come after the fastest.
        """
        offers = self._offers(runs)
        if not all(offers.values()):
            return
        limits = _apart(sorted({price.scratch for prices in offers.values() for price in prices} or {0}, reverse=True))
        seen: list[Kernels] = []
        leanest = {name: min(prices, key=lambda p: (p.scratch, p.apart, p.cycles)) for name, prices in offers.items()}
        for taken in (*({n: _best(prices, limit) for n, prices in offers.items()} for limit in limits), leanest):
            kernels = {name: price.kernel for name, price in taken.items()}
            if kernels not in seen:
                seen.append(kernels)
                yield Choice(kernels, sum(price.cycles for price in taken.values()))

    def _offers(self, runs: Sequence[Run]) -> Mapping[str, list[Price]]:
        """By op, the kernels that fit all runs it is in."""
        found: dict[str, list[Price]] = {}
        for run in runs:
            for op in run.ops:
                if not op.alias:
                    here = self.fitting(run, op)
                    found[op.name] = _both(found[op.name], here) if op.name in found else here
        return found

    def fitting(self, run: Run, op: Op) -> list[Price]:
        """The kernels that an op may have in a run, and what they cost there."""
        kernels: Sequence[Kernel] = self.kernels[op.name]
        if run.rows is not None:
            kernels = _told_of_rows(kernels, op, run.rows)
        prices = [price for kernel in kernels if (price := self._price(run, op, kernel)) is not None]
        shared = [price for price in prices if price.kernel.isa == SHARED]
        return shared if shared and self.compact else prices

    def _price(self, run: Run, op: Op, kernel: Kernel) -> Price | None:
        """None where the kernel does not fit one of the calls by rows."""
        parts = run.rows.of[op.name] if run.rows is not None else ()
        key = op.name, kernel.key, tuple(map(id, parts))
        if key not in self._prices:
            self._prices[key] = parts, self._new_price(run, op, kernel)
        return self._prices[key][1]

    def _new_price(self, run: Run, op: Op, kernel: Kernel) -> Price | None:
        rows = run.rows
        if rows is None:
            cycles = kernel_cycles(op, self.graph.io(op), kernel, self.core)
        else:
            kinds = rows.kinds(op)
            if not rows.folds(op) and not all(kernel.fits(kind.op, kind.io) for kind in kinds):
                return None
            cycles = sum(kind.count * kernel_cycles(kind.op, kind.io, kernel, self.core) for kind in kinds)
        folded = rows is not None and rows.folds(op)
        scratch = 0 if folded else scratch_bytes(self.graph, run, op, kernel)
        return Price(kernel, cycles, scratch, self._bytes_apart(op, kernel))

    def _bytes_apart(self, op: Op, kernel: Kernel) -> int:
        """``bytes_apart`` of the whole op, also where it runs in rows: what works in place does so there too."""
        key = op.name, kernel.key
        if key not in self._apart:
            self._apart[key] = bytes_apart(op, self.graph.io(op), kernel)
        return self._apart[key]


def _apart(limits: Sequence[int]) -> list[int]:
    """Descending limits, each at most ``LESS`` of the one before, and the last."""
    found = [limits[0]]
    for limit in limits[1:-1]:
        if limit <= LESS * found[-1]:
            found.append(limit)
    return found if limits[-1] == found[-1] else [*found, limits[-1]]


def _best(prices: Sequence[Price], limit: int) -> Price:
    """The fastest within ``limit`` bytes of scratch, the first of equals; where none is, the leanest."""
    within = [price for price in prices if price.scratch <= limit]
    return min(within, key=lambda p: p.cycles) if within else min(prices, key=lambda p: (p.scratch, p.cycles))


def _both(one: Sequence[Price], other: Sequence[Price]) -> list[Price]:
    """The kernels that are in both, with the cycles of both."""
    second = {price.kernel.key: price for price in other}
    pairs = [(price, second[price.kernel.key]) for price in one if price.kernel.key in second]
    return [Price(a.kernel, a.cycles + b.cycles, max(a.scratch, b.scratch), max(a.apart, b.apart)) for a, b in pairs]


def _unsupported(op: Op, io: IO) -> Unsupported:
    types = ", ".join(str(t) for t in (*io.activations, io.out))
    return Unsupported(op.name, type(op).__name__, f"no kernel computes it on {types}")


def _told_of_rows(kernels: Sequence[Kernel], op: Op, rows: Rows) -> list[Kernel]:
    """The kernels that are told pitches, and turns where they read past the end of a ring."""
    if rows.folds(op):
        return [kernel for kernel in kernels if {"in0_last", "in0_top"} & set(kernel.arguments)]
    images = [(i, t) for i, t in enumerate(rows.of[op.name][0].io.activations) if len(t.shape) == 4]
    needed = {"out_pitch", *(f"in{i}_pitch" for i, _ in images)}
    for i, tensor in images:
        needed |= {f"in{i}_turn", f"in{i}_ring"} if rows.wraps(op, tensor.name) else set()
    told = [kernel for kernel in kernels if needed <= set(kernel.arguments)]
    if not rows.windows:
        return told
    places = {"out_top", *(f"in{i}_top" for i, _ in images)}  # count through all windows, which no kernel understands
    return [kernel for kernel in told if not places & set(kernel.arguments)]
