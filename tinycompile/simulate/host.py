"""The generated C on this machine, as a shared library."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import Array, Graph
from tinycompile.schedule.program import Program, View
from tinycompile.schedule.pushed import pushed
from tinycompile.simulate.arena import pushed_rows
from tinycompile.simulate.reference import checked_inputs

OK, MORE = 0, 3
STATUS = {
    1: "the arena is null or misaligned",
    2: "a kernel wrote outside its tensor (a canary is dead)",
    MORE: "rows of the input are missing",
    4: "no inference has been started",
    5: "more rows than are missing, less than one, or none at all",
}
"""What ``tc_status`` says, but for success (tc.h)."""
ALIGN = 16
FUNCTIONS = ("start", "next_row", "push_rows")


class Host:
    """A loaded host library of one model; call it with a mapping of int8 arrays.

    ``banks`` are the offsets at which the parts of the arena start, one for each pointer that the function takes.
    """

    def __init__(self, library: Path, graph: Graph, *, run: str, arena_bytes: int, banks: Sequence[int] = (0,)) -> None:
        self._graph = graph
        self._run = getattr(ctypes.CDLL(str(library)), run)
        self._run.restype = ctypes.c_int
        self._run.argtypes = [ctypes.c_void_p] * (len(banks) + len(graph.inputs) + len(graph.outputs))
        self._all = np.zeros(arena_bytes + ALIGN, np.uint8)
        skip = -self._all.ctypes.data % ALIGN
        self.memory = self._all[skip : skip + arena_bytes]
        self._arenas = [self.memory.ctypes.data + start for start in banks]

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One inference; arrays as for ``reference``. InternalError where the library reports a failure."""
        graph = self._graph
        given = [np.ascontiguousarray(a) for a in checked_inputs(graph, inputs).values()]
        made = {n: np.empty(graph.tensors[n].shape, graph.tensors[n].dtype.value) for n in graph.outputs}
        status = self._run(*self._arenas, *(a.ctypes.data for a in (*given, *made.values())))
        if status != OK:
            raise _failed(status)
        return made


class PushedHost:
    """A loaded host library of a model whose input is streamed, for an application that pushes rows.

    It is started at first; ``memory``, the arena, is noise before.
    """

    def __init__(self, library: Path, program: Program, *, name: str, arena_bytes: int) -> None:
        self._program, facts = program, pushed(program)
        if facts is None:
            raise InternalError(f"{program.graph.name}: the input is resident")
        self.rows, self.row_bytes, self.hop = facts.rows, facts.row_bytes, facts.hop
        loaded = ctypes.CDLL(str(library))
        self._start, self._next_row, self._push = (getattr(loaded, f"{name}_{f}") for f in FUNCTIONS)
        pointers = [ctypes.c_void_p] * len(program.banks)
        self._start.argtypes = self._next_row.argtypes = pointers
        self._next_row.restype = ctypes.c_void_p
        self._push.argtypes = [*pointers, ctypes.c_void_p, ctypes.c_int32]
        self._all = np.random.default_rng(1).integers(0, 256, arena_bytes + ALIGN, dtype=np.uint8)
        skip = -self._all.ctypes.data % ALIGN
        self.memory = self._all[skip : skip + arena_bytes]
        self._arenas = [self.memory.ctypes.data + bank.start for bank in program.banks]
        self.start()

    def start(self) -> None:
        """Begin an inference, and abandon one that has begun."""
        status = self._start(*self._arenas)
        if status != OK:
            raise _failed(status)

    def push(self, rows: Array) -> int:
        """Hand over some rows, uint8[rows, bytes of a row]; the status."""
        rows = np.ascontiguousarray(rows)
        return int(self._push(*self._arenas, rows.ctypes.data, len(rows)))

    def push_in_place(self, row: Array) -> int:
        """Write one row, uint8[bytes of a row], where it belongs, and push it; the status."""
        place = self._next_row(*self._arenas)
        if not place:
            return 4
        ctypes.memmove(place, np.ascontiguousarray(row).ctypes.data, self.row_bytes)
        return int(self._push(*self._arenas, None, 1))

    def infer(self, inputs: Mapping[str, Array], chunks: Iterable[int]) -> dict[str, Array]:
        """One inference, pushed in chunks of so many rows (0: one row in place) until all are in.

        Arrays as for ``reference``. InternalError where a status is not that of rows which are missing, or not.
        """
        left = np.concatenate([row[None] for row in pushed_rows(self._program, checked_inputs(self.graph, inputs))])
        if self.hop is not None:
            self.start()
        self._push_all(left, chunks)
        return self.outputs()

    def slide(self, rows: Array, chunks: Iterable[int]) -> Iterator[dict[str, Array]]:
        """The outputs for all windows of ``rows`` (see ``simulate.slide``), pushed in chunks as for ``infer``.

        Chunks are cut at the ends of windows. InternalError where no window slides.
        """
        if self.hop is None:
            raise InternalError(f"{self.graph.name}: no window slides over its input")
        self.start()
        missing, chunks = self.rows, iter(chunks)
        while len(rows) >= missing:
            self._push_all(rows[:missing], chunks)
            yield self.outputs()
            rows, missing = rows[missing:], self.hop

    def _push_all(self, left: Array, chunks: Iterable[int]) -> None:
        """Rows to the end of a window."""
        for count in chunks:
            status = self.push(left[:count]) if count else self.push_in_place(left[0])
            left = left[max(count, 1) :]
            if status != (MORE if len(left) else OK):
                raise _failed(status)
            if not len(left):
                break

    @property
    def graph(self) -> Graph:
        """The graph that the library computes."""
        return self._program.graph

    def outputs(self) -> dict[str, Array]:
        """What lies at the outputs' places, as after the last row."""
        return {v.tensor: self._output(v) for v in self._program.outputs}

    def _output(self, view: View) -> Array:
        tensor = self.graph.tensors[view.tensor]
        data = self.memory[view.offset : view.offset + tensor.nbytes].copy()
        return data.view(tensor.dtype.value).reshape(tensor.shape)


def _failed(status: int) -> InternalError:
    return InternalError(f"the host library returned status {status}: {STATUS.get(status, 'unknown')}")
