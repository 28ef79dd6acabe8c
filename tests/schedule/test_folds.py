"""Reductions over a whole image at the end of a streamed stage: the rows are taken in as they come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.equality import TAIL, build
from tests.schedule import toys
from tests.schedule.networks import Network
from tinycompile.ir import Array, Graph, Op, Rounding, verify
from tinycompile.ops import AveragePool2D, Conv2D, ImageDense, MaxPool2D, Reshape
from tinycompile.schedule import Goal, Plan, Program, Stage, Stream, schedule
from tinycompile.simulate import Host, arena, compare, reference

LARGE = toys.board(1 << 20)
KINDS = ("dense", "plain", "grouped", "depthwise", "mean", "maximum")
ROUNDINGS: tuple[Rounding, ...] = ("native", "tflite")


def reduced(kind: str, rounding: Rounding, seed: int = 0) -> Graph:
    """Two 3x3 convolutions, a reduction over the whole image, and a reshape."""
    net = Network((1, 11, 6, 3), seed)
    x = net.conv(net.conv("image", 8, 3, 2), 6, 3)
    hw = net.tensors[x].hw
    if kind in ("mean", "maximum"):
        x = net.add(AveragePool2D if kind == "mean" else MaxPool2D, x, kernel=hw)
    else:
        groups = {"grouped": 2, "depthwise": 6}.get(kind, 1)
        made: type[Op] = ImageDense if kind == "dense" else Conv2D
        x = net.add(made, x, *net.constants((12, *hw, 6 // groups)), kernel=hw, groups=groups)
    x = net.add(Reshape, x, shape=(1, net.tensors[x].channels))
    return replace(verify(Graph(kind, ("image",), (x,), tuple(net.ops), net.tensors)), rounding=rounding)


def streamed(graph: Graph) -> Program:
    """All but the reshape as one stage."""
    return schedule(graph, LARGE, Goal(plan=Plan((Stage(graph.ops[-2].output),))))


def images(graph: Graph) -> list[dict[str, Array]]:
    """The extremes, alone and mixed, and noise."""
    rng, shape = np.random.default_rng(1), graph.tensors["image"].shape
    mixed = np.where(rng.random(shape) < 0.5, -128, 127)
    found = [np.full(shape, -128), np.full(shape, 127), mixed, rng.integers(-128, 128, shape)]
    return [{"image": x.astype(np.int8)} for x in found]


def test_streamed_reductions_equal_the_reference(tmp_path: Path) -> None:
    graphs = [reduced(kind, rounding, seed) for kind in KINDS for rounding in ROUNDINGS for seed in range(2)]
    programs = [streamed(graph) for graph in graphs]
    library, runs = build(programs, tmp_path)
    for program, run in zip(programs, runs, strict=True):
        host = Host(library, program.graph, run=run, arena_bytes=program.arena_bytes + TAIL)
        for inputs in images(program.graph):
            expected = reference(program.graph, inputs)
            compare(expected, arena(program, inputs), names=("reference", "arena"))
            compare(expected, host(inputs), names=("reference", "host"))


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_is_kept(kind: str) -> None:
    graph = reduced(kind, "native")
    program = streamed(graph)
    (stream,) = (step for step in program.steps if isinstance(step, Stream))
    op = graph.ops[-2]
    taken = [call for call in stream.calls if call.op.name == op.name]
    assert [call.inputs[0].top for call in taken] == list(range(graph.tensors[op.inputs[0]].hw[0]))
    assert {call.inputs[0].hw[0] for call in taken} == {1}
    assert {call.inputs[0].slots for call in taken} == {1}
    macs = sum(call.op.features(call.io(graph)).macs for call in taken)
    assert macs == op.features(graph.io(op)).macs


def test_a_sum_over_the_whole_image_by_the_layer_needs_no_scratch() -> None:
    for kind in ("dense", "plain"):
        (call,) = (c for c in schedule(reduced(kind, "native"), LARGE).unrolled() if c.op.name.endswith("_2"))
        assert call.kernel.name == "one_pixel" and call.scratch is None
