"""From runs in order to buffers with lifetimes, and the overlaps that in-place operators allow.

Steps count ops: a run of one op takes one step. A stage takes one in all, as its rings are alive together; where
its ops run one after the other in each cell, it takes one for each op, however many cells it has. What a stage
reads and writes outside is alive in all its steps; what is inside, from the op that writes it to the last one
that reads it, in the largest size that any cell needs. Aliases (a reshape) take no step: they are names of one
buffer. Inputs are alive from step -1, outputs to the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from tinycompile.backends import Kernel
from tinycompile.ir import IO, Graph, Op
from tinycompile.schedule.in_place import InPlace
from tinycompile.schedule.order import Task
from tinycompile.schedule.place import Buffer, Overlap, Problem
from tinycompile.schedule.rows import Rows, state_name
from tinycompile.schedule.stages import Run

ARENA_ALIGN = 16
ALIGN = 4
Kernels = Mapping[str, Kernel]
POSITION = "position in the stream"
POSITION_BYTES = 4
"""The buffer that says how far a pushed input has come; it lives as long as the arena."""


@dataclass(frozen=True)
class Use:
    """A buffer of ``size`` bytes holds something that matters in ``step``."""

    name: str
    size: int
    step: int


def problem(graph: Graph, runs: Sequence[Run], kernels: Kernels, capacity: int | None = None) -> Problem:
    """The placement problem of these runs in this order, with ``kernels`` by op name.

    Buffers are named after the tensors that own them (see ``roots``) and after ``scratch_name``.
    """
    buffers = _buffers(_uses(graph, runs, kernels))
    dies = {b.name: b.stop - 1 for b in buffers}
    overlaps = tuple(o for o, step in _overlaps(graph, runs, kernels) if dies[o.above] == step)
    return Problem(buffers, overlaps, capacity, ARENA_ALIGN)


def without(whole: Problem, names: Set[str]) -> Problem:
    """The same problem less some buffers."""
    buffers = tuple(b for b in whole.buffers if b.name not in names)
    overlaps = tuple(o for o in whole.overlaps if not names & {o.below, o.above})
    return replace(whole, buffers=buffers, overlaps=overlaps)


def roots(graph: Graph) -> dict[str, str]:
    """For each activation, the tensor whose buffer holds it: itself, or what it is an alias of."""
    found = {name: name for name, tensor in graph.tensors.items() if tensor.data is None}
    for op in graph.ops:
        if op.alias:
            found[op.output] = found[op.inputs[0]]
    return found


def scratch_name(op: Op, run: Run) -> str:
    """The name of an op's scratch buffer; ops that take turns share one, but for those that fold."""
    if run.rows is not None and run.rows.folds(op):
        return state_name(op)
    return f"scratch of {run.output if run.rows is not None and run.rows.step else op.name}"


def scratch_bytes(graph: Graph, run: Run, op: Op, kernel: Kernel) -> int:
    """Working memory of an op of a run: the most that any of its calls needs; 0: none."""
    size = kernel.scratch(op, graph.io(op))
    if size == 0 or run.rows is None or run.rows.folds(op):
        return size
    return max(1, *(kernel.scratch(kind.op, kind.io) for kind in run.rows.kinds(op)))


def steps(run: Run) -> int:
    """The steps that a run takes."""
    if run.rows is not None:
        return 1 if run.rows.step else len(run.ops)
    return 0 if run.ops[0].alias else 1


def pushed_run(runs: Sequence[Run]) -> Run | None:
    """The stage that the rows of the input are pushed into; None where the input is resident."""
    return next((run for run in runs if run.rows is not None and run.rows.arrives), None)


