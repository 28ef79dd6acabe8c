"""From runs in order to buffers with lifetimes, and the overlaps that in-place operators allow.

Steps count ops: a run of one op takes one step, a stage of patches one for each of its ops, however many
patches it has, and a streamed stage one in all: its rings are alive together. What a stage reads and writes
outside is alive in all its steps; what is inside a stage of patches, from the op that writes it to the last
one that reads it, in the largest size that any patch needs. Aliases (a reshape) take no step: they are names
of one buffer. Inputs are alive from step -1, outputs to the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from tinycompile.backends import Kernel
from tinycompile.ir import IO, Graph, Op
from tinycompile.schedule.order import Task
from tinycompile.schedule.place import Buffer, Overlap, Problem
from tinycompile.schedule.rows import Rows, state_name
from tinycompile.schedule.stages import Patch, Run

ARENA_ALIGN = 16
ALIGN = 4
Kernels = Mapping[str, Kernel]
POSITION = "position in the stream"
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
    """The name of an op's scratch buffer; a streamed stage has one for all its ops but those that fold."""
    if run.rows is None:
        return f"scratch of {op.name}"
    part = run.rows.of[op.name]
    return state_name(op) if part.folds else f"scratch of {run.output}"


def scratch_bytes(graph: Graph, run: Run, index: int, kernel: Kernel) -> int:
    """Working memory of op ``index`` of a run: the most that any of its patches needs; 0: none."""
    op = run.ops[index]
    size = kernel.scratch(op, graph.io(op))
    if size == 0:
        return size
    if run.rows is not None and not run.rows.of[op.name].folds:
        return max([1, *(kernel.scratch(cut.op, io) for cut, io in run.rows.of[op.name].kinds)])
    if not run.patches:
        return size
    return max(1, *(kernel.scratch(p.ops[index], p.ios[index]) for p in run.patches))


def steps(run: Run) -> int:
    """The steps that a run takes."""
    if run.rows is not None:
        return 1
    return 0 if run.ops[0].alias else len(run.ops)


def pushed_rows(runs: Sequence[Run]) -> Rows | None:
    """The streamed stage that the rows of the input are pushed into; None where the input is resident."""
    return next((run.rows for run in runs if run.rows is not None and run.rows.arrives), None)


def tasks(graph: Graph, runs: Sequence[Run], kernels: Kernels) -> tuple[list[Task], dict[str, int]]:
    """The runs as tasks for ``order``, aliases left out, and the sizes of the buffers between them."""
    owner = roots(graph)
    given = graph.inputs if pushed_rows(runs) is None else ()
    sizes = {name: graph.tensors[name].nbytes for name in dict.fromkeys(owner[n] for n in given)}
    found = []
    for run in runs:
        if run.ops[0].alias:
            continue
        reads = tuple(dict.fromkeys(owner[n] for n in run.reads(graph)))
        sizes[run.output] = graph.tensors[run.output].nbytes
        op, staged = run.ops[0], run.patches or run.rows
        lags = {} if staged else _lags(op, graph.io(op), kernels[op.name], owner)
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
    pushed = pushed_rows(runs)
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
        yield Use(POSITION, 4, -1)
        yield Use(POSITION, 4, step)


def _inner_uses(graph: Graph, run: Run, kernels: Kernels, step: int) -> Iterator[Use]:
    """What exists only while a run runs: scratch, and the patches of what is inside a stage."""
    if run.rows is not None:
        for name, size in run.rows.ring_bytes.items():
            yield Use(name, size, step)
    for index, op in enumerate(run.ops):
        scratch = scratch_bytes(graph, run, index, kernels[op.name])
        if scratch:
            yield Use(scratch_name(op, run), scratch, step if run.rows is not None else step + index)
        if run.rows is not None:
            continue
        for name in run.inside.intersection((*op.inputs, op.output)):
            yield Use(name, _patch_bytes(graph, run, name), step + index)


def _patch_bytes(graph: Graph, run: Run, name: str) -> int:
    tensor = graph.tensors[name]
    return (
        max(p.windows[name].height * p.windows[name].width for p in run.patches) * tensor.channels * tensor.dtype.size
    )


def _inner_peak(graph: Graph, run: Run, kernels: Kernels) -> int:
    inner = _buffers(_inner_uses(graph, run, kernels, 0))
    return max((sum(b.size for b in inner if b.start <= t < b.stop) for t in range(len(run.ops))), default=0)


def _overlaps(graph: Graph, runs: Sequence[Run], kernels: Kernels) -> Iterator[tuple[Overlap, int]]:
    """Overlaps that kernels allow, each with the step in which the input must die for it."""
    owner = roots(graph)
    step = 0
    for run in runs:
        if steps(run) == 0:
            continue
        if run.rows is not None:
            for (below, above), lag in _row_lags(run.rows, owner).items():
                yield Overlap(below, above, lag), step
            step += 1
            continue
        for index, op in enumerate(run.ops):
            if run.patches:
                lags = _patch_lags(graph, run, index, kernels[op.name])
            else:
                lags = _lags(op, graph.io(op), kernels[op.name], owner)
            for above, lag in lags.items():
                yield Overlap(op.output, above, lag), step + index
        step += steps(run)


def _row_lags(rows: Rows, owner: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """The lags of a streamed stage by buffer; of a buffer that is read under two names, the larger."""
    found: dict[tuple[str, str], int] = {}
    for (below, above), lag in rows.lags.items():
        pair = below, owner[above]
        found[pair] = max(lag, found.get(pair, lag))
    return found


def _lags(op: Op, io: IO, kernel: Kernel, owner: Mapping[str, str]) -> dict[str, int]:
    """Bytes by which the output must start below each buffer that ``op`` reads, where they may overlap."""
    found: dict[str, int | None] = {}
    for index, tensor in enumerate(io.inputs):
        if tensor.data is not None:
            continue
        name = owner[tensor.name]
        lag = kernel.lag(op, io, index) if kernel.lag is not None else op.lag(io, index)
        known = found.get(name, 0)
        found[name] = None if lag is None or known is None else max(known, lag, 0)
    return {name: lag for name, lag in found.items() if lag is not None}


def _patch_lags(graph: Graph, run: Run, index: int, kernel: Kernel) -> dict[str, int]:
    """The same inside a stage, where it holds for every patch. Windows that skip bytes stay apart."""
    op = run.ops[index]
    if op.output not in run.inside:
        return {}
    dense = [n for n in dict.fromkeys(op.inputs) if n in run.inside and all(_dense(p, index, n) for p in run.patches)]
    if not dense:
        return {}
    own = {name: name for name in op.inputs}
    lags = [_lags(p.ops[index], p.ios[index], kernel, own) for p in run.patches]
    return {name: max(found[name] for found in lags) for name in dense if all(name in found for found in lags)}


def _dense(patch: Patch, index: int, name: str) -> bool:
    """Whether op ``index`` reads all that the patch holds of a tensor, each time that it reads it."""
    pairs = zip(patch.ops[index].inputs, patch.reads[index], strict=True)
    return all(window == patch.windows[name] for read, window in pairs if read == name)
