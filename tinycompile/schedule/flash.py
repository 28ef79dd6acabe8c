"""Which kernels' constants the flash can hold: a kernel may be faster because its weights are stored twice as wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinycompile.backends import Kernel
from tinycompile.cost import kernel_cycles
from tinycompile.ir import Graph, Op


@dataclass(frozen=True)
class Offer:
    """A kernel for a whole op: predicted cycles, and bytes of constants."""

    kernel: Kernel
    cycles: int
    size: int


def affordable(
    graph: Graph, ops: Sequence[Op], kernels: Mapping[str, tuple[Kernel, ...]], core: str, budget: int
) -> Mapping[str, tuple[Kernel, ...]]:
    """The kernels of each op, less those whose constants are too large for all to fit into ``budget`` bytes.

    Each op starts with its fastest kernel. While the sum is too large, the op that loses the fewest cycles for each
    byte it saves goes on to a smaller one (the greedy solution of the multiple-choice knapsack problem over convex
    hulls: Sinha, Zoltners, 1979). Where even the smallest are too large together, those are left.
    """
    ways = {op.name: _front(graph, op, kernels[op.name], core) for op in ops}
    size = sum(offers[0].size for offers in ways.values())
    while size > budget and any(len(offers) > 1 for offers in ways.values()):
        name, step = min(((n, _step(offers)) for n, offers in ways.items() if len(offers) > 1), key=lambda x: x[1])
        before = ways[name][0].size
        ways[name] = ways[name][step[1] :]
        size -= before - ways[name][0].size
    return {name: _within(graph, name, kernels[name], offers[0].size) for name, offers in ways.items()}


def _front(graph: Graph, op: Op, kernels: Sequence[Kernel], core: str) -> list[Offer]:
    """The offers of which none is both slower and larger than another, the fastest first."""
    io = graph.io(op)
    offers = [Offer(k, kernel_cycles(op, io, k, core), k.flash(op, io)) for k in kernels]
    found: list[Offer] = []
    for offer in sorted(offers, key=lambda o: (o.cycles, o.size)):
        if not found or offer.size < found[-1].size:
            found.append(offer)
    return found


def _step(offers: Sequence[Offer]) -> tuple[float, int]:
    """The cheapest way down from the first offer: cycles a byte, and how many offers further it is."""
    first = offers[0]
    return min(((o.cycles - first.cycles) / (first.size - o.size), i) for i, o in enumerate(offers) if i)


def _within(graph: Graph, name: str, kernels: Sequence[Kernel], size: int) -> tuple[Kernel, ...]:
    (op,) = (op for op in graph.ops if op.name == name)
    return tuple(kernel for kernel in kernels if kernel.flash(op, graph.io(op)) <= size)
