"""The front of memory and cycles: nothing on it is beaten by anything else that was found."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.schedule import toys
from tests.schedule.networks import mobile
from tests.schedule.wild import wild
from tinycompile.errors import UsageError
from tinycompile.ir import Graph
from tinycompile.schedule import Goal, Program, Stream, schedule
from tinycompile.schedule.prices import Prices
from tinycompile.schedule.search import Candidates, layer_by_layer, trade_offs
from tinycompile.simulate import arena, compare, reference

BOARD = toys.board(1 << 20)


def cycles(program: Program) -> int:
    return sum(call.cycles(program.graph, BOARD.core) for call in program.unrolled())


def falls(programs: tuple[Program, ...]) -> bool:
    """Whether each program is slower than the one before, and takes less memory."""
    needs = [(cycles(p), p.arena_bytes) for p in programs]
    return all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(needs))


@pytest.mark.parametrize("pushed", [False, True])
def test_no_point_beats_another_and_all_that_was_found_is_beaten(pushed: bool) -> None:
    _, graph = mobile(40)
    goal = Goal(pushed=pushed)
    front = trade_offs(graph, BOARD, goal)
    assert len(front) > 1 and falls(front)
    for one in Candidates(graph, Prices(graph, BOARD), goal).all():
        assert any(p.arena_bytes <= one.placement.height and cycles(p) <= one.cycles for p in front)


@pytest.mark.parametrize("pushed", [False, True])
def test_the_plan_with_the_least_memory_is_on_the_front(pushed: bool) -> None:
    _, graph = mobile(40)
    least = schedule(graph, BOARD, Goal(least="sram", pushed=pushed))
    front = trade_offs(graph, BOARD, Goal(pushed=pushed))
    assert (least.arena_bytes, cycles(least)) in [(p.arena_bytes, cycles(p)) for p in front]
    assert front[-1].arena_bytes <= least.arena_bytes


def test_layer_by_layer_is_what_the_front_is_compared_with() -> None:
    _, graph = mobile(40)
    layers, fits = layer_by_layer(graph, BOARD), schedule(graph, BOARD)
    assert not any(isinstance(step, Stream) for step in layers.steps)
    assert (layers.arena_bytes, cycles(layers)) == (fits.arena_bytes, cycles(fits))
    assert cycles(trade_offs(graph, BOARD)[0]) <= cycles(layers)
    assert all(p.position is not None for p in trade_offs(graph, BOARD, Goal(pushed=True)))


@settings(max_examples=15)
@given(st.integers(0, 1 << 30), st.booleans())
def test_every_point_of_any_network_computes_what_it_means(seed: int, pushed: bool) -> None:
    net, graph = wild(seed)
    front = _front(graph, pushed)
    assert falls(front)
    inputs = net.image()
    for program in front:
        compare(reference(graph, inputs), arena(program, inputs), names=("reference", "arena"))


def _front(graph: Graph, pushed: bool) -> tuple[Program, ...]:
    try:
        return trade_offs(graph, BOARD, Goal(pushed=pushed))
    except UsageError:
        assume(not pushed)
        raise
