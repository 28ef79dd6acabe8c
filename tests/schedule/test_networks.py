"""Networks of real operators: reference == arena == host, layer by layer and in patches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.equality import TAIL, build
from tests.schedule import toys
from tests.schedule.networks import mobile
from tinycompile.schedule import Goal, Plan, Program, Stage, Stream, schedule
from tinycompile.simulate import Host, arena, compare, reference


def variants() -> list[Program]:
    _, graph = mobile()
    images = [op.output for op in graph.ops if len(graph.tensors[op.output].shape) == 4]
    board = toys.board(1 << 20)
    goals = [
        Goal(),
        Goal(least="sram"),
        Goal(plan=Plan((Stage(images[4], None, (3, 1), 0),))),
        Goal(plan=Plan((Stage(images[7], None, (3, 2), 0),))),
        Goal(plan=Plan((Stage(images[7], images[4], (2, 2), 0),))),
    ]
    return [schedule(graph, board, goal) for goal in goals]


def test_every_plan_computes_the_same_on_the_host(tmp_path: Path) -> None:
    programs = variants()
    library, runs = build(programs, tmp_path)
    net, graph = mobile()
    for _ in range(3):
        inputs = net.image()
        expected = reference(graph, inputs)
        for program, run in zip(programs, runs, strict=True):
            host = Host(library, graph, run=run, arena_bytes=program.arena_bytes + TAIL)
            compare(expected, arena(program, inputs), names=("reference", "arena"))
            compare(expected, host(inputs), names=("reference", "host"))


def test_patches_take_less_memory_and_more_cycles() -> None:
    layers, least, *staged = variants()
    assert not any(isinstance(step, Stream) for step in layers.steps)
    assert least.arena_bytes < layers.arena_bytes
    assert all(any(isinstance(step, Stream) for step in p.steps) for p in staged)
    assert len(list(staged[1].unrolled())) > len(list(layers.unrolled()))


def test_depthwise_convolutions_of_the_same_size_run_in_place() -> None:
    layers = variants()[0]
    views = {call.output.tensor: (call.inputs[0], call.output) for call in layers.unrolled()}
    shared = [
        out.tensor
        for source, out in views.values()
        if "conv2d" in out.tensor and source.offset < out.offset + out.shape[1] * out.pitch
        and out.offset < source.offset + source.shape[1] * source.pitch
    ]  # fmt: skip
    assert shared


@pytest.mark.parametrize("size", [97])
def test_planning_a_larger_network_proves_its_arena(size: int) -> None:
    _, graph = mobile(size, 8, 16)
    program = schedule(graph, toys.board(1 << 20))
    assert program.bound == program.arena_bytes
