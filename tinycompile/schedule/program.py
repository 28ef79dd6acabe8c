"""A program: calls of kernels on windows of tensors at fixed addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from tinycompile.backends import Kernel
from tinycompile.errors import InternalError
from tinycompile.ir import IO, Graph, Op, Shape


@dataclass(frozen=True)
class View:
    """Where a tensor, or a window of one, lies in the arena.

    ``offset`` is the byte of its first element, ``shape`` its own extents, ``pitch`` the bytes from one row
    (axis 1 of four) to the next; a whole tensor has ``pitch == width * channels * element size``.
    """

    tensor: str
    offset: int
    shape: Shape
    pitch: int

    @property
    def hw(self) -> tuple[int, int]:
        """Rows and columns; tensors that are not images count as one row of (size / channels) columns."""
        return (self.shape[1], self.shape[2]) if self.is_image else (1, prod(self.shape[:-1]))

    @property
    def is_image(self) -> bool:
        """Whether this is NHWC with batch 1, so that it can be a window of something larger."""
        return len(self.shape) == 4 and self.shape[0] == 1


@dataclass(frozen=True)
class Call:
    """One execution of a kernel. ``op`` may be a restricted op: it keeps its original's name.

    ``inputs`` has one view for each input of the op that is not a constant, in order.
    """

    op: Op
    kernel: Kernel
    inputs: tuple[View, ...]
    output: View
    scratch: int | None = None
    """Byte offset of the scratch buffer in the arena; None where the kernel needs none."""

    def io(self, graph: Graph) -> IO:
        """The op's tensors with the extents of this call's windows."""
        io = graph.io(self.op)
        views = iter(self.inputs)
        inputs = tuple(t if t.data is not None else t.like(shape=next(views).shape) for t in io.inputs)
        return replace(io, inputs=inputs, out=io.out.like(shape=self.output.shape))


@dataclass(frozen=True)
class Loop:
    """The same calls on different windows, once for each iteration; it only compresses calls."""

    iterations: tuple[tuple[Call, ...], ...]

    def __post_init__(self) -> None:
        shapes = {tuple((c.op.name, c.kernel.name) for c in body) for body in self.iterations}
        if len(shapes) != 1:
            raise InternalError("the iterations of a loop call different kernels")


@dataclass(frozen=True)
class Program:
    """What runs on the chip: steps in order, and the arena they work in."""

    graph: Graph
    steps: tuple[Call | Loop, ...]
    arena_bytes: int
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    bound: int = 0
    """Lower bound on the arena of this order and these stages; equal to ``arena_bytes`` where proved optimal."""

    def unrolled(self) -> Iterator[Call]:
        """All calls, loops written out."""
        for step in self.steps:
            if isinstance(step, Call):
                yield step
            else:
                for body in step.iterations:
                    yield from body
