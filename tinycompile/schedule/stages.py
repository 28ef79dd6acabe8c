"""Where to cut a network: stages, runs of ops that are computed a few rows at a time.

A stage is everything between some tensors and one later tensor, ``until``, which alone is used afterwards. How its
rows are computed is told in ``rows``; a plan is some stages, and all other ops are layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tinycompile.ir import Graph, Op, Pair
from tinycompile.schedule.pushed import arriving
from tinycompile.schedule.rows import Cuts, Rows, rows_of


@dataclass(frozen=True)
class Stage:
    """Compute ``until`` from ``since`` (None: from the inputs) in a ``grid`` of (rows, columns) cells.

    Cells are computed one after the other, and what lies in the windows of two of them (the halo) twice. Within
    a cell the ops take turns, ``step`` rows a call, and keep the rows that are still needed in rings. With
    ``step`` 0 each op makes all rows of a cell at once: patches. Ops in ``paces`` (by name) make as many rows a call as
    it says.
    """

    until: str
    since: str | None = None
    grid: Pair = (1, 1)
    step: int = 1
    paces: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        rows, columns = self.grid
        what = "rows" if self.grid == (1, 1) else f"{'tiles' if self.step else 'patches'} {rows}x{columns}"
        pace = f", {self.step} rows a call" if self.step > 1 else ""
        pace += "".join(f", {rows_of_op} of {name}" for name, rows_of_op in self.paces.items())
        return f"{what} to {self.until}" + (f" from {self.since}" if self.since else "") + pace


@dataclass(frozen=True)
class Plan:
    """Stages, one behind the other."""

    stages: tuple[Stage, ...]
    pushed: bool = False
    """Whether the first stage, of one cell, gets the rows of the input from the application, one by one."""

    def __str__(self) -> str:
        return ", ".join(map(str, self.stages))


@dataclass(frozen=True)
class Run:
    """What the planner treats as one step: one whole op, or the ops of a stage with their rows."""

    ops: tuple[Op, ...]
    rows: Rows | None = None
    sweep: str = ""
    """Where a stage goes over its image again: what tells its buffers from those of its other sweeps."""

    def buffer(self, name: str) -> str:
        """The name among all buffers of one inside the stage; other names as they are."""
        inside = self.sweep and self.rows is not None and name in self.rows.ring_bytes
        return f"{name} for {self.sweep}" if inside else name

    @property
    def output(self) -> str:
        """The one tensor that is used after the run."""
        return self.ops[-1].output

    def __str__(self) -> str:
        rows = self.rows
        return self.output if rows is None else str(Stage(self.output, None, rows.grid, rows.step, rows.paces))

    def reads(self, graph: Graph) -> tuple[str, ...]:
        """The tensors that the run reads from outside, constants left out."""
        made = {op.output for op in self.ops} | ({self.rows.arrives} if self.rows else set())
        names = dict.fromkeys(n for op in self.ops for n in op.inputs if n not in made)
        return tuple(n for n in names if graph.tensors[n].data is None)


def whole(graph: Graph) -> tuple[Run, ...]:
    """Layer by layer: one run for each op."""
    return tuple(Run((op,)) for op in graph.ops)


def planned(graph: Graph, plan: Plan, cuts: Cuts | None = None) -> tuple[Run, ...] | None:
    """The graph with each stage of the plan as one run; None where ops cannot be cut so.

    ``cuts`` remembers what it has cut. Raises UsageError where the plan pushes an
    input that cannot be (see ``arriving``).
    """
    last: dict[str, Run] = {}
    inside: set[str] = set()
    pushed = arriving(graph) if plan.pushed else None
    for stage in plan.stages:
        arrives = None if last else pushed
        since = stage.since if arrives is None or arrives in graph.inputs else arrives
        ops = members(graph, replace(stage, since=since), 2 if arrives is None else 1)
        rows = None
        if ops is not None:
            rows = rows_of(
                graph, ops, cuts, grid=stage.grid, step=stage.step, paces=stage.paces, arrives=arrives
            )  # fmt: skip
        names = {op.name for op in ops or ()}
        if ops is None or rows is None or names & inside:
            return None
        if rows.arrives is not None and any(op.name not in names for op in graph.consumers()[rows.arrives]):
            return None
        inside |= names
        last[ops[-1].name] = Run(ops, rows)
    return tuple(last.get(op.name) or Run((op,)) for op in graph.ops if op.name in last or op.name not in inside)


def members(graph: Graph, stage: Stage, least: int = 2) -> tuple[Op, ...] | None:
    """The ops of a stage in order; None where something inside is needed outside, or there are under ``least``."""
    inner = _ancestors(graph, {stage.until})
    if stage.since is not None:
        inner -= _ancestors(graph, {stage.since})
    ops = tuple(op for op in graph.ops if op.name in inner)
    if len(ops) < least or stage.until not in graph.tensors:
        return None
    users = graph.consumers()
    for op in ops:
        outside = op.output in graph.outputs or any(user.name not in inner for user in users[op.output])
        if op.output != stage.until and outside:
            return None
    return (*(op for op in ops if op.output != stage.until), *(op for op in ops if op.output == stage.until))


def _ancestors(graph: Graph, names: set[str]) -> set[str]:
    """Names of the ops that the tensors ``names`` depend on."""
    found, needed = set(), set(names)
    for op in reversed(graph.ops):
        if op.output in needed:
            found.add(op.name)
            needed.update(op.inputs)
    return found
