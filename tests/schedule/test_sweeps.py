"""Squeeze-and-excite in a stage: the image is kept until its scale is known, or made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.equality import TAIL, build
from tests.schedule import toys
from tests.schedule.networks import Network
from tinycompile.ir import Graph
from tinycompile.ops import Add, AveragePool2D, Mul, Unary
from tinycompile.ops.unary import Step
from tinycompile.schedule import Call, Goal, Program, Stream, schedule
from tinycompile.schedule.rows import rows_of
from tinycompile.schedule.sweeps import sweeps
from tinycompile.simulate import Host, arena, compare, reference

LARGE = toys.board(1 << 20)


def gated(net: Network, x: str, expand: int = 6) -> str:
    """An inverted residual block whose wide image is scaled by a function of its own mean."""
    channels = net.tensors[x].channels
    wide = net.conv(net.conv(x, channels * expand), channels * expand, 3, depthwise=True)
    mean = net.add(AveragePool2D, wide, kernel=net.tensors[wide].hw)
    gate = net.add(Unary, net.conv(net.conv(mean, 3), channels * expand), steps=(Step("sigmoid"),))
    return net.add(Add, net.conv(net.add(Mul, wide, gate), channels), x)


def network(blocks: int = 1) -> tuple[Network, Graph]:
    net = Network((1, 24, 24, 3))
    x = net.conv("image", 8, 3, 2)
    for _ in range(blocks):
        x = gated(net, x)
    return net, net.classify(x, 4)


def macs(program: Program) -> int:
    return sum(call.op.features(call.io(program.graph)).macs for call in program.unrolled())


def test_the_first_sweep_ends_in_the_mean_and_the_second_begins_where_the_first_did() -> None:
    _, graph = network()
    block = graph.ops[1:10]
    runs = sweeps(graph, block, lambda ops: rows_of(graph, ops))
    assert runs is not None
    kinds = [[type(op).__name__ for op in run.ops] for run in runs]
    assert kinds == [["Conv2D", "Conv2D", "AveragePool2D"], ["Conv2D"], ["Conv2D"], ["Unary"],
                     ["Conv2D", "Conv2D", "Mul", "Conv2D", "Add"]]  # fmt: skip
    assert [run.rows is not None for run in runs] == [True, False, False, False, True]
    first, last = (set(map(run.buffer, run.rows.ring_bytes)) for run in (runs[0], runs[-1]) if run.rows)
    assert first and last and not first & last


def test_there_is_no_second_sweep_without_a_gate() -> None:
    net = Network((1, 12, 12, 3))
    x = net.conv(net.conv("image", 8, 3), 8, 3, depthwise=True)
    graph = net.classify(x, 4)
    assert sweeps(graph, graph.ops[:2], lambda ops: rows_of(graph, ops)) is None
    assert sweeps(graph, graph.ops[:3], lambda ops: rows_of(graph, ops)) is None


@pytest.mark.parametrize("pushed", [False, True])
def test_less_memory_is_paid_for_with_a_second_sweep(pushed: bool, tmp_path: Path) -> None:
    net, graph = network(2)
    layers = schedule(graph, LARGE, Goal(pushed=pushed))
    swept = schedule(graph, LARGE, Goal(ram=layers.arena_bytes // 2, pushed=pushed))
    assert macs(layers) < macs(swept) < 2 * macs(layers)
    assert swept.arena_bytes <= layers.arena_bytes // 2
    streams = [step for step in swept.steps if isinstance(step, Stream)]
    again = [call.op.name for stream in streams for call in stream.body]
    assert {name for name in again if again.count(name) > 1} == {"conv2d_1", "conv2d_2", "conv2d_10", "conv2d_11"}
    assert any(isinstance(step, Call) for step in swept.steps)
    library, runs = build([layers, swept], tmp_path)
    for program, run in zip((layers, swept), runs, strict=True):
        host = Host(library, graph, run=run, arena_bytes=program.arena_bytes + TAIL)
        for _ in range(3):
            inputs = net.image()
            expected = reference(graph, inputs)
            compare(expected, arena(program, inputs), names=("reference", "arena"))
            compare(expected, host(inputs), names=("reference", "host"))
