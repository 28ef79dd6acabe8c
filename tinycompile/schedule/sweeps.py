"""A stage that goes over its image more than once.

Squeeze-and-excite scales an image by what was computed from all of it. Row by row that is possible in two ways:
a ring with all rows keeps the image until the scale is known, or one sweep of the stage computes the mean and
forgets the rows, and the next one makes them again. ``sweeps`` is the second way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinycompile.ir import Graph, Op
from tinycompile.schedule.rows import Rows
from tinycompile.schedule.stages import Run

Streamed = Callable[[tuple[Op, ...]], Rows | None]
"""Some ops in rows; None where they cannot be cut so."""


def sweeps(graph: Graph, ops: Sequence[Op], streamed: Streamed) -> tuple[Run, ...] | None:
    """The stage ``ops`` as streamed sweeps with whole ops between them; None where there is no reason to sweep
    more than once, or an op cannot be cut into rows.

    A sweep ends in an op that folds (``Op.fold``), or in the stage's last op. It makes all rows anew that it needs.
    """
    folds = {op.output for op in ops if graph.io(op).activations and op.fold(graph.io(op)) is not None}
    small = _small(graph, ops, folds)
    heads = [op for op in ops[:-1] if op.output in folds and _is_used(op, ops, small)]
    if not 0 < len(heads) <= 9 or ops[-1].output in small:
        return None
    runs: list[Run] = []
    made = {op.output for op in ops}
    done: set[str] = set()
    for head in (*heads, ops[-1]):
        wanted = _before(head, ops, {*small, *(h.output for h in heads)} - {head.output})
        for op in ops:
            if op.output in small and op.output not in done and done.issuperset(set(op.inputs) & made):
                runs.append(Run((op,)))
                done.add(op.output)
        done.add(head.output)
        rows = streamed(tuple(wanted))
        if rows is None:
            return None
        runs.append(Run(tuple(wanted), rows, "" if head is ops[-1] else head.output))
    return tuple(runs)


def _small(graph: Graph, ops: Sequence[Op], folds: set[str]) -> set[str]:
    """Outputs of the ops that read nothing but what folds have made of images, and each other's outputs."""
    found: set[str] = set()
    for op in ops:
        reads = {t.name for t in graph.io(op).activations}
        if reads and reads <= folds | found:
            found.add(op.output)
    return found


def _is_used(fold: Op, ops: Sequence[Op], small: set[str]) -> bool:
    """Whether an op of the stage needs what ``fold`` makes."""
    return fold.output not in small and any(fold.output in op.inputs for op in ops)


def _before(head: Op, ops: Sequence[Op], known: set[str]) -> list[Op]:
    """The ops that make ``head`` from the stage's inputs and from what is ``known``, in order."""
    needed, found = {head.output}, []
    for op in reversed(ops):
        if op.output in needed and op.output not in known:
            found.append(op)
            needed.update(op.inputs)
    return found[::-1]
