"""Arenas over several memories: what goes where, against brute force, and networks that need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product, repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import TAIL, build
from tests.schedule.networks import Network, mobile
from tests.schedule.test_place import possible, problems
from tests.schedule.wild import wild
from tinycompile.boards import Board, load_board
from tinycompile.errors import DoesNotFit, InternalError
from tinycompile.schedule import RESERVED, Bank, Goal, Plan, Program, Stage, Stream, schedule
from tinycompile.schedule.banks import Layout, Memory, Room, arrange, spread
from tinycompile.schedule.check import bank_faults, check, check_banks
from tinycompile.schedule.place import Buffer, Overlap, Placement, Problem, solve
from tinycompile.simulate import Host, PushedHost, arena, compare, reference

PAGE = 4096


def board(dtcm: int, sram: int, sram_d2: int) -> Board:
    """An stm32h743 that has so many bytes for the arena in each of its banks."""
    return load_board("stm32h743").with_memory({"dtcm": dtcm, "sram": sram + RESERVED, "sram_d2": sram_d2})


def feasible(problem: Problem, sizes: Sequence[int]) -> bool:
    """Whether the buffers fit into banks of these sizes, by trying every choice of a bank and every offset."""

    def part(chosen: tuple[int, ...], bank: int) -> Problem:
        names = {b.name for b, i in zip(problem.buffers, chosen, strict=True) if i == bank}
        overlaps = tuple(o for o in problem.overlaps if {o.below, o.above} <= names)
        return Problem(tuple(b for b in problem.buffers if b.name in names), overlaps)

    choices = product(range(len(sizes)), repeat=len(problem.buffers))
    return any(all(possible(part(c, i), size, {}) for i, size in enumerate(sizes)) for c in choices)


def checked(problem: Problem, layout: Layout, rooms: Sequence[Room]) -> None:
    check(problem, layout.placement)
    check_banks(problem, layout.placement, layout.banks, {room.region: room.size for room in rooms})


def scaled(problem: Problem) -> Problem:
    """The same problem in units of 16 bytes, of which a bank is made."""
    buffers = tuple(replace(b, size=16 * b.size, align=16) for b in problem.buffers)
    return Problem(buffers, tuple(replace(o, lag=16 * o.lag) for o in problem.overlaps))


def named(*sizes: int) -> tuple[Room, ...]:
    return tuple(Room(f"bank{i}", size) for i, size in enumerate(sizes))


@settings(max_examples=300, deadline=None)
@given(problems(), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(0, 1 << 30))
def test_small_problems_fit_where_brute_force_fits_them(problem: Problem, sizes: list[int], seed: int) -> None:
    rooms = named(*(16 * size for size in sizes))
    heat = dict(zip((b.name for b in problem.buffers), np.random.default_rng(seed).random(5), strict=False))
    large = scaled(problem)
    layout = spread(large, rooms, heat)
    assert (layout is not None) == feasible(problem, sizes)
    if layout is not None:
        checked(large, layout, rooms)


@settings(max_examples=60, deadline=None)
@given(problems(most=14, largest=900, align=(1, 4, 16)), st.lists(st.integers(1, 150), min_size=2, max_size=4))
def test_larger_problems_pass_the_check(problem: Problem, sizes: list[int]) -> None:
    rooms = named(*(16 * size for size in sizes))
    layout = spread(problem, rooms, {b.name: b.size % 7 for b in problem.buffers})
    if layout is not None:
        checked(problem, layout, rooms)
    else:
        assert solve(problem).height > 16 * max(sizes)


def test_the_hottest_buffers_lie_nearest_to_the_core() -> None:
    buffers = tuple(Buffer(name, 40, 0, 1) for name in "abcd")
    layout = spread(Problem(buffers), named(80, 100), {"a": 1.0, "b": 4.0, "c": 3.0, "d": 2.0})
    assert layout is not None
    assert {n for n, offset in layout.placement.offsets.items() if offset < 80} == {"b", "c"}
    assert layout.banks == (Bank("bank0", 0, 80), Bank("bank1", 80, 80))


def test_a_bank_starts_at_a_multiple_of_sixteen_and_empty_ones_are_left_out() -> None:
    buffers = (Buffer("a", 5, 0, 1), Buffer("b", 200, 0, 1))
    layout = spread(Problem(buffers), named(16, 48, 208), {"a": 9.0, "b": 1.0})
    assert layout is not None
    assert layout.banks == (Bank("bank0", 0, 16), Bank("bank2", 16, 200))


def test_what_fits_the_nearest_bank_is_in_one_piece() -> None:
    problem = Problem((Buffer("a", 64, 0, 2), Buffer("b", 64, 1, 3)), (Overlap("b", "a"),))
    whole = solve(problem)
    cold = dict.fromkeys("ab", 0.0)
    for sizes, compact, banks in [
        ((64, 128), False, [Bank("bank0", 0, 64)]),
        ((63, 64), False, [Bank("bank1", 0, 64)]),
        ((128, 64, 64), True, [Bank("bank0", 0, 64)]),
    ]:
        found = arrange(problem, whole, Memory(named(*sizes), sum(sizes)), lambda: cold, compact=compact)
        assert found is not None and list(found.banks) == banks
    apart = replace(problem, overlaps=())
    two = arrange(apart, solve(apart), Memory(named(64, 128), 192), lambda: cold)
    one = arrange(apart, solve(apart), Memory(named(64, 128), 192), lambda: cold, compact=True)
    assert two is not None and one is not None
    assert [bank.region for bank in two.banks] == ["bank0", "bank1"]
    assert [bank.region for bank in one.banks] == ["bank1"]
    assert arrange(apart, solve(apart), Memory(named(64, 64), 127), lambda: cold) is None


@pytest.mark.parametrize(
    ("banks", "sizes", "fault"),
    [
        ((Bank("near", 0, 32), Bank("far", 32, 32)), {"near": 32, "far": 64}, "b, 32 bytes at 16, does not lie in one"),
        ((Bank("near", 0, 64),), {"near": 63}, "64 bytes in near, which has 63"),
        ((Bank("near", 0, 64),), {}, "which has 0"),
        ((Bank("near", 0, 48),), {"near": 64}, "the banks end at 48, the arena at 64"),
        ((Bank("near", 0, 16), Bank("far", 32, 32)), {"near": 64, "far": 64}, "far starts at 32"),
        ((Bank("near", 0, 8), Bank("far", 8, 56)), {"near": 64, "far": 64}, "far starts at 8"),
        ((Bank("near", 0, 16), Bank("near", 16, 48)), {"near": 64}, "two banks lie in one region"),
    ],
)
def test_the_check_finds_wrong_banks(banks: tuple[Bank, ...], sizes: dict[str, int], fault: str) -> None:
    problem = Problem((Buffer("a", 16, 0, 1), Buffer("b", 32, 0, 1), Buffer("c", 16, 0, 1)))
    placement = Placement({"a": 0, "b": 16, "c": 48}, 64, True, 64)
    assert any(fault in found for found in bank_faults(problem, placement, banks, sizes))
    with pytest.raises(InternalError, match="memory plan is wrong"):
        check_banks(problem, placement, banks, sizes)


def test_a_program_refuses_banks_that_do_not_make_its_arena() -> None:
    _, graph = mobile()
    program = schedule(graph, board(1 << 16, 1 << 16, 1 << 16))
    assert program.banks == (Bank("dtcm", 0, program.arena_bytes),)
    with pytest.raises(InternalError, match="do not make an arena"):
        replace(program, banks=(Bank("dtcm", 0, 16),))


def test_one_memory_is_as_it_was() -> None:
    _, graph = mobile()
    program = schedule(graph, load_board("stm32f746"))
    assert program.banks == (Bank("sram", 0, program.arena_bytes),)
    assert "bank" not in str(program) and not program.memory_map().startswith("|")


def split() -> list[tuple[Network, Program]]:
    """Networks in banks of which none could hold them alone: by layers, with streams, and with a pushed input."""
    found = []
    for seed in range(40):
        net, graph = wild(seed)
        need = schedule(graph, load_board("stm32f746")).arena_bytes
        part = max(need * 3 // 5 // 16 * 16, 16)
        try:
            program = schedule(graph, board(part // 2 // 16 * 16 or 16, part, part))
        except DoesNotFit:
            continue
        if len(program.banks) > 1:
            found.append((net, program))
    net, graph = mobile()
    (*_, last) = (op.output for op in graph.ops if len(graph.tensors[op.output].shape) == 4)
    for pushed in (False, True):
        plan = Plan((Stage(last),), pushed=pushed)
        found.append((net, schedule(graph, board(1024, 4096, 2048), Goal(plan=plan))))
    return found


def test_programs_over_several_banks_equal_the_reference(tmp_path: Path) -> None:
    programs = split()
    assert len(programs) >= 10 and {len(p.banks) for _, p in programs} >= {2, 3}
    library, runs = build([program for _, program in programs], tmp_path)
    for (net, program), run in zip(programs, runs, strict=True):
        assert all(bank.start % 16 == 0 for bank in program.banks)
        starts = [bank.start for bank in program.banks]
        host = Host(library, program.graph, run=run, arena_bytes=program.arena_bytes + TAIL, banks=starts)
        for _ in range(2):
            inputs = net.image()
            expected = reference(program.graph, inputs)
            compare(expected, arena(program, inputs), names=("reference", "arena"))
            compare(expected, host(inputs), names=("reference", "host"))
    net, program = programs[-1]
    name = runs[-1].removesuffix("_run")
    pushing = PushedHost(library, program, name=name, arena_bytes=program.arena_bytes + TAIL)
    inputs = net.image()
    compare(reference(program.graph, inputs), pushing.infer(inputs, repeat(1)), names=("reference", "rows pushed"))


def test_a_kernel_that_leaves_its_bank_is_noticed(tmp_path: Path) -> None:
    """Each part of a split arena is guarded: the test above can fail."""
    net, program = next((n, p) for n, p in split() if len(p.banks) == 2 and not p.inputs[0].slots)
    library, (run,) = build([program], tmp_path)
    wrong = [program.banks[0].start, program.banks[1].start - 16]  # as if the second part began in the first
    host = Host(library, program.graph, run=run, arena_bytes=program.arena_bytes + TAIL, banks=wrong)
    with pytest.raises(Exception, match=r"canary|differ"):
        for _ in range(8):
            inputs = net.image()
            compare(reference(program.graph, inputs), host(inputs), names=("reference", "host"))


def test_hot_rings_lie_in_the_nearest_bank() -> None:
    _, graph = mobile(64, 8, 4)
    images = [op.output for op in graph.ops if len(graph.tensors[op.output].shape) == 4]
    program = schedule(graph, board(16 * 1024, 64 * 1024, 1024), Goal(plan=Plan((Stage(images[9]),))))
    (stream,) = (step for step in program.steps if isinstance(step, Stream))
    rings = {call.output.tensor: call.output for call in stream.calls if call.output.slots}
    assert len(rings) >= 4 and len(program.banks) > 1
    assert all(program.banks[program.place(view.offset)[0]].region == "dtcm" for view in rings.values())
    assert program.banks[program.place(program.inputs[0].offset)[0]].region == "sram"


def test_the_least_memory_is_in_one_piece_where_it_can_be() -> None:
    _, graph = mobile()
    least = schedule(graph, load_board("stm32f746"), Goal("sram")).arena_bytes
    small = board(least - 16, least, PAGE)
    assert schedule(graph, small, Goal("sram")).banks == (Bank("sram", 0, least),)


def test_what_fits_one_bank_fits_whatever_the_others_hold() -> None:
    _, graph = mobile()
    least = schedule(graph, load_board("stm32f746"), Goal("sram")).arena_bytes
    for rest in (16, 64, 256, 1024):
        assert schedule(graph, board(rest, least, rest)).arena_bytes <= least + 2 * rest


def test_a_limit_holds_for_all_banks_together() -> None:
    _, graph = mobile()
    need = schedule(graph, load_board("stm32f746")).arena_bytes
    program = schedule(graph, load_board("stm32h743"), Goal(ram=need - 4))
    assert program.arena_bytes < need
    with pytest.raises(DoesNotFit) as caught:
        schedule(graph, load_board("stm32h743"), Goal(ram=1000))
    assert caught.value.available == 1000


def test_a_program_shows_its_banks() -> None:
    _, graph = mobile()
    program = schedule(graph, board(2048, 8192, 8192))
    assert len(program.banks) > 1
    for bank in program.banks:
        assert f"bank   {bank.region}: {bank.size:,} bytes @{bank.start}" in str(program)
    assert program.memory_map().startswith("|dtcm")