def tasks(graph: Graph, runs: Sequence[Run], kernels: Kernels) -> tuple[list[Task], dict[str, int]]:
    """The runs as tasks for ``order``, aliases left out, and the sizes of the buffers between them."""
    owner = roots(graph)
    given = graph.inputs if pushed_run(runs) is None else ()
    sizes = {name: graph.tensors[name].nbytes for name in dict.fromkeys(owner[n] for n in given)}
    found = []
    for run in runs:
        if run.ops[0].alias:
            continue
        reads = tuple(dict.fromkeys(owner[n] for n in run.reads(graph)))
        sizes[run.output] = graph.tensors[run.output].nbytes
        op = run.ops[0]
        lags = {} if run.rows is not None else _lags(op, graph.io(op), kernels[op.name], owner)
        saves = {name: _saved(sizes[run.output], sizes[name], lag) for name, lag in lags.items()}
        found.append(Task(run.output, reads, run.output, _inner_peak(graph, run, kernels), saves))
    return found, sizes


def _saved(below: int, above: int, lag: int) -> int:
    """Bytes that an output and an input take less when they overlap than side by side."""
    return max(below + above - max(below, lag + above), 0)


def _buffers(uses: Iterable[Use]) -> tuple[Buffer, ...]:
    """One buffer for each name: as large as its largest use, alive from the first to the last."""
    found: dict[str, tuple[int, int, int]] = {}
    for use in uses:
        size, start, stop = found.get(use.name, (0, use.step, use.step))
        found[use.name] = max(size, use.size), min(start, use.step), max(stop, use.step + 1)
    return tuple(Buffer(name, size, start, stop, ALIGN) for name, (size, start, stop) in found.items())


def _uses(graph: Graph, runs: Sequence[Run], kernels: Kernels) -> Iterator[Use]:
    owner = roots(graph)
    step = 0
    pushed = pushed_run(runs)
    for name in graph.inputs if pushed is None else ():
        yield Use(owner[name], graph.tensors[name].nbytes, -1)
    for run in runs:
        if steps(run) == 0:
            continue
        for name in (*run.reads(graph), run.output):
            for end in (step, step + steps(run) - 1):
                yield Use(owner[name], graph.tensors[name].nbytes, end)
        yield from _inner_uses(graph, run, kernels, step)
        step += steps(run)
    for name in graph.outputs:
        yield Use(owner[name], graph.tensors[name].nbytes, step)
    if pushed is not None:
        yield Use(POSITION, POSITION_BYTES, -1)
        yield Use(POSITION, POSITION_BYTES, step)
    if pushed is not None and pushed.rows is not None and pushed.rows.windows:
        for name, size in pushed.rows.ring_bytes.items():  # the next window goes on where this one ends
            yield Use(pushed.buffer(name), size, step)


def _inner_uses(graph: Graph, run: Run, kernels: Kernels, step: int) -> Iterator[Use]:
    """What exists only while a run runs: scratch, and what is inside a stage."""
    if run.rows is not None:
        for name, size in run.rows.ring_bytes.items():
            for end in run.rows.ends.get(name, (0,)):
                yield Use(run.buffer(name), size, step + end)
    for index, op in enumerate(run.ops):
        scratch = scratch_bytes(graph, run, op, kernels[op.name])
        if scratch:
            yield Use(scratch_name(op, run), scratch, step + (index if steps(run) > 1 else 0))


def _inner_peak(graph: Graph, run: Run, kernels: Kernels) -> int:
    inner = _buffers(_inner_uses(graph, run, kernels, 0))
    return max((sum(b.size for b in inner if b.start <= t < b.stop) for t in range(steps(run))), default=0)


def _overlaps(graph: Graph, runs: Sequence[Run], kernels: Kernels) -> Iterator[tuple[Overlap, int]]:
    """Overlaps that kernels allow, each with the step in which the input must die for it."""
    owner = roots(graph)
    step = 0
    for run in runs:
        if steps(run) == 0:
            continue
        if run.rows is not None and run.rows.step:
            for (below, above), lag in _row_lags(run.reads(graph), run.rows, owner).items():
                yield Overlap(run.buffer(below), above, lag), step
        elif run.rows is not None:
            for index, op in enumerate(run.ops):
                for above, lag in _cell_lags(run.rows, op, kernels[op.name]).items():
                    yield Overlap(op.output, above, lag), step + index
        else:
            (op,) = run.ops
            for above, lag in _lags(op, graph.io(op), kernels[op.name], owner).items():
                yield Overlap(op.output, above, lag), step
        step += steps(run)


