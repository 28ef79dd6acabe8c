"""Which kernels' constants the flash can hold: a kernel may be faster because its weights are stored twice as wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinycompile.backends import SHARED, Kernel
from tinycompile.cost import kernel_cycles
from tinycompile.ir import Graph, Op

OWN_CODE = 1100
"""Bytes of a layer's own function: the mean of 950 of the shared models on five boards (300 to 3,000)."""


@dataclass(frozen=True)
class Offer:
    """A kernel for a whole op: predicted cycles, and bytes of constants, perhaps with those of its code."""

    kernel: Kernel
    cycles: int
    size: int


def affordable(
    graph: Graph,
    ops: Sequence[Op],
    kernels: Mapping[str, tuple[Kernel, ...]],
    core: str,
    budget: int,
    own_code: int = 0,
) -> Mapping[str, tuple[Kernel, ...]]:
    """The kernels of each op, less those whose constants are too large for all to fit into ``budget`` bytes.

    Each op starts with its fastest kernel. While the sum is too large, the op that loses the fewest cycles for each
    byte it saves goes on to a smaller one (the greedy solution of the multiple-choice knapsack problem over convex
    hulls: Sinha, Zoltners, 1979). Where even the smallest are too large together, those are left. Kernels that do not
    share their code take ``own_code`` bytes more.
    """
    sizes = {op.name: [_size(graph, op, kernel, own_code) for kernel in kernels[op.name]] for op in ops}
    ways = {op.name: _front(graph, op, kernels[op.name], sizes[op.name], core) for op in ops}
    size = sum(offers[0].size for offers in ways.values())
    while size > budget and any(len(offers) > 1 for offers in ways.values()):
        name, step = min(((n, _step(offers)) for n, offers in ways.items() if len(offers) > 1), key=lambda x: x[1])
        before = ways[name][0].size
        ways[name] = ways[name][step[1] :]
        size -= before - ways[name][0].size
    return {name: _within(kernels[name], sizes[name], offers[0].size) for name, offers in ways.items()}


def _size(graph: Graph, op: Op, kernel: Kernel, own_code: int) -> int:
    return kernel.flash(op, graph.io(op)) + (own_code if kernel.isa != SHARED else 0)


def _front(graph: Graph, op: Op, kernels: Sequence[Kernel], sizes: Sequence[int], core: str) -> list[Offer]:
    """The offers of which none is both slower and larger than another, the fastest first."""
    io = graph.io(op)
    offers = [Offer(k, kernel_cycles(op, io, k, core), size) for k, size in zip(kernels, sizes, strict=True)]
    found: list[Offer] = []
    for offer in sorted(offers, key=lambda o: (o.cycles, o.size)):
        if not found or offer.size < found[-1].size:
            found.append(offer)
    return found


def _step(offers: Sequence[Offer]) -> tuple[float, int]:
    """The cheapest way down from the first offer: cycles a byte, and how many offers further it is."""
    first = offers[0]
    return min(((o.cycles - first.cycles) / (first.size - o.size), i) for i, o in enumerate(offers) if i)


def _within(kernels: Sequence[Kernel], sizes: Sequence[int], most: int) -> tuple[Kernel, ...]:
    return tuple(kernel for kernel, size in zip(kernels, sizes, strict=True) if size <= most)
