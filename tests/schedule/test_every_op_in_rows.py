"""Every operator that can be cut into rows, behind an op that makes its input's rows one by one, in a ring."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.equality import TAIL, build, noise
from tests.ops import every
from tests.schedule import toys
from tinycompile import ops
from tinycompile.errors import UsageError
from tinycompile.ir import Graph, Op, verify
from tinycompile.ops import Unary
from tinycompile.ops.broadcast import Broadcast
from tinycompile.schedule import Goal, Plan, Program, Stage, schedule
from tinycompile.simulate import Host, arena, compare, reference

LARGE = toys.board(1 << 20)
WHOLE_ONLY = {
    ops.ArgMax, ops.Dense, ops.InstanceNorm, ops.LogSoftmax, ops.MatMul, ops.Reduce, ops.Softmax, ops.Transpose,
}  # fmt: skip
"""Operators of which no output row can be made by itself."""
QUICK = settings(suppress_health_check=list(HealthCheck), deadline=None)


def fed(graph: Graph) -> Graph:
    """A table before each image that the graph's only op reads."""
    images = [n for n in graph.inputs if len(graph.tensors[n].shape) == 4]
    tables = [Unary(f"feed {n}", (f"{n}_raw",), n) for n in images]
    raw = {f"{n}_raw": graph.tensors[n].like(name=f"{n}_raw") for n in images}
    inputs = tuple(f"{n}_raw" if n in images else n for n in graph.inputs)
    whole = Graph(graph.name, inputs, graph.outputs, (*tables, *graph.ops), {**graph.tensors, **raw}, graph.rounding)
    return verify(whole)


def in_rows(graph: Graph) -> Program | None:
    """The table and the op as one streamed stage; None where they cannot be one."""
    try:
        return schedule(fed(graph), LARGE, Goal(plan=Plan((Stage(graph.outputs[0]),))))
    except UsageError:
        return None


def family(op: type[Op]) -> type[Op]:
    """What stands for an operator: all of two inputs under broadcasting are cut alike."""
    return Broadcast if issubclass(op, Broadcast) else op


def check_in_rows(graphs: Sequence[Graph]) -> int:
    """Assert reference == arena == host for those of the graphs that can be streamed; returns how many."""
    programs = [program for graph in graphs if (program := in_rows(graph)) is not None]
    if not programs:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        library, runs = build(programs, Path(folder))
        for program, run in zip(programs, runs, strict=True):
            host = Host(library, program.graph, run=run, arena_bytes=program.arena_bytes + TAIL)
            for values in noise(program.graph):
                expected = reference(program.graph, values)
                compare(expected, arena(program, values), names=("reference", f"arena of {program}"))
                compare(expected, host(values), names=("reference", f"host of {program}"))
    return len(programs)


@settings(QUICK, max_examples=8)
@given(st.lists(every.graphs(), min_size=30, max_size=30))
def test_rows_equal_the_reference(cases: list[Graph]) -> None:
    check_in_rows(cases)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(every.PARTS))
def test_thousands_of_operators_in_rows(part: int) -> None:
    @settings(QUICK, max_examples=40)
    @given(st.lists(every.graphs(part), min_size=40, max_size=40))
    def run(cases: list[Graph]) -> None:
        check_in_rows(cases)

    run()


def test_no_operator_blocks_a_stream_that_need_not() -> None:
    streamed: set[type] = set()

    def draw(graph: Graph) -> None:
        (op,) = graph.ops
        if family(type(op)) not in streamed and in_rows(graph) is not None:
            streamed.add(family(type(op)))

    for graphs in every.strategies():
        settings(QUICK, max_examples=200, database=None)(given(graphs)(draw))()
    assert streamed == {family(op) for op in ops.ALL_OPS if not op.alias} - WHOLE_ONLY
