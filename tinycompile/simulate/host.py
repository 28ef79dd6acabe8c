"""The generated C on this machine, as a shared library."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import Array, Graph
from tinycompile.simulate.reference import checked_inputs

STATUS = {1: "the arena is null or misaligned", 2: "a kernel wrote outside its tensor (a canary is dead)"}
ALIGN = 16


class Host:
    """A loaded host library of one model; call it with a mapping of int8 arrays.

    ``banks`` are the offsets at which the parts of the arena start, one for each pointer that the function takes.
    """

    def __init__(self, library: Path, graph: Graph, *, run: str, arena_bytes: int, banks: Sequence[int] = (0,)) -> None:
        self._graph = graph
        self._run = getattr(ctypes.CDLL(str(library)), run)
        self._run.restype = ctypes.c_int
        self._run.argtypes = [ctypes.c_void_p] * (len(banks) + len(graph.inputs) + len(graph.outputs))
        self._memory = np.zeros(arena_bytes + ALIGN, np.uint8)
        skip = -self._memory.ctypes.data % ALIGN
        self._arenas = [self._memory.ctypes.data + skip + start for start in banks]

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One inference; arrays as for ``reference``. InternalError where the library reports a failure."""
        graph = self._graph
        given = [np.ascontiguousarray(a) for a in checked_inputs(graph, inputs).values()]
        made = {n: np.empty(graph.tensors[n].shape, graph.tensors[n].dtype.value) for n in graph.outputs}
        status = self._run(*self._arenas, *(a.ctypes.data for a in (*given, *made.values())))
        if status != 0:
            raise InternalError(f"the host library returned status {status}: {STATUS.get(status, 'unknown')}")
        return made