def _row_lags(reads: Sequence[str], rows: Rows, owner: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """The lags of a stage that ``reads`` these tensors, by buffer. Of one that is read under two names, the larger;
    none, where one of them is no image: it has no rows that could be done with."""
    found: dict[tuple[str, str], int] = {}
    kept = {owner[name] for name in set(reads) - {above for _, above in rows.lags}}
    for (below, above), lag in rows.lags.items():
        pair = below, owner[above]
        if owner[above] not in kept:
            found[pair] = max(lag, found.get(pair, lag))
    return found


def bytes_apart(op: Op, io: IO, kernel: Kernel) -> int:
    """Bytes of its inputs that the output of a whole op cannot take, each input by itself."""
    lags = ((t, _lag(op, io, kernel, index)) for index, t in enumerate(io.inputs) if t.data is None)
    return sum(tensor.nbytes if lag is None else max(lag, 0) for tensor, lag in lags)


def _lag(op: Op, io: IO, kernel: Kernel, index: int) -> int | None:
    return kernel.lag(op, io, index) if kernel.lag is not None else op.lag(io, index)


def _lags(op: Op, io: IO, kernel: Kernel, owner: Mapping[str, str]) -> dict[str, int]:
    """Bytes by which the output must start below each buffer that ``op`` reads, where they may overlap."""
    found: dict[str, int | None] = {}
    for index, tensor in enumerate(io.inputs):
        if tensor.data is not None:
            continue
        name = owner[tensor.name]
        lag = _lag(op, io, kernel, index)
        known = found.get(name, 0)
        found[name] = None if lag is None or known is None else max(known, lag, 0)
    return {name: lag for name, lag in found.items() if lag is not None}


def in_place(graph: Graph, run: Run, kernels: Kernels) -> Run:
    """The run with rings in which ops work in place where that saves bytes; those of a sliding window stay apart."""
    if run.rows is None or run.rows.step != 1 or run.rows.windows:
        return run
    best = rings_in_place(graph, run, run.rows, kernels).best()
    return run if best is run.rows else replace(run, rows=best)


def rings_in_place(graph: Graph, run: Run, rows: Rows, kernels: Kernels) -> InPlace:
    """The ways to put outputs in place in the ``rows`` of a run."""
    return InPlace(graph, rows, kernels, {op.name: _row_lag(rows, op, kernels[op.name]) for op in run.ops})


def _row_lag(rows: Rows, op: Op, kernel: Kernel) -> dict[str, int]:
    """The lags that hold for all calls of an op in a stage."""
    own = {name: name for name in op.inputs}
    found = [_lags(kind.op, kind.io, kernel, own) for kind in rows.kinds(op)]
    return {name: max(lags[name] for lags in found) for name in found[0] if all(name in lags for lags in found)}


def _cell_lags(rows: Rows, op: Op, kernel: Kernel) -> dict[str, int]:
    """The same for an op that makes a whole cell at once, from others; windows that skip bytes stay apart."""
    parts = rows.of[op.name]
    if op.output not in rows.buffers or parts[0].folds:
        return {}
    found: list[dict[str, int]] = []
    for cell, part in zip(rows.cells, parts, strict=True):
        io = part.call_io(0)
        lags = _lags(part.cuts[0].op, io, kernel, {name: name for name in op.inputs})
        made = (n for n in lags if n in rows.buffers and n != rows.arrives)
        dense = {n for n in made if all(w == cell.held[n] for m, w in part.reads[0] if m == n)}
        found.append({name: lags[name] for name in dense})
    return {name: max(lags[name] for lags in found) for name in found[0] if all(name in lags for lags in found)}
