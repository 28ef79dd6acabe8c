"""A program: calls of kernels on windows of tensors at fixed addresses."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from tinycompile.backends import Kernel
from tinycompile.cost import kernel_cycles
from tinycompile.errors import InternalError
from tinycompile.ir import IO, Graph, Op, Pair, Shape


@dataclass(frozen=True)
class View:
    """Where a tensor, or a window of one, lies in the arena.

    ``offset`` is the byte of its first element, ``shape`` its own extents, ``pitch`` the bytes from one row
    (axis 1 of four) to the next; a whole tensor has ``pitch == width * channels * element size``.

    Rows may lie in a ring of ``slots`` row slots (0: no ring). The first is then in slot ``slot``, and the
    row after slot ``slots - 1`` is in slot 0.

    ``top`` and ``left`` are where the window begins in the whole tensor.
    """

    tensor: str
    offset: int
    shape: Shape
    pitch: int
    slot: int = 0
    slots: int = 0
    top: int = 0
    left: int = 0

    @property
    def hw(self) -> tuple[int, int]:
        """Rows and columns; tensors that are not images count as one row of (size / channels) columns."""
        return (self.shape[1], self.shape[2]) if self.is_image else (1, prod(self.shape[:-1]))

    @property
    def turn(self) -> int:
        """The row of this view that is in slot 0 again: ``ring_bytes`` below where its pitch would put it."""
        return self.slots - self.slot

    @property
    def ring_bytes(self) -> int:
        """Bytes of the whole ring; 0 where this is none."""
        return self.slots * self.pitch

    @property
    def wraps(self) -> bool:
        """Whether the rows are in two parts: to the end of the ring, and from its start."""
        return self.slots > 0 and self.hw[0] > self.turn

    @property
    def is_image(self) -> bool:
        """Whether this is NHWC with batch 1, so that it can be a window of something larger."""
        return len(self.shape) == 4 and self.shape[0] == 1


@dataclass(frozen=True)
class Part:
    """A call that only takes in some rows of its first input (``Op.fold``), perhaps the first or the last ones."""

    starts: bool
    ends: bool


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
    part: Part | None = None
    """Set where the op takes in its input over several calls; scratch then lasts from the first to the last."""

    def io(self, graph: Graph) -> IO:
        """The op's tensors with the extents of this call's windows."""
        io = graph.io(self.op)
        views = iter(self.inputs)
        inputs = tuple(t if t.data is not None else t.like(shape=next(views).shape) for t in io.inputs)
        return replace(io, inputs=inputs, out=io.out.like(shape=self.output.shape))

    def cycles(self, graph: Graph, core: str) -> int:
        """Predicted cycles on ``core`` (see ``cost``)."""
        return kernel_cycles(self.op, self.io(graph), self.kernel, core)


@dataclass(frozen=True)
class Arrival:
    """The application hands over the next row of a pushed input, which belongs at ``view``."""

    view: View


@dataclass(frozen=True)
class Stream:
    """A stage: calls in order, each of which makes some rows; it only compresses calls.

    Calls of one op differ in their windows, of which there are few kinds. Where the input is pushed, the
    arrivals of its rows stand between the calls. Where a window slides over it, ``hops`` follow for ever.
    """

    events: tuple[Call | Arrival, ...]
    """What one inference takes: of a sliding window, the first."""
    grid: Pair = (1, 1)
    """Cells that the output is made in, one after the other."""
    step: int = 1
    """Rows that a call makes, at most; 0: all of a cell, so that the ops run one after the other."""
    hops: tuple[tuple[Call | Arrival, ...], ...] = ()
    """What each further window takes, in turn, and then from the first of them again. After each, and after
    ``events``, the later steps of the program run. Empty where the next inference begins with ``events``."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """The events less the arrivals."""
        return tuple(event for event in self.events if isinstance(event, Call))

    @property
    def body(self) -> tuple[Call, ...]:
        """The first call of each op, in order of appearance."""
        found: dict[str, Call] = {}
        for call in self.calls:
            found.setdefault(call.op.name, call)
        return tuple(found.values())

    @property
    def counted(self) -> tuple[Call, ...]:
        """A call for each of the steps that ``Program.spans`` count."""
        return self.calls[-1:] if self.step else self.body

    def __str__(self) -> str:
        rows, columns = self.grid
        cells = "" if self.grid == (1, 1) else f" in {rows}x{columns} cells"
        pace = f"{self.step or 'all'} row{'' if self.step == 1 else 's'} a call"
        more = f" and {len(self.hops)} hops of {len(self.hops[0])} calls and arrivals" if self.hops else ""
        return f"stream of {len(self.calls)} calls{more}{cells}, {pace}, the first of each op:"


@dataclass(frozen=True)
class Span:
    """``size`` bytes of the arena from ``offset``, in use in the steps ``start <= t < stop``.

    Steps count calls, for a stream see ``Stream.counted``; -1 is before the first, when the inputs arrive.
    """

    name: str
    offset: int
    size: int
    start: int
    stop: int


@dataclass(frozen=True)
class Bank:
    """The part ``start <= offset < start + size`` of the arena, which lies in the memory ``region`` of the board."""

    region: str
    start: int
    size: int


@dataclass(frozen=True)
class Program:
    """What runs on the chip: steps in order, and the arena they work in.

    Offsets count through the whole arena; ``banks`` says which part of it lies in which memory, none by default:
    then all of it lies in ``sram``. No buffer lies in two banks.
    """

    graph: Graph
    steps: tuple[Call | Stream, ...]
    arena_bytes: int
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    bound: int = 0
    """Lower bound on the arena of this order and these stages; ``arena_bytes`` where proved optimal."""
    floor: int = 0
    """Bytes below which no plan can be that the search may choose for this order of ops, whatever rings it has; 0: the
    search was not for that."""
    arena_bytes_without_input: int = 0
    """What the arena would take if the application kept the inputs elsewhere."""
    spans: tuple[Span, ...] = ()
    """Which bytes are in use when: the memory map over time."""
    banks: tuple[Bank, ...] = ()
    """The arena's parts, end to end, each from a multiple of 16."""
    position: int | None = None
    """Where the input is pushed: the byte offset of an int32 that says how far its stream has come (which event of
    the first step, a ``Stream``, is next; 0 before the first row). It lives as long as the arena."""

    def __post_init__(self) -> None:
        if not self.banks:
            object.__setattr__(self, "banks", (Bank("sram", 0, self.arena_bytes),))
        ends = [0, *(bank.start + bank.size for bank in self.banks)]
        if [bank.start for bank in self.banks] != ends[:-1] or ends[-1] != self.arena_bytes:
            raise InternalError(f"banks {self.banks} do not make an arena of {self.arena_bytes} bytes")

    @property
    def _is_plain(self) -> bool:
        """Whether all of the arena lies in the main memory."""
        return [bank.region for bank in self.banks] == ["sram"]

    def place(self, offset: int) -> tuple[int, int]:
        """The index of the bank in which a byte of the arena lies, and its offset there."""
        index = max(bisect_right(self.banks, offset, key=lambda bank: bank.start) - 1, 0)
        return index, offset - self.banks[index].start

    @property
    def flat(self) -> tuple[Call, ...]:
        """The calls in the steps that ``spans`` count."""
        return tuple(c for step in self.steps for c in (step.counted if isinstance(step, Stream) else (step,)))

    @property
    def peak_step(self) -> int:
        """The step in which most bytes are in use (the first of them)."""
        used = [self.used(t) for t in range(len(self.flat))]
        return used.index(max(used)) if used else 0

    def used(self, step: int) -> int:
        """Bytes in use in a step; those that an output shares with an input count once."""
        total, end = 0, 0
        for span in self.alive(step):
            total += max(span.offset + span.size - max(span.offset, end), 0)
            end = max(end, span.offset + span.size)
        return total

    def alive(self, step: int) -> tuple[Span, ...]:
        """What is in use in a step, by offset."""
        return tuple(sorted((s for s in self.spans if s.start <= step < s.stop), key=lambda s: s.offset))

    def unrolled(self) -> Iterator[Call]:
        """All calls of one inference, streams written out."""
        return (event for event in self.events() if isinstance(event, Call))

    @property
    def hop(self) -> tuple[Call, ...]:
        """All calls of a window behind the first one, where a window slides over the input; else none.

        All hops have the same calls, in other slots of the rings.
        """
        first, *rest = self.steps or ((),)
        if not isinstance(first, Stream) or not first.hops:
            return ()
        later = [call for step in rest for call in (step.calls if isinstance(step, Stream) else (step,))]
        return (*(event for event in first.hops[0] if isinstance(event, Call)), *later)

    def events(self) -> Iterator[Call | Arrival]:
        """The same, and the arrivals of a pushed input between them."""
        for step in self.steps:
            yield from step.events if isinstance(step, Stream) else (step,)

    def __str__(self) -> str:
        proof = "optimal" if self.bound == self.arena_bytes else f"lower bound {self.bound:,}"
        proof += f"; no plan below {self.floor:,}" if self.floor else ""
        lines = [f"program {self.graph.name}: arena {self.arena_bytes:,} bytes ({proof})"]
        lines += [f"  bank   {b.region}: {b.size:,} bytes @{b.start}" for b in self.banks if not self._is_plain]
        pushed = "" if self.position is None else f", pushed row by row; position @{self.position}"
        lines += [f"  input  {_place(view)}{pushed}" for view in self.inputs]
        for step in self.steps:
            if isinstance(step, Call):
                lines.append(f"  {_line(step)}")
                continue
            lines.append(f"  {step}")
            lines += [f"    {_line(call)}" for call in step.body]
        lines += [f"  output {_place(view)}" for view in self.outputs]
        return "\n".join(lines)

    def memory_map(self, width: int = 64) -> str:
        """The arena over time: a row a step, ``width`` characters for its bytes, a letter for each buffer."""
        letters = {s.name: LETTERS[i % len(LETTERS)] for i, s in enumerate(self.spans)}
        calls = self.flat
        rows = []
        for step in range(-1, len(calls) + 1):
            row = ["."] * width
            for span in self.alive(step):
                low = span.offset * width // self.arena_bytes
                high = -(-(span.offset + span.size) * width // self.arena_bytes)
                row[low:high] = [letters[span.name]] * (high - low)
            label = calls[step].op.name if 0 <= step < len(calls) else ("inputs" if step < 0 else "outputs")
            rows.append(f"{''.join(row)}  {self.used(step):>9,}  {label}")
        named = [f"{letters[s.name]} {s.name}: {s.size:,} bytes at {s.offset:,}" for s in self.spans]
        return "\n".join([*self._borders(width), *rows, "", *named])

    def _borders(self, width: int) -> list[str]:
        """Where the banks of an arena in several memories start, as a line of the memory map."""
        line = ""
        for bank in self.banks:
            column = bank.start * width // self.arena_bytes
            line = f"{line[:column]:{column}}|{bank.region}"
        return [line] if len(self.banks) > 1 else []


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _line(call: Call) -> str:
    args = ", ".join(_place(view) for view in call.inputs)
    scratch = "" if call.scratch is None else f", scratch @{call.scratch}"
    return f"{_place(call.output)} = {call.kernel.name}({args}{scratch})"


def _place(view: View) -> str:
    ring = f" of {view.slots} slots" if view.slots else ""
    return f"{view.tensor}[{'x'.join(map(str, view.shape))}{ring}]@{view.offset}"
