"""Random networks against everything that the search may choose: not only the best plans must be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.equality import TAIL, build
from tests.schedule.networks import Network
from tests.schedule.test_in_place import chain as in_place_chain
from tests.schedule.wild import Wild, wild
from tinycompile.api.session import run_firmware
from tinycompile.boards import load_board
from tinycompile.codegen import render
from tinycompile.deploy import build_firmware
from tinycompile.errors import DoesNotFit, UsageError
from tinycompile.ir import Graph, Shape, verify
from tinycompile.ops import Add, AveragePool2D, Mul, Reshape
from tinycompile.schedule import RESERVED, Goal, Program, schedule
from tinycompile.schedule.candidate import Candidate, arranged
from tinycompile.schedule.liveness import Kernels, in_place, problem, rings_in_place
from tinycompile.schedule.paths import SAVED, Paths
from tinycompile.schedule.place import solve
from tinycompile.schedule.prices import LESS, Prices
from tinycompile.schedule.rows import rows_of
from tinycompile.schedule.search import Candidates
from tinycompile.schedule.segments import Path as Segments
from tinycompile.schedule.segments import Segment
from tinycompile.schedule.stages import Run
from tinycompile.simulate import Host, arena, compare, reference

BOARD = load_board("stm32l4r5")
BANKS = load_board("stm32h743")
NO_LIMIT = 1 << 62
WORD = 4
DICE = st.randoms(use_true_random=False)
QUIET = list(HealthCheck)


def explored(graph: Graph, pushed: bool) -> Paths | None:
    """All segments of a graph, streamed, tiled and whole; None where its input cannot be pushed."""
    with suppress(UsageError):
        paths = Candidates(graph, Prices(graph, BOARD), Goal(pushed=pushed)).paths
        paths.explore(NO_LIMIT)
        paths.tile()
        return paths
    return None


def some_path(paths: Paths, dice: Random) -> Segments | None:
    """Any segments from end to end, more often streams than whole ops; None where there are none."""
    end = len(paths.graph.ops)
    starts: dict[int, list[Segment]] = {}
    for segment in sorted(paths.segments, key=lambda s: -s.start):
        if segment.stop == end or segment.stop in starts:
            starts.setdefault(segment.start, []).append(segment)
    found: list[Segment] = []
    at = 0
    while at < end:
        if at not in starts:
            return None
        streams = [s for s in starts[at] if any(run.rows for run in s.runs)]
        found.append(dice.choice(streams if streams and dice.random() < 0.8 else starts[at]))
        at = found[-1].stop
    return Segments(tuple(found))


def any_way(graph: Graph, run: Run, kernels: Kernels, dice: Random) -> Run:
    """The run with its ops in place in any way that would be tried, or as it is."""
    if run.rows is None or run.rows.step != 1:
        return run
    return replace(run, rows=dice.choice(rings_in_place(graph, run, run.rows, kernels).ways()))


def some_program(dice: Random, pushed: bool) -> tuple[Network, Program] | None:
    """A random network, and any program for it that the search might look at; None where there is none."""
    net, graph = wild(dice)
    paths = explored(graph, pushed)
    path = some_path(paths, dice) if paths is not None else None
    if paths is None or path is None:
        return None
    runs = tuple(any_way(paths.graph, run, path.kernels, dice) for run in path.runs)
    runs = arranged(paths.graph, runs, path.kernels)
    one = Candidate(paths.graph, runs, path.kernels, path.cycles)
    program = one.program()
    assert program.arena_bytes >= one.placement.bound >= one.bound
    if not any(run.sweep or (run.rows and run.rows.grid != (1, 1)) for run in runs):
        assert macs(program) <= sum(op.features(graph.io(op)).macs for op in graph.ops)
    return net, program


def macs(program: Program) -> int:
    """Multiplications of all calls."""
    return sum(call.op.features(call.io(program.graph)).macs for call in program.unrolled())


def agrees(net: Network, program: Program) -> None:
    """The arena holds what the graph means."""
    inputs = net.image()
    compare(reference(program.graph, inputs), arena(program, inputs), names=("reference", f"arena of {program}"))


def agree_on_host(programs: Sequence[tuple[Network, Program]], folder: Path) -> None:
    """So do checked builds of the C."""
    library, runs = build([program for _, program in programs], folder)
    for (net, program), run in zip(programs, runs, strict=True):
        starts = [bank.start for bank in program.banks]
        host = Host(library, program.graph, run=run, arena_bytes=program.arena_bytes + TAIL, banks=starts)
        for _ in range(2):
            inputs = net.image()
            compare(reference(program.graph, inputs), host(inputs), names=("reference", f"host of {program}"))


@pytest.mark.parametrize("pushed", [False, True])
@settings(max_examples=40, suppress_health_check=QUIET)
@given(dice=DICE)
def test_any_path_computes_the_same(pushed: bool, dice: Random) -> None:
    found = some_program(dice, pushed)
    assume(found is not None)
    assert found is not None
    agrees(*found)


@pytest.mark.slow
@pytest.mark.parametrize("pushed", [False, True])
@pytest.mark.parametrize("first", range(0, 800, 400))
def test_hundreds_of_paths_compute_the_same(first: int, pushed: bool) -> None:
    found = (some_program(Random(seed), pushed) for seed in range(first, first + 400))
    programs = [one for one in found if one is not None]
    assert len(programs) > 200
    for net, program in programs:
        agrees(net, program)


def batch(seeds: Sequence[int]) -> list[tuple[Network, Program]]:
    """Programs of the networks with these seeds, every other one with a pushed input where that is possible."""
    found = (some_program(Random(seed), bool(seed % 2)) for seed in seeds)
    return [one for one in found if one is not None]


def test_any_path_computes_the_same_on_the_host(tmp_path: Path) -> None:
    programs = batch(range(40))
    assert len(programs) > 25
    agree_on_host(programs, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 400, 100))
def test_more_paths_compute_the_same_on_the_host(first: int, tmp_path: Path) -> None:
    agree_on_host(batch(range(first, first + 100)), tmp_path)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("first", range(0, 24, 12))
def test_what_is_planned_is_touched_in_the_emulator(first: int, tmp_path: Path) -> None:
    """All of the arena but what padding and the last rows of rings leave out, and nothing else."""
    for i, (net, program) in enumerate(batch(range(first, first + 12))):
        sources = render(program, name="net")
        firmware = build_firmware(sources, BOARD, tmp_path / str(i), console="semihosting")
        inputs = net.image()
        ran = run_firmware(
            firmware.elf, BOARD, program, inputs, console="semihosting", run=sources.entry, touched=True
        )  # fmt: skip
        compare(reference(program.graph, inputs), ran.outputs, names=("reference", f"emulator of {program}"))
        assert program.arena_bytes - 32 <= ran.cost.touched["tc_arena"].high_water <= program.arena_bytes


def goals(seed: int, pushed: bool) -> Iterator[tuple[Network, Program]]:
    """What is chosen for a random network under several goals; each must be what was asked for."""
    net, graph = wild(seed)
    try:
        least = schedule(graph, BOARD, Goal(least="sram", pushed=pushed))
    except UsageError:
        return
    fast = schedule(graph, BOARD, Goal(pushed=pushed))
    yield from ((net, least), (net, fast))
    sizes = {fast.arena_bytes, (least.arena_bytes + fast.arena_bytes) // 2, least.arena_bytes}
    cycles = 0
    for ram in sorted(sizes, reverse=True):
        tight = schedule(graph, BOARD, Goal(ram=ram, pushed=pushed))
        assert tight.arena_bytes <= ram
        assert tight.arena_bytes >= tight.bound
        cycles = max(cycles, sum(call.cycles(graph, BOARD.core) for call in tight.unrolled()))
        yield net, tight
    dice = Random(seed)
    near, far = (max(least.arena_bytes * dice.randint(6, 16) // 20 // 16 * 16, 16) for _ in range(2))
    with suppress(DoesNotFit):
        board = BANKS.with_memory({"dtcm": near, "sram": far + RESERVED, "sram_d2": far})
        yield net, schedule(graph, board, Goal(pushed=pushed))


def check_goals(seeds: Sequence[int], folder: Path) -> None:
    """Programs for all goals are right, on the host, too."""
    programs = [one for seed in seeds for pushed in (False, True) for one in goals(seed, pushed)]
    for net, program in programs:
        agrees(net, program)
    agree_on_host(programs[::4], folder)


def test_what_is_chosen_under_any_goal_is_right(tmp_path: Path) -> None:
    check_goals(range(8), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 200, 50))
def test_what_is_chosen_for_hundreds_of_networks_is_right(first: int, tmp_path: Path) -> None:
    check_goals(range(first, first + 50), tmp_path)


def tiny(seed: int) -> Graph | None:
    """A network of few ops."""
    dice = Random(seed)
    net = Wild(dice)
    for _ in range(dice.randint(2, 4)):
        net.grow()
    graph = net.finished()
    return graph if 2 <= len(graph.ops) <= 6 else None


def ends_alone(graph: Graph, start: int, stop: int) -> bool:
    """Whether of what these ops make only the last output is used elsewhere."""
    inside, users = {op.name for op in graph.ops[start:stop]}, graph.consumers()
    inner = (op.output for op in graph.ops[start : stop - 1])
    return not any(n in graph.outputs or any(user.name not in inside for user in users[n]) for n in inner)


def ways_between(graph: Graph, start: int, stop: int) -> Iterator[Run]:
    """One op, or a stage in whole rows or in columns."""
    ops = graph.ops[start:stop]
    if len(ops) == 1:
        yield Run(ops)
    elif ends_alone(graph, start, stop):
        found = (rows_of(graph, ops, grid=(1, columns)) for columns in (1, 2, 3, 4))
        yield from (Run(ops, rows) for rows in found if rows is not None)


def ways_through(graph: Graph, start: int = 0) -> Iterator[tuple[Run, ...]]:
    """All runs from a position to the end."""
    if start == len(graph.ops):
        yield ()
    for stop in range(start + 1, len(graph.ops) + 1):
        for run in ways_between(graph, start, stop):
            yield from ((run, *rest) for rest in ways_through(graph, stop))


def brute_force(graph: Graph, prices: Prices) -> int:
    """The fewest bytes of all cuts, columns, kernels and ways to work in place, in the given order."""
    best = NO_LIMIT
    for runs in ways_through(graph):
        ops = [(run, op) for run in runs for op in run.ops if not op.alias]
        for chosen in product(*(prices.fitting(run, op) for run, op in ops)):
            kernels = {op.name: price.kernel for (_, op), price in zip(ops, chosen, strict=True)}
            placed = tuple(in_place(graph, run, kernels) for run in runs)
            for way in (runs, placed) if any(a is not b for a, b in zip(runs, placed, strict=True)) else (runs,):
                best = min(best, solve(problem(graph, way, kernels)).height)
    return best


def check_bounds(seeds: Sequence[int]) -> int:
    """Nothing takes less than the bound, nor less than the least path but for what kernels are passed over for, or an
    alignment; returns how many networks were tried."""
    tried = 0
    for seed in seeds:
        graph = tiny(seed)
        if graph is None:
            continue
        prices = Prices(graph, BOARD)
        candidates = Candidates(graph, prices, Goal())
        assert list(candidates.all())
        *_, last = candidates.paths.front(NO_LIMIT)
        least = brute_force(candidates.paths.graph, prices)
        assert candidates.paths.floor() <= least, f"seed {seed}: {least} bytes are possible"
        scratch = max(k.scratch(op, graph.io(op)) for op in graph.ops for k in prices.kernels.get(op.name, ()))
        enough = min(SAVED * last.bytes, last.bytes - (1 - LESS) * scratch, last.bytes - WORD)
        assert enough <= least, f"seed {seed}: {least} bytes are possible, the least path has {last.bytes}"
        tried += 1
    return tried


def test_no_cut_takes_less_than_the_least_path() -> None:
    assert check_bounds(range(14)) >= 5


def named_twice(shape: Shape) -> Graph:
    """A stage that reads one tensor under two names, an image and what the shape makes of it."""
    net = Network((1, 12, 4, 2))
    x = net.conv("image", 4, 3)
    if len(shape) < 4:
        x = net.conv(net.add(AveragePool2D, x, kernel=(12, 4)), 4)
    alias = net.add(Reshape, x, shape=shape)
    other = net.conv(alias, 4, 3) if len(shape) == 4 else net.add(Mul, net.conv("image", 4), alias)
    end = net.add(Add, net.conv(x, 4, 3), other)
    return verify(Graph("twice", ("image",), (end,), tuple(net.ops), net.tensors))


@pytest.mark.parametrize("shape", [(1, 12, 4, 4), (1, 4), (4,)])
def test_rows_with_two_names_count_once(shape: Shape) -> None:
    candidates = Candidates(graph := named_twice(shape), Prices(graph, BOARD), Goal())
    least = min(one.placement.height for one in candidates.all())
    assert candidates.paths.floor() <= least <= schedule(graph, BOARD, Goal(least="sram")).arena_bytes


def test_a_path_that_only_ops_in_place_make_possible_is_found() -> None:
    """Side by side, the rings of the stage take more than another path; in place, less."""
    net, graph = in_place_chain(67)
    candidates = Candidates(graph, Prices(graph, BOARD), Goal())
    assert list(candidates.all())[-1].placement.height == 752
    agrees(net, schedule(graph, BOARD, Goal(least="sram")))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 300, 100))
def test_no_cut_of_hundreds_of_networks_takes_less_than_the_least_path(first: int) -> None:
    assert check_bounds(range(first, first + 100)) >= 30
