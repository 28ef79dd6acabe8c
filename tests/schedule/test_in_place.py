"""In place inside streams: rings that are shared are shorter, and no row is overwritten too early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.equality import TAIL, build
from tests.schedule import toys
from tests.schedule.networks import Network
from tinycompile.backends import candidates
from tinycompile.errors import Mismatch
from tinycompile.ir import Graph, Pad, verify
from tinycompile.ops import Add, MaxPool2D, Unary
from tinycompile.ops.unary import Step
from tinycompile.schedule import Goal, Plan, Program, Stage, schedule
from tinycompile.schedule.assemble import assemble
from tinycompile.schedule.liveness import Kernels, in_place, problem
from tinycompile.schedule.place import solve
from tinycompile.schedule.rows import Rows
from tinycompile.schedule.stages import Run, planned
from tinycompile.simulate import Host, arena, compare, reference

LARGE = toys.board(1 << 20)


def kernels(graph: Graph) -> Kernels:
    """The first kernel of each op that does as it is told about rings."""
    found = {}
    for op in (op for op in graph.ops if not op.alias):
        rows = candidates(op, graph.io(op))
        found[op.name] = next((row for row in rows if op.fold(graph.io(op)) and "in0_last" in row.arguments), rows[0])
    return found


def program_of(graph: Graph, runs: tuple[Run, ...]) -> Program:
    """The runs as they are."""
    chosen = kernels(graph)
    found = problem(graph, runs, chosen)
    return assemble(graph, runs, chosen, found, solve(found))


def stage(graph: Graph, until: str, grid: tuple[int, int] = (1, 1)) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The runs with one stage, its rings side by side, and in place."""
    runs = planned(graph, Plan((Stage(until, grid=grid),)))
    assert runs is not None
    return runs, tuple(in_place(graph, run, kernels(graph)) for run in runs)


def rows_of(runs: tuple[Run, ...]) -> Rows:
    """The stage among some runs."""
    return next(run.rows for run in runs if run.rows is not None)


def head() -> tuple[Network, Graph, str]:
    """An inverted bottleneck behind a convolution."""
    net = Network((1, 16, 12, 3))
    y = net.conv(net.conv(net.conv("image", 16, 3), 16, 3, depthwise=True), 4)
    return net, net.classify(y, 3), y


def agree_on_host(programs: list[tuple[Network, Program]], folder: Path) -> None:
    """Checked builds compute what the graphs mean, and so does the arena."""
    library, runs = build([program for _, program in programs], folder)
    for (net, program), run in zip(programs, runs, strict=True):
        host = Host(library, program.graph, run=run, arena_bytes=program.arena_bytes + TAIL)
        for _ in range(2):
            inputs = net.image()
            expected = reference(program.graph, inputs)
            compare(expected, arena(program, inputs), names=("reference", f"arena of {program.graph}"))
            compare(expected, host(inputs), names=("reference", f"host of {program.graph}"))


def test_a_depthwise_row_lies_a_pixel_below_the_row_it_replaces(tmp_path: Path) -> None:
    net, graph, until = head()
    apart, shared = stage(graph, until)
    wide, deep = (op.output for op in graph.ops[:2])
    (cell,) = rows_of(shared).cells
    above, below = cell.places[wide], cell.places[deep]
    assert (above.slots, below.slots) == (3, 3)
    assert (above.offset, below.offset, above.pitch) == (16, 0, 12 * 16 + 16)
    assert (below.scale, below.shift) == (1, -1)
    assert sum(rows_of(apart).ring_bytes.values()) == 4 * 12 * 16
    assert sum(rows_of(shared).ring_bytes.values()) == 3 * (12 * 16 + 16)
    agree_on_host([(net, program_of(graph, runs)) for runs in (apart, shared)], tmp_path)


def test_without_the_pixel_between_them_it_is_wrong(tmp_path: Path) -> None:
    net, graph, until = head()
    _, shared = stage(graph, until)
    (cell,) = rows_of(shared).cells
    places = {name: replace(place, offset=0) for name, place in cell.places.items()}
    wrong = [
        replace(run, rows=replace(run.rows, cells=(replace(cell, places=places),))) if run.rows else run
        for run in shared
    ]
    with pytest.raises(Mismatch):
        agree_on_host([(net, program_of(graph, tuple(wrong)))], tmp_path)


