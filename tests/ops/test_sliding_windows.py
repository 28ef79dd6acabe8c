"""Every operator under a sliding window, where rows of one window are those of the next; a mean makes them one row."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np

from tests.equality import TAIL, build
from tests.ops import every
from tests.schedule import toys
from tinycompile.ir import DType, Graph, Tensor, verify
from tinycompile.ops import AveragePool2D
from tinycompile.schedule import Goal, Program, schedule
from tinycompile.schedule.pushed import pushed
from tinycompile.simulate import PushedHost, compare, reference, slide

LARGE = toys.board(1 << 20)
EACH = 6
"""Graphs of each operator."""
HOPS = 12


def averaged(graph: Graph) -> Graph:
    """The graph with a mean over all rows of its output, where that is an int8 image of several rows."""
    (name,) = graph.outputs
    out = graph.tensors[name]
    if len(out.shape) != 4 or out.dtype is not DType.INT8 or out.hw[0] == 1 or out.quant is None:
        return graph
    pool = AveragePool2D("mean over time", (name,), "mean", kernel=(out.hw[0], 1))
    mean = Tensor("mean", pool.infer(out), DType.INT8, out.quant)
    return replace(graph, outputs=("mean",), ops=(*graph.ops, pool), tensors={**graph.tensors, "mean": mean})


def test_every_operator_that_slides(tmp_path: Path) -> None:
    found = every.programs(
        lambda graph: schedule(verify(averaged(graph)), LARGE, Goal(sliding=True)),
        each=EACH, examples=1000, refusals=("slide", "streamed", "kernel"),
    )  # fmt: skip
    programs = [program for same in found.values() for program in same]
    kinds = {name for name, same in found.items() if same}
    assert {"Conv2D", "MaxPool2D", "Unary"} <= kinds and len(kinds) >= 7
    library, _ = build(programs, tmp_path)
    for i, program in enumerate(programs):
        agree(program, PushedHost(library, program, name=f"case{i}", arena_bytes=program.arena_bytes + TAIL))


def agree(program: Program, host: PushedHost) -> None:
    """Arena and host give what the reference gives on each window."""
    graph, facts = program.graph, pushed(program)
    assert facts is not None and facts.hop is not None
    image = graph.tensors[graph.inputs[0]]
    rng = np.random.default_rng(4)
    values = rng.integers(-128, 128, (facts.rows + HOPS * facts.hop, image.size // facts.rows))
    rows = values.astype(image.dtype.value).view(np.uint8)
    pairs = zip(slide(program, rows), host.slide(rows, cycle((1, 0, 3))), strict=True)
    for window, (here, there) in enumerate(pairs):
        part = rows[window * facts.hop : window * facts.hop + facts.rows]
        expected = reference(graph, {image.name: part.view(image.dtype.value).reshape(image.shape)})
        compare(expected, here, names=("reference", f"arena of {graph}"))
        compare(expected, there, names=("reference", f"host of {graph}"))
