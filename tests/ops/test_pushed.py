"""Every operator on an input that is pushed row by row, if it can read rows."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

from tests.equality import TAIL, build, noise
from tests.ops import every
from tests.schedule import toys
from tests.schedule.networks import Network
from tinycompile.ir import Graph, verify
from tinycompile.ops import PadOp
from tinycompile.schedule import Goal, Plan, Program, Stage, schedule
from tinycompile.simulate import PushedHost, arena, compare, reference

LARGE = toys.board(1 << 20)
EACH = 4
"""Graphs of each operator."""


def agree(programs: list[Program], folder: Path) -> None:
    """Arena and host give what the reference gives."""
    library, _ = build(programs, folder)
    for i, program in enumerate(programs):
        host = PushedHost(library, program, name=f"case{i}", arena_bytes=program.arena_bytes + TAIL)
        for inputs in noise(program.graph):
            expected = reference(program.graph, inputs)
            compare(expected, arena(program, inputs), names=("reference", f"arena of {program.graph}"))
            compare(expected, host.infer(inputs, cycle((0, 2))), names=("reference", f"host of {program.graph}"))


def test_every_operator_that_reads_rows(tmp_path: Path) -> None:
    found = every.programs(
        lambda graph: schedule(verify(graph), LARGE, Goal(pushed=True)),
        each=EACH, examples=600, refusals=("streamed", "kernel"),
    )  # fmt: skip
    programs = [program for same in found.values() for program in same]
    assert {"Conv2D", "MaxPool2D", "AveragePool2D", "Unary"} <= {name for name, same in found.items() if same}
    agree(programs, tmp_path)


def test_rows_of_padding_wait_for_the_first_row(tmp_path: Path) -> None:
    net = Network((1, 6, 5, 3))
    x = net.add(PadOp, "image", before=(0, 2, 1, 0), after=(0, 3, 0, 0))
    graph = verify(Graph("padded", ("image",), (net.conv(x, 4, 3),), tuple(net.ops), net.tensors))
    program = schedule(graph, LARGE, Goal(plan=Plan((Stage(graph.outputs[0]),), pushed=True)))
    agree([program], tmp_path)