def residual() -> tuple[Network, Graph, str]:
    """A sum of two branches, each of which is read for the last time there."""
    net = Network((1, 16, 12, 4))
    x = net.conv("image", 8, 3)
    y = net.add(Add, net.conv(net.conv(x, 8, 3), 8, 3), x)
    return net, net.classify(net.conv(y, 4, 3, 2), 3), y


def test_a_sum_is_written_over_one_of_its_inputs(tmp_path: Path) -> None:
    net, graph, _ = residual()
    until = next(op.output for op in reversed(graph.ops) if len(graph.tensors[op.output].shape) == 4)
    apart, shared = stage(graph, until)
    add = next(op for op in graph.ops if isinstance(op, Add))
    assert any(rows_of(shared).buffers[name] == rows_of(shared).buffers[add.output] for name in add.inputs)
    assert sum(rows_of(shared).ring_bytes.values()) < sum(rows_of(apart).ring_bytes.values())
    agree_on_host([(net, program_of(graph, shared))], tmp_path)


def test_a_shared_ring_shorter_by_a_slot_is_wrong() -> None:
    net, graph, until = head()
    _, shared = stage(graph, until)
    (cell,) = rows_of(shared).cells
    places = {name: replace(place, slots=place.slots - 1) for name, place in cell.places.items()}
    runs = tuple(
        replace(run, rows=replace(run.rows, cells=(replace(cell, places=places),))) if run.rows else run
        for run in shared
    )
    inputs = net.image()
    with pytest.raises(Mismatch):
        compare(reference(graph, inputs), arena(program_of(graph, runs), inputs), names=("reference", "arena"))


def chain(seed: int) -> tuple[Network, Graph]:
    """A random chain of ops of which most may work in place."""
    rng = np.random.default_rng(seed)
    net = Network((1, int(rng.integers(5, 24)), int(rng.integers(3, 14)), int(rng.integers(1, 7))), seed)
    images = ["image"]
    for _ in range(int(rng.integers(3, 11))):
        x = images[-1]
        tensor = net.tensors[x]
        kind = rng.choice(["pointwise", "depthwise", "depthwise", "conv", "add", "table", "max"])
        if kind == "depthwise":
            stride = int(rng.integers(1, 3)) if min(tensor.hw) > 2 else 1
            images.append(net.conv(x, tensor.channels, int(rng.choice([3, 5])), stride, depthwise=True))
        elif kind == "add":
            images.append(net.add(Add, x, str(rng.choice([n for n in images if net.tensors[n].shape == tensor.shape]))))
        elif kind == "table":
            images.append(net.add(Unary, x, steps=(Step("sigmoid"),)))
        elif kind == "max" and min(tensor.hw) > 2:
            images.append(net.add(MaxPool2D, x, kernel=(3, 3), stride=(1, 1), pad=Pad(1, 1, 1, 1)))
        else:
            images.append(net.conv(x, int(rng.integers(1, 13)), 3 if kind == "conv" else 1))
    used = {name for op in net.ops for name in op.inputs}
    outputs = tuple(op.output for op in net.ops if op.output not in used)
    return net, verify(Graph("chain", ("image",), outputs, tuple(net.ops), net.tensors))


def test_random_chains_compute_the_same_in_place(tmp_path: Path) -> None:
    programs, grown = [], 0
    for seed in range(60):
        net, graph = chain(seed)
        for op in reversed(graph.ops):
            grid = (1, 2) if seed % 3 == 0 and graph.tensors[op.output].hw[1] > 1 else (1, 1)
            if planned(graph, Plan((Stage(op.output, grid=grid),))) is None:
                continue
            apart, shared = stage(graph, op.output, grid)
            if rows_of(apart) is not rows_of(shared):
                places = [place for cell in rows_of(shared).cells for place in cell.places.values()]
                grown += any(place.offset or place.scale > 1 for place in places)
                programs.append((net, program_of(graph, shared)))
            break
    assert len(programs) >= 20
    assert grown >= 10
    agree_on_host(programs, tmp_path)


def test_the_search_takes_what_is_smaller() -> None:
    _, graph, until = head()
    apart, shared = (program_of(graph, runs).arena_bytes for runs in stage(graph, until))
    found = schedule(graph, LARGE, Goal(plan=Plan((Stage(until),)), least="sram")).arena_bytes
    assert shared < apart and found < apart
