"""Which axes an array's samples have, told from shapes alone, and the array in the graph's layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal, get_args

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, Shape

Layout = Literal["NHWC", "NCHW"]


@dataclass(frozen=True)
class _Reading:
    """One way to read a sample: its shape, and the order of axes that makes it the graph's."""

    layout: str
    shape: Shape
    perm: tuple[int, ...]

    @property
    def extents(self) -> Shape:
        """The extents that matter: axes of 1 may be missing in a file."""
        return tuple(d for d in self.shape if d != 1)

    @property
    def moved(self) -> tuple[int, ...]:
        """The order of the axes that matter: two readings with the same one give the same array."""
        kept = [axis for axis, extent in enumerate(self.shape) if extent != 1]
        return tuple(kept.index(axis) for axis in self.perm if axis in kept)

    def count(self, shape: Shape) -> int | None:
        """How many samples an array of ``shape`` holds under this reading; None: it does not fit."""
        if _significant(shape) == self.extents:
            return 1
        if shape and _significant(shape[1:]) == self.extents:
            return shape[0]
        if len(self.extents) > 1:
            return None
        # The model takes a plain vector: what it takes flattened in row-major order is meant.
        if prod(shape) == prod(self.shape):
            return 1
        return shape[0] if shape and prod(shape[1:]) == prod(self.shape) else None


def _significant(shape: Shape) -> Shape:
    return tuple(d for d in shape if d != 1)


def _readings(graph: Graph, name: str) -> list[_Reading]:
    """The file's layout, the graph's own (channels last) and channels first, each once.

    The latter two only where the graph's first axis is the batch, so that its last one can be the channels.
    """
    port, shape = graph.port(name), graph.tensors[name].shape
    rank = len(shape)
    files = _Reading("the model file's axes", port.shape, port.perm)
    last = _Reading("NHWC", shape, tuple(range(rank)))
    if shape[:1] != (1,):
        return [files, replace(files, layout="NHWC")]
    found = [files, last]
    if rank >= 3:
        first = (shape[0], shape[-1], *shape[1:-1])
        found.append(_Reading("NCHW", first, (0, *range(2, rank), 1)))
    return found


def to_graph_layout(x: Array, graph: Graph, name: str, *, layout: Layout | None, where: str) -> Array:
    """Samples of input ``name`` as (N, *graph shape): one sample without a batch axis, or N of them.

    Axes of extent 1 may be missing. ``layout``: "NHWC" (channels last, time before features, the generated
    C's) or "NCHW" (channels first); None: what the shapes say, the model file's own order of axes included.
    Where the file has its channels last, data that fits it is read so. UsageError where shapes fit nothing, or
    fit two readings that differ.
    """
    if layout is not None and layout not in get_args(Layout):
        raise UsageError(f"unknown layout {layout!r}", where=where, hint="NHWC or NCHW")
    readings = [r for r in _readings(graph, name) if layout in (None, r.layout)]
    fitting = [(r, n) for r in readings if (n := r.count(x.shape)) is not None]
    if not fitting:
        raise UsageError(_no_fit(x.shape, graph, name), where=where, hint="axes of extent 1 may be left out")
    if layout is None and readings[0].moved == readings[1].moved and fitting[0][0] is readings[0]:
        fitting = fitting[:1]
    if len({(r.moved, n) for r, n in fitting}) > 1:
        names = " and ".join(dict.fromkeys(r.layout for r, _ in fitting))
        raise UsageError(
            f"shape {x.shape} fits both as {names}",
            where=where,
            hint="say which with --layout NHWC (channels last) or --layout NCHW (channels first)",
        )
    reading, count = fitting[0]
    stacked = x.reshape(count, *reading.shape).transpose(0, *(axis + 1 for axis in reading.perm))
    return np.ascontiguousarray(stacked)


def _no_fit(shape: Shape, graph: Graph, name: str) -> str:
    port, mine = graph.port(name), graph.tensors[name].shape
    also = "" if port.shape == mine else f" or {('N', *mine[1:])} (channels last)"
    wanted = f"{('N', *port.shape[1:])}{also}".replace("'", "")
    return f"takes samples of shape {wanted}, the data has shape {shape}"
