"""A pushed input: which rows the application hands over one by one, and the ring they lie in."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.errors import InternalError, UsageError
from tinycompile.ir import DType, Graph
from tinycompile.schedule.program import Arrival, Program, Stream, View
from tinycompile.schedule.rows import Cuts


@dataclass(frozen=True)
class Pushed:
    """The rows of an input that is streamed into a program."""

    view: View
    """All rows; the first is in slot 0 of the ring."""
    dtype: DType
    position: int
    """Byte offset of the int32 that says which event of the stream is next."""
    hop: int | None = None
    """Where a window slides over the rows: how many it moves on by. None: each input is another one."""

    @property
    def rows(self) -> int:
        """Rows of a whole input."""
        return self.view.shape[1]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.view.pitch

    @property
    def row_elements(self) -> int:
        """Numbers in a row."""
        return self.row_bytes // self.dtype.size

    @property
    def slots(self) -> int:
        """Rows that exist at the same time."""
        return self.view.slots or self.rows

    @property
    def ring_bytes(self) -> int:
        """Bytes of the ring; part of the arena."""
        return self.slots * self.row_bytes

    def slot(self, arrival: Arrival) -> int:
        """The slot that a row belongs in."""
        return (arrival.view.offset - self.view.offset) // self.row_bytes


def pushed(program: Program) -> Pushed | None:
    """How the input of a program is pushed; None where it is resident."""
    if program.position is None:
        return None
    first = program.steps[0]
    if not isinstance(first, Stream) or not isinstance(first.events[0], Arrival):
        raise InternalError(f"{program.graph.name}: a pushed input must begin the program")
    (view,) = program.inputs
    hop = sum(isinstance(event, Arrival) for event in first.hops[0]) if first.hops else None
    return Pushed(view, program.graph.tensors[view.tensor].dtype, program.position, hop)


def arriving(graph: Graph) -> str:
    """The image whose rows can be pushed: the input, or the last alias (reshape) of it.

    Raises UsageError, naming the op, where there is none: several inputs, an input that is no image or that an
    output shows, an op that reads it other than row by row.
    """
    if len(graph.inputs) != 1:
        raise refused(graph, f"it has {len(graph.inputs)} inputs ({', '.join(graph.inputs)})")
    name, users = graph.inputs[0], graph.consumers()
    while len(users[name]) == 1 and users[name][0].alias and name not in graph.outputs:
        name = users[name][0].output
    tensor = graph.tensors[name]
    if name in graph.outputs:
        raise refused(graph, f"{name!r} is an output, too")
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        readers = ", ".join(f"{op.name!r} ({type(op).__name__})" for op in users[name])
        raise refused(graph, f"what {readers} reads, {'x'.join(map(str, tensor.shape))}, has no rows")
    cuts = Cuts(graph)
    for op in users[name]:
        if not cuts.in_rows(op, name):
            raise refused(graph, f"{op.name!r} ({type(op).__name__}) does not read it row by row")
    return name


def refused(graph: Graph, why: str) -> UsageError:
    """The error that says why an input cannot be pushed."""
    return UsageError(
        f"the input of {graph.name} cannot be streamed: {why}", hint="build it with the resident input (the default)"
    )
