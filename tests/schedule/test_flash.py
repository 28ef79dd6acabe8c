"""The flash as a budget: which kernels' constants are worth it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedule import toys
from tinycompile.backends import Kernel
from tinycompile.cost import kernel_cycles
from tinycompile.schedule.flash import affordable

ROW = Kernel("row", toys.Flip, "toys/none.c.j2", cycles={"call": 1})
Offers = list[list[tuple[int, int]]]


def kernel(name: str, cycles: int, size: int) -> Kernel:
    """A kernel of that many cycles and bytes, whatever the op."""
    return replace(ROW, name=name, cycles={"call": cycles}, flash=lambda op, io: size)


def best(offers: Offers, budget: int) -> tuple[int, int]:
    """Cycles and bytes of what ``affordable`` leaves, each op at its fastest."""
    builder, last = toys.Builder((1, 8, 8, 1)), "x"
    for _ in offers:
        last = builder.add(toys.Flip, last)
    graph = builder.graph(last)
    kernels = {
        op.name: tuple(kernel(f"{op.name}{i}", *offer) for i, offer in enumerate(mine))
        for op, mine in zip(graph.ops, offers, strict=True)
    }
    left = affordable(graph, graph.ops, kernels, "cortex-m4", budget)
    cycles = size = 0
    for op in graph.ops:
        chosen = min(left[op.name], key=lambda k: (kernel_cycles(op, graph.io(op), k, "cortex-m4"), k.name))
        cycles += kernel_cycles(op, graph.io(op), chosen, "cortex-m4")
        size += chosen.flash(op, graph.io(op))
    return cycles, size


OFFERS = st.lists(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=4), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(OFFERS, st.integers(0, 200))
def test_what_is_left_fits_wherever_anything_fits(offers: Offers, budget: int) -> None:
    cycles, size = best(offers, budget)
    least = sum(min(size for _, size in mine) for mine in offers)
    assert size <= max(budget, least)
    sums = [np.sum(ways, axis=0) for ways in product(*offers)]
    assert cycles >= min(c for c, s in sums if s <= max(budget, least))


def test_the_cheapest_bytes_go_first() -> None:
    offers = [[(10, 100), (20, 50)], [(10, 100), (90, 50)]]
    assert best(offers, 200) == (20, 200)
    assert best(offers, 199) == (30, 150)
    assert best(offers, 149) == (110, 100)
    assert best(offers, 0) == (110, 100)
