"""Streamed stages: rings and lags are exact, every row is made once, and programs equal the reference."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.equality import TAIL, build
from tests.schedule import toys
from tests.schedule.networks import Network, mobile
from tests.schedule.toys import Builder, Plus, Slide
from tests.schedule.wild import wild
from tinycompile.codegen import render
from tinycompile.errors import Mismatch, UsageError
from tinycompile.ir import Graph, Pad, Shape, verify
from tinycompile.ops import Add, AveragePool2D, Mul, Reshape
from tinycompile.schedule import Goal, Plan, Program, Stage, Stream, prices, schedule
from tinycompile.schedule.assemble import assemble
from tinycompile.schedule.liveness import problem
from tinycompile.schedule.place import solve
from tinycompile.schedule.rows import rows_of
from tinycompile.schedule.stages import planned
from tinycompile.simulate import Host, arena, compare, reference

LARGE = toys.board(1 << 20)
SAME = {"kernel": (3, 3), "stride": (1, 1), "pad": Pad(1, 1, 1, 1)}
HALF = {"kernel": (3, 3), "stride": (2, 2), "pad": Pad(1, 1, 1, 1)}


@pytest.fixture
def toy_kernels() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prices, "candidates", toys.candidates)
        yield


def cuts(graph: Graph, rng: np.random.Generator, tiles: bool = False) -> Plan | None:
    """Random stages, one behind the other; with ``tiles`` in random grids and at random paces."""
    names = [None, *(op.output for op in graph.ops)]
    stages: list[Stage] = []
    first = 0
    while first < len(names) - 1:
        stop = int(rng.integers(first + 1, len(names)))
        stage = Stage(str(names[stop]), names[first])
        if tiles:
            grid = int(rng.integers(1, 4)), int(rng.integers(1, 5))
            stage = replace(stage, grid=grid, step=int(rng.integers(0, 4)))
            others = [op.name for op in graph.ops if stage.step and rng.random() < 0.3]
            stage = replace(stage, paces={name: int(rng.integers(1, 4)) for name in others})
        if planned(graph, Plan((*stages, stage))) is not None:
            stages.append(stage)
            first = stop
        elif rng.random() < 0.3:
            first += 1
    return Plan(tuple(stages)) if stages else None


def planned_so(graph: Graph, plan: Plan | None) -> Program | None:
    """The program of a plan; None where there is none, as kernels read several rows at once that lie apart."""
    with contextlib.suppress(UsageError):
        return schedule(graph, LARGE, Goal(plan=plan)) if plan is not None else None
    return None


def agree(program: Program) -> None:
    """The arena holds what the graph means."""
    inputs = toys.noise(program.graph)
    expected = reference(program.graph, inputs)
    compare(expected, arena(program, inputs), names=("reference", "arena"))
    compare(expected, toys.one_by_one(program, inputs), names=("reference", "one by one"))


@pytest.mark.parametrize("tiles", [False, True])
@settings(max_examples=200, deadline=None)
@given(graph=toys.graphs(flips=False), seed=st.integers(0, 1 << 20))
def test_random_streams_equal_the_reference(graph: Graph, seed: int, tiles: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prices, "candidates", toys.candidates)
        plan = cuts(graph, np.random.default_rng(seed), tiles)
        program = planned_so(graph, plan)
    assume(program is not None)
    assert program is not None
    assert any(isinstance(step, Stream) for step in program.steps)
    agree(program)


@pytest.mark.parametrize("tiles", [False, True])
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_random_networks_equal_the_reference(seed: int, tiles: bool) -> None:
    net, graph = wild(seed)
    plan = cuts(graph, net.rng, tiles)
    program = planned_so(graph, plan)
    assume(program is not None)
    assert program is not None
    inputs = net.image()
    compare(reference(graph, inputs), arena(program, inputs), names=("reference", "arena"))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), step=st.integers(0, 3))
def test_a_pushed_input_equals_the_reference(seed: int, step: int) -> None:
    net, graph = wild(seed)
    ends = [op.output for op in graph.ops]
    plans = (Plan((Stage(end, step=step),), pushed=True) for end in reversed(ends))
    program = None
    with contextlib.suppress(UsageError):  # an input that cannot be pushed
        program = planned_so(graph, next((plan for plan in plans if planned(graph, plan) is not None), None))
    assume(program is not None)
    assert program is not None
    inputs = net.image()
    compare(reference(graph, inputs), arena(program, inputs), names=("reference", "arena"))


@pytest.mark.parametrize("tiles", [False, True])
def test_random_networks_equal_the_reference_on_the_host(tmp_path: Path, tiles: bool) -> None:
    programs: list[tuple[Network, Program]] = []
    for seed in range(40):
        net, graph = wild(seed)
        program = planned_so(graph, cuts(graph, net.rng, tiles))
        if program is not None:
            programs.append((net, program))
    assert len(programs) >= 20
    library, runs = build([program for _, program in programs], tmp_path)
    for (net, program), run in zip(programs, runs, strict=True):
        host = Host(library, program.graph, run=run, arena_bytes=program.arena_bytes + TAIL)
        for _ in range(2):
            inputs = net.image()
            compare(reference(program.graph, inputs), host(inputs), names=("reference", f"host of {program.graph}"))


@pytest.mark.parametrize("shape", [(1, 8), (8,), (1, 1, 1, 8)])
def test_what_is_read_whole_under_another_name_is_not_written_over(shape: Shape) -> None:
    """The gate is read for the last time as an image by one op of the stage, and by each row of another as a list."""
    net = Network((1, 2, 2, 1))
    gate = net.conv(net.add(AveragePool2D, "image", kernel=(2, 2)), 8)
    image = net.conv("image", 1)
    alias = net.add(Reshape, gate, shape=shape)
    end = net.add(Add, net.conv(gate, 8), net.add(Mul, image, alias))
    graph = verify(Graph("gated", ("image",), (end,), tuple(net.ops), net.tensors))
    program = schedule(graph, LARGE, Goal(plan=Plan((Stage(end, alias),))))
    inputs = net.image()
    compare(reference(graph, inputs), arena(program, inputs), names=("reference", "arena"))


def test_each_row_is_made_once_and_none_in_vain() -> None:
    _, graph = mobile()
    plan = Plan((Stage(next(op.output for op in reversed(graph.ops) if isinstance(op, AveragePool2D))),))
    program = schedule(graph, LARGE, Goal(plan=plan))
    (stream,) = (step for step in program.steps if isinstance(step, Stream))
    rows = Counter(call.op.name for call in stream.calls if call.part is None)
    heights = {op.name: graph.tensors[op.output].hw[0] for op in graph.ops if op.name in rows}
    assert all(rows[name] in (height, height - 1) for name, height in heights.items())
    macs = sum(c.op.features(c.io(graph)).macs for c in program.unrolled())
    assert macs <= sum(op.features(graph.io(op)).macs for op in graph.ops)


def residual() -> Graph:
    """Two slides beside a shortcut, then a stride."""
    build = Builder((1, 12, 5, 2))
    a = build.add(Slide, "x", **SAME)
    c = build.add(Slide, build.add(Slide, a, **SAME), **SAME)
    return build.graph(build.add(Slide, build.add(Plus, a, c), **HALF))


def test_rings_hold_what_is_still_needed() -> None:
    graph = residual()
    rows = rows_of(graph, graph.ops)
    assert rows is not None
    (cell,) = rows.cells
    assert {name: place.slots for name, place in cell.places.items()} == {"t0": 3, "t1": 3, "t2": 1, "t3": 3}
    assert [number for _, index, number in rows.calls if index == 4] == list(range(6))


def test_a_ring_shorter_by_a_row_is_wrong(toy_kernels: None) -> None:
    graph = residual()
    for name in ("t0", "t1", "t3"):
        runs = planned(graph, Plan((Stage("t4"),)))
        assert runs is not None
        rows = runs[0].rows
        assert rows is not None
        (cell,) = rows.cells
        place = replace(cell.places[name], slots=cell.places[name].slots - 1)
        cell = replace(cell, places={**cell.places, name: place})
        short = replace(rows, cells=(cell,))
        with pytest.raises(Mismatch):
            agree(placed(graph, replace(runs[0], rows=short)))


def test_a_lag_less_than_planned_is_wrong(toy_kernels: None) -> None:
    graph = residual()
    runs = planned(graph, Plan((Stage("t4"),)))
    assert runs is not None
    rows = runs[0].rows
    assert rows is not None
    lags = {pair: lag - 2 * 10 for pair, lag in rows.lags.items()}
    agree(placed(graph, runs[0]))
    with pytest.raises(Mismatch):
        agree(placed(graph, replace(runs[0], rows=replace(rows, lags=lags))))


def placed(graph: Graph, run: object) -> Program:
    """The program of one run, whatever it is."""
    kernels = {op.name: toys.candidates(op, graph.io(op))[0] for op in graph.ops}
    found = problem(graph, [run], kernels)  # type: ignore[list-item]
    return assemble(graph, [run], kernels, found, solve(found))  # type: ignore[list-item]


def test_rings_reach_into_the_rows_of_the_input_that_are_done() -> None:
    _, graph = mobile(64)
    images = [op.output for op in graph.ops if len(graph.tensors[op.output].shape) == 4]
    program = schedule(graph, LARGE, Goal(plan=Plan((Stage(images[-1]),))))
    (span,) = (s for s in program.spans if s.name == "image")
    inside = [s for s in program.spans if s.start == 0 and s.offset < span.offset + span.size]
    assert len([s for s in inside if s.offset + s.size > span.offset]) > 2
    assert program.arena_bytes < schedule(graph, LARGE).arena_bytes


def test_streams_are_chosen_where_layers_do_not_fit() -> None:
    net, graph = mobile(48)
    layers = schedule(graph, LARGE)
    assert not any(isinstance(step, Stream) for step in layers.steps)
    small = schedule(graph, LARGE, Goal(ram=layers.arena_bytes - 1))
    least = schedule(graph, LARGE, Goal(least="sram"))
    inputs = net.image()
    for program in (small, least):
        assert any(isinstance(step, Stream) for step in program.steps)
        compare(reference(graph, inputs), arena(program, inputs), names=("reference", "arena"))
    assert least.arena_bytes <= small.arena_bytes < layers.arena_bytes


def test_stages_that_cannot_be_streamed_are_refused() -> None:
    net = Network((1, 8, 8, 4))
    a = net.conv("image", 4, 3)
    b = net.conv(a, 4, 3)
    graph = net.classify(net.add(Add, a, b), 2)
    for plan in (Plan((Stage(b),)), Plan((Stage(graph.outputs[0]),)), Plan((Stage("nothing"),))):
        with pytest.raises(UsageError, match="cannot be computed so"):
            schedule(graph, LARGE, Goal(plan=plan))


def test_code_does_not_grow_with_the_rows() -> None:
    lines = []
    for size in (32, 64, 128):
        _, graph = mobile(size)
        images = [op.output for op in graph.ops if len(graph.tensors[op.output].shape) == 4]
        program = schedule(graph, LARGE, Goal(plan=Plan((Stage(images[-1]),))))
        files = render(program, name="network").files
        lines.append(files["network.c"].count(";") - files["network.c"].count("};"))
    assert max(lines) < 1.2 * min(lines)  # kernels differ with the size, which is four and sixteen times as large


def test_a_stream_prints_its_rings() -> None:
    _, graph = mobile()
    images = [op.output for op in graph.ops if len(graph.tensors[op.output].shape) == 4]
    program = schedule(graph, LARGE, Goal(plan=Plan((Stage(images[-1]),))))
    assert "stream of " in str(program)
    assert "of 3 slots" in str(program)
    assert program.memory_map().count("\n") > len(program.steps)


def test_columns_are_cut_where_rows_are_too_wide() -> None:
    net = Network((1, 12, 200, 2))
    x = net.conv(net.conv(net.conv("image", 8, 3), 8, 3, depthwise=True), 2)
    graph = net.classify(net.conv(x, 4, 3, 2), 3)
    rows = schedule(graph, LARGE, Goal(plan=Plan((Stage(graph.ops[3].output),))))
    tiles = schedule(graph, LARGE, Goal(plan=Plan((Stage(graph.ops[3].output, grid=(1, 4)),))))
    assert tiles.arena_bytes < rows.arena_bytes
    ring = next(call.output for call in tiles.unrolled() if call.output.slots)
    assert ring.pitch < 200 * 8 / 3
    inputs = net.image()
    compare(reference(graph, inputs), arena(tiles, inputs), names=("reference", "arena"))
    assert "stream of " in str(tiles)
    assert " in 1x4 cells, 1 row a call" in str(tiles)
    chosen = schedule(graph, LARGE, Goal(ram=tiles.arena_bytes))
    assert chosen.arena_bytes <= tiles.arena_bytes
