"""Placements against brute force, the lower bound, the independent check, and instances that defeat greed."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycompile.errors import InternalError
from tinycompile.schedule.check import check, faults
from tinycompile.schedule.place import Buffer, Overlap, Placement, Problem, solve


def fits(placed: dict[str, int], buffer: Buffer, offset: int, problem: Problem) -> bool:
    """May ``buffer`` stand at ``offset`` beside those already placed? Written apart from the search."""
    lags = {(o.below, o.above): o.lag for o in problem.overlaps}
    for other in problem.buffers:
        if other.name not in placed or other.stop <= buffer.start or buffer.stop <= other.start:
            continue
        there = placed[other.name]
        apart = offset + buffer.size <= there or there + other.size <= offset
        under = (buffer.name, other.name) in lags and offset + lags[buffer.name, other.name] <= there
        over = (other.name, buffer.name) in lags and there + lags[other.name, buffer.name] <= offset
        if not (apart or under or over):
            return False
    return True


def possible(problem: Problem, height: int, placed: dict[str, int]) -> bool:
    """Is there any placement within ``height``? Tries every aligned offset of every buffer."""
    if len(placed) == len(problem.buffers):
        return True
    buffer = problem.buffers[len(placed)]
    return any(
        fits(placed, buffer, offset, problem) and possible(problem, height, {**placed, buffer.name: offset})
        for offset in range(0, height - buffer.size + 1, buffer.align)
    )


def lowest(problem: Problem) -> int:
    """The height of the best placement, by brute force."""
    height = max(b.size for b in problem.buffers)
    while not possible(problem, height, {}):
        height += 1
    return height


@st.composite
def problems(draw: st.DrawFn, most: int = 5, largest: int = 5, align: tuple[int, ...] = (1,)) -> Problem:
    buffers = []
    for i in range(draw(st.integers(1, most))):
        start = draw(st.integers(0, 4))
        stop = draw(st.integers(start + 1, 6))
        size = draw(st.integers(1, largest))
        buffers.append(Buffer(f"b{i}", size, start, stop, draw(st.sampled_from(align))))
    pairs = [(x, y) for x in buffers for y in buffers if y.start < x.start == y.stop - 1]
    lags = [draw(st.none() | st.integers(-6, 6)) for _ in pairs]
    found = zip(pairs, lags, strict=True)
    return Problem(tuple(buffers), tuple(Overlap(x.name, y.name, lag) for (x, y), lag in found if lag is not None))


@settings(max_examples=400, deadline=None)
@given(problems())
def test_small_problems_match_brute_force(problem: Problem) -> None:
    placement = solve(problem)
    check(problem, placement)
    assert placement.optimal
    assert placement.height == lowest(problem)


@st.composite
def streams(draw: st.DrawFn) -> Problem:
    """A stage in its step: one or two inputs that die in it, rings and an output that are born in it and may reach
    into the inputs, mostly by negative lags, and something that waits."""
    count = draw(st.integers(1, 2))
    inputs = [Buffer(f"x{i}", draw(st.integers(1, 6)), draw(st.integers(-1, 0)), 2, 1) for i in range(count)]
    made = [Buffer(f"r{i}", draw(st.integers(1, 3)), 1, 2, 1) for i in range(draw(st.integers(0, 2)))]
    made.append(Buffer("out", draw(st.integers(1, 6)), 1, 3, 1))
    waits = [Buffer("waits", draw(st.integers(1, 2)), -1, draw(st.integers(1, 4)), 1)] if draw(st.booleans()) else []
    lags = [(y, x, draw(st.none() | st.integers(-x.size, y.size))) for y in made for x in inputs]
    found = tuple(Overlap(y.name, x.name, lag) for y, x, lag in lags if lag is not None)
    return Problem((*inputs, *made, *waits), found)


@settings(max_examples=200, deadline=None)
@given(streams())
def test_streams_into_their_inputs_match_brute_force(problem: Problem) -> None:
    placement = solve(problem)
    check(problem, placement)
    assert placement.optimal
    assert placement.height == lowest(problem)


@settings(max_examples=150, deadline=None)
@given(problems(most=4, largest=5, align=(1, 2, 4)))
def test_mixed_alignments_match_brute_force(problem: Problem) -> None:
    placement = solve(problem)
    check(problem, placement)
    unit = min(b.align for b in problem.buffers)
    assert placement.height == -(-lowest(problem) // unit) * unit


@settings(max_examples=100, deadline=None)
@given(problems(most=14, largest=900, align=(1, 4, 16)), st.integers(0, 3000))
def test_placements_pass_the_check_and_respect_the_bound(problem: Problem, capacity: int) -> None:
    free = solve(problem, nodes=200)
    tight = solve(replace(problem, capacity=capacity), nodes=200)
    for placement in (free, tight):
        check(problem, placement)
        assert placement.bound <= placement.height
    if free.optimal:
        assert tight.height >= free.height
        assert tight.height <= max(capacity, free.height) or not tight.optimal


@settings(max_examples=50, deadline=None)
@given(problems(most=8, largest=40))
def test_the_same_problem_gives_the_same_addresses(problem: Problem) -> None:
    assert solve(problem) == solve(problem)


def chain(sizes: list[int]) -> tuple[Buffer, ...]:
    """Output ``i`` is written in step ``i`` and read in step ``i + 1``, as in a network without branches."""
    return tuple(Buffer(f"t{i}", size, i, i + 2) for i, size in enumerate(sizes))


def test_a_chain_needs_its_largest_neighbours() -> None:
    placement = solve(Problem(chain([64, 256, 128, 512, 32])))
    assert (placement.height, placement.optimal, placement.bound) == (640, True, 640)


def test_in_place_chain_shares_one_buffer() -> None:
    buffers = chain([256, 256, 256])
    overlaps = (Overlap("t1", "t0"), Overlap("t2", "t1"))
    assert solve(Problem(buffers, overlaps)).height == 256


def test_lag_moves_the_output_below_its_input() -> None:
    placement = solve(Problem(chain([256, 256]), (Overlap("t1", "t0", 32),)))
    assert placement.height == 288
    assert placement.offsets == {"t1": 0, "t0": 32}


def test_a_lag_beyond_the_output_is_plain_separation() -> None:
    assert solve(Problem(chain([16, 8]), (Overlap("t1", "t0", 400),))).height == 24


def test_an_output_over_two_dying_inputs_covers_both() -> None:
    buffers = (Buffer("a", 64, 0, 2), Buffer("b", 64, 0, 2), Buffer("sum", 64, 1, 3))
    assert solve(Problem(buffers, (Overlap("sum", "a"), Overlap("sum", "b")))).height == 128


# At most 6 bytes are alive at once, yet every placement takes 7.
GAP = [(1, 0, 1), (2, 2, 5), (3, 4, 7), (3, 0, 1), (2, 0, 3), (2, 2, 4), (3, 5, 6), (1, 3, 5)]


def test_an_optimum_above_the_lower_bound_is_proved() -> None:
    problem = Problem(tuple(Buffer(f"g{i}", *values, 1) for i, values in enumerate(GAP)))
    assert max(sum(b.size for b in problem.buffers if b.start <= t < b.stop) for t in range(7)) == 6
    placement = solve(problem)
    check(problem, placement)
    assert (placement.height, placement.optimal, placement.bound) == (7, True, 7)
    stopped = solve(problem, nodes=0)
    assert (stopped.height, stopped.optimal, stopped.bound) == (7, False, 6)


def scattered(seed: int) -> Problem:
    """Forty buffers with random sizes and lifetimes; first fit misses the optimum of these seeds."""
    rng = random.Random(seed)
    starts = [rng.randint(0, 30) for _ in range(40)]
    return Problem(
        tuple(Buffer(f"b{i}", 4 * rng.randint(1, 100), s, s + rng.randint(1, 12)) for i, s in enumerate(starts))
    )


@pytest.mark.parametrize("seed", [21, 22, 30, 39])
def test_branch_and_bound_beats_greedy_placement(seed: int) -> None:
    problem = scattered(seed)
    placement = solve(problem)
    check(problem, placement)
    assert placement.optimal
    assert placement.height < solve(problem, nodes=0).height


def perfect(cuts: int, seed: int) -> Problem:
    """A rectangle of 64 steps and 4096 bytes cut at random into buffers: it packs without any loss."""
    rng = random.Random(seed)
    parts = [(0, 64, 0, 4096)]
    while len(parts) < cuts:
        parts.sort(key=lambda p: (p[1] - p[0]) * (p[3] - p[2]))
        start, stop, low, high = parts.pop()
        if rng.random() < 0.5 and stop - start > 1:
            at = rng.randint(start + 1, stop - 1)
            parts += [(start, at, low, high), (at, stop, low, high)]
        else:
            at = rng.randint(low // 16 + 1, high // 16 - 1) * 16
            parts += [(start, stop, low, at), (start, stop, at, high)]
    rng.shuffle(parts)
    return Problem(tuple(Buffer(f"b{i}", p[3] - p[2], p[0], p[1]) for i, p in enumerate(parts)))


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_rectangle_is_put_together_again(seed: int) -> None:
    placement = solve(perfect(12, seed))
    assert (placement.height, placement.optimal) == (4096, True)


def test_a_fit_within_capacity_ends_the_search() -> None:
    problem = perfect(60, 3)
    best = solve(problem)
    relaxed = solve(replace(problem, capacity=best.height + 1024), nodes=0)
    check(problem, relaxed)
    assert relaxed.height <= best.height + 1024


def test_two_hundred_buffers_take_seconds_at_most() -> None:
    problem = perfect(200, 1)
    before = time.process_time()
    placement = solve(problem)
    assert time.process_time() - before < 10
    check(problem, placement)
    assert placement.height <= 1.3 * 4096


def test_check_names_each_fault() -> None:
    problem = Problem(chain([8, 8]), (Overlap("t1", "t0", 4),))
    assert not faults(problem, Placement({"t0": 4, "t1": 0}, 12, True, 12))
    assert "share bytes" in faults(problem, Placement({"t0": 0, "t1": 0}, 12, False, 8))[0]
    assert "aligned" in faults(problem, Placement({"t0": 9, "t1": 0}, 20, False, 8))[0]
    assert "leaves the arena" in faults(problem, Placement({"t0": 8, "t1": 0}, 12, False, 8))[0]
    assert "differ" in faults(problem, Placement({"t0": 8}, 16, False, 8))[0]
    assert "below the bound" in faults(problem, Placement({"t0": 8, "t1": 0}, 16, False, 20))[0]
    with pytest.raises(InternalError, match="share bytes"):
        check(problem, Placement({"t0": 0, "t1": 0}, 12, False, 8))


def test_impossible_problems_are_refused() -> None:
    with pytest.raises(InternalError, match="must die"):
        Problem(chain([8, 8, 8]), (Overlap("t2", "t0"),))
    with pytest.raises(InternalError, match="share a name"):
        Problem((Buffer("a", 1, 0, 1), Buffer("a", 1, 0, 1)))
    with pytest.raises(InternalError, match="above zero"):
        Buffer("a", 0, 0, 1)
    assert solve(Problem(())) == Placement({}, 0, True, 0)
