"""What a streamed stage cannot do without: the bytes of the rows that are still needed, whatever rings they are in.

Between two calls every row that a later call reads must be somewhere, and so must all that has been made of the
output. That is a lower bound for any arrangement of the rows of these calls, in place or not.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tinycompile.ir import Array, Graph
from tinycompile.schedule.rows import Rows
from tinycompile.schedule.timeline import STATE, last_reads, lives, steps_of


def live_bytes(graph: Graph, rows: Rows, dying: Collection[str] | None = None) -> int:
    """The most bytes that are needed between two calls of a stage: of what is inside, and, with ``dying``, of its
    output, and of those rows of the inputs named there that are still to be read."""
    count = len(rows.calls)
    change = np.zeros(count + 2, np.int64)  # at the instants before the first call, and after each
    inputs = {name: np.full(graph.tensors[name].hw[0], -1) for name in dying or ()}
    start = 0
    for cell, order in zip(rows.cells, rows.orders, strict=True):
        steps = [when + start for when in steps_of(cell.parts, order)]
        start += len(order)
        last_reads(cell.parts, steps, inputs)
        for name, (born, dies) in lives(cell, steps).items():
            _alive(change, born + 1, dies + 1, cell.row_bytes(name))
        for part, when in zip(cell.parts, steps, strict=True):
            if part.folds:
                _alive(change, when[:1] + 1, when[-1:] + 1, STATE * part.io.out.channels)
        if dying is not None:
            last, out = cell.parts[-1], cell.parts[-1].io.out
            sizes = np.array([w.height * w.width for w in last.outs]) * out.channels * out.dtype.size
            when = steps[-1]
            np.add.at(change, (when[-1:] if last.folds else when) + 1, sizes[-1:] if last.folds else sizes)
    for name, last_read in inputs.items():
        tensor = graph.tensors[name]
        _alive(change, np.zeros_like(last_read), last_read + 1, tensor.nbytes // tensor.hw[0])
    return int(np.cumsum(change).max())


def _alive(change: Array, first: Array, stop: Array, size: int) -> None:
    """Add ``size`` bytes from each instant ``first`` to before each ``stop``."""
    np.add.at(change, first, size)
    np.add.at(change, stop, -size)
