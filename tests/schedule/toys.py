"""Small ops with a NumPy meaning and no C, and random graphs of them, to test plans without a backend."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from hypothesis import strategies as st

from tinycompile.backends import Kernel
from tinycompile.boards import MemoryRegion
from tinycompile.ir import (
    IO,
    Array,
    Cut,
    DType,
    Graph,
    Op,
    Pad,
    Pair,
    Quant,
    Shape,
    Tensor,
    Window,
    receptive_field,
    sliding_extent,
    verify,
)
from tinycompile.schedule.program import Program, View
from tinycompile.simulate.arena import rows, window

ONE = Quant.per_tensor(1.0)
WINDOWED = ("out_h", "out_w", "out_pitch", "in0_pitch")
RINGED = (*WINDOWED, "in0_turn", "in0_ring")


@dataclass(frozen=True)
class Slide(Op):
    """Sum of the values under a sliding window, modulo 256."""

    kernel: Pair
    stride: Pair
    pad: Pad

    def infer(self, *inputs: Tensor) -> Shape:
        (height, width), pad = inputs[0].hw, self.pad
        rows = sliding_extent(height, self.kernel[0], self.stride[0], 1, pad.top + pad.bottom)
        columns = sliding_extent(width, self.kernel[1], self.stride[1], 1, pad.left + pad.right)
        return (1, rows, columns, inputs[0].channels)

    def run(self, io: IO, *inputs: Array) -> Array:
        pad = self.pad
        x = np.pad(inputs[0].astype(np.int64), ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, 0)))
        parts = np.lib.stride_tricks.sliding_window_view(x, self.kernel, (1, 2))
        return parts[:, :: self.stride[0], :: self.stride[1]].sum((-2, -1)).astype(np.int8)

    def restrict(self, io: IO, window: Window) -> Cut | None:
        source, pad = receptive_field(window, io.x.hw, self.kernel, self.stride, pad=self.pad)
        return Cut(Slide(self.name, self.inputs, self.output, self.kernel, self.stride, pad), (source,))


@dataclass(frozen=True)
class Plus(Op):
    """Sum of two tensors, modulo 256; in place."""

    def infer(self, *inputs: Tensor) -> Shape:
        return inputs[0].shape

    def run(self, io: IO, *inputs: Array) -> Array:
        return inputs[0] + inputs[1]

    def restrict(self, io: IO, window: Window) -> Cut | None:
        return Cut(self, (window, window))

    def lag(self, io: IO, index: int) -> int | None:
        return 0


@dataclass(frozen=True)
class Trail(Op):
    """Each value plus the one ``reach`` places before it (or the first), modulo 256; in place with a lag."""

    reach: int

    def infer(self, *inputs: Tensor) -> Shape:
        return inputs[0].shape

    def run(self, io: IO, *inputs: Array) -> Array:
        flat = inputs[0].reshape(-1)
        return (flat + flat[np.maximum(np.arange(flat.size) - self.reach, 0)]).reshape(io.out.shape)

    def lag(self, io: IO, index: int) -> int | None:
        return self.reach


@dataclass(frozen=True)
class Flip(Op):
    """Columns in reverse order; cannot be cut."""

    def infer(self, *inputs: Tensor) -> Shape:
        return inputs[0].shape

    def run(self, io: IO, *inputs: Array) -> Array:
        return inputs[0][:, :, ::-1]


@dataclass(frozen=True)
class Flat(Op):
    """The same bytes in one row."""

    alias: ClassVar[bool] = True

    def infer(self, *inputs: Tensor) -> Shape:
        return (1, inputs[0].size)

    def run(self, io: IO, *inputs: Array) -> Array:
        return inputs[0].reshape(io.out.shape)


CYCLES = {"macs": 5.0, "ops": 5.0, "stores": 2.0, "call": 60.0}

ROWS = (
    Kernel(
        "slide",
        Slide,
        "none",
        arguments=RINGED,
        cycles=CYCLES,
        scratch=lambda op, io: 16 * io.x.hw[1] if op.kernel[0] > 1 else 0,
    ),
    Kernel("plus", Plus, "none", arguments=(*WINDOWED, "in1_pitch"), cycles=CYCLES),
    Kernel("trail", Trail, "none", cycles=CYCLES),
    Kernel("flip", Flip, "none", cycles=CYCLES),
)


def candidates(op: Op, io: IO, features: frozenset[str] = frozenset()) -> tuple[Kernel, ...]:
    """The toys' kernels, in the place of the backends'."""
    return tuple(row for row in ROWS if isinstance(op, row.op))


def board(ram: int) -> Any:
    """A board as far as the scheduler looks at it."""
    sram = MemoryRegion("sram", 0x2000_0000, ram)
    memory = {"ram": sram, "flash": MemoryRegion("flash", 0, 1 << 20), "banks": (sram,)}
    return SimpleNamespace(name="toy", core="cortex-m4", abilities=frozenset({"cortex-m4"}), **memory)


class Builder:
    """A graph under construction."""

    def __init__(self, shape: Shape) -> None:
        self.tensors = {"x": Tensor("x", shape, DType.INT8, ONE)}
        self.ops: list[Op] = []

    def add(self, kind: type[Op], *inputs: str, **attributes: Any) -> str:
        """Append an op and return the name of its output."""
        name = f"t{len(self.ops)}"
        op = kind(f"op{len(self.ops)}", inputs, name, **attributes)
        shape = op.infer(*(self.tensors[n] for n in inputs))
        self.tensors[name] = Tensor(name, shape, DType.INT8, ONE)
        self.ops.append(op)
        return name

    def graph(self, *outputs: str) -> Graph:
        """The graph, verified."""
        return verify(Graph("toy", ("x",), outputs, tuple(self.ops), self.tensors))


def pads(draw: st.DrawFn, kernel: Pair) -> Pad:
    """Padding smaller than the kernel on each side."""
    sizes = (kernel[0], kernel[1], kernel[0], kernel[1])
    return Pad(*(draw(st.integers(0, size - 1)) for size in sizes))


@st.composite
def graphs(draw: st.DrawFn, most: int = 8, flips: bool = True) -> Graph:
    """A random network with branches, strides, padding, in-place sums and, at the end, perhaps an alias."""
    build = Builder((1, draw(st.integers(4, 17)), draw(st.integers(4, 17)), draw(st.integers(1, 3))))
    images = ["x"]
    for _ in range(draw(st.integers(1, most))):
        source = draw(st.sampled_from(images[-3:]))
        twins = [n for n in images if build.tensors[n].shape == build.tensors[source].shape]
        kind = draw(st.sampled_from([Slide, Slide, Plus, *([Flip, Trail] if flips else [])]))
        if kind is Plus:
            images.append(build.add(Plus, source, draw(st.sampled_from(twins))))
        elif kind is Flip:
            images.append(build.add(Flip, source))
        elif kind is Trail:
            images.append(build.add(Trail, source, reach=draw(st.integers(1, 9))))
        else:
            kernel = tuple(draw(st.integers(1, min(3, size))) for size in build.tensors[source].hw)
            stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
            attributes = {"kernel": kernel, "stride": stride, "pad": pads(draw, kernel)}
            images.append(build.add(Slide, source, **attributes))
    outputs = [images[-1], *draw(st.lists(st.sampled_from(images[1:]), max_size=1))]
    if draw(st.booleans()):
        outputs.append(build.add(Flat, draw(st.sampled_from(images))))
    return build.graph(*dict.fromkeys(outputs))


def noise(graph: Graph) -> dict[str, Array]:
    """Random inputs."""
    rng = np.random.default_rng(0)
    return {n: rng.integers(-128, 128, graph.tensors[n].shape).astype(np.int8) for n in graph.inputs}


def one_by_one(program: Program, inputs: dict[str, Array]) -> dict[str, Array]:
    """A program run in its arena as C would: in-place ops write each value before they read the next.

    ``simulate.arena`` reads all of an op's inputs before it writes, so it cannot see a wrong lag; this can.
    """
    graph = program.graph
    memory = np.random.default_rng(1).integers(0, 256, program.arena_bytes, dtype=np.uint8)

    def look(view: View) -> Array:
        return window(memory, view, graph.tensors[view.tensor].dtype)

    def part(view: View) -> Array:
        return rows(memory, view, graph.tensors[view.tensor].dtype)

    for view in program.inputs:
        look(view)[...] = inputs[view.tensor]
    for call in program.unrolled():
        out, sources = look(call.output), [part(view) for view in call.inputs]
        io = call.io(graph)
        if call.scratch is not None:
            memory[call.scratch : call.scratch + call.kernel.scratch(call.op, io)] = 0x55
        if isinstance(call.op, Plus):
            for at in np.ndindex(out.shape):
                out[at] = np.int8((int(sources[0][at]) + int(sources[1][at]) + 128) % 256 - 128)
        elif isinstance(call.op, Trail):
            shape = out.shape
            for i, at in enumerate(np.ndindex(shape)):
                past = np.unravel_index(max(i - call.op.reach, 0), shape)
                out[at] = np.int8((int(sources[0][at]) + int(sources[0][past]) + 128) % 256 - 128)
        else:
            out[...] = call.op.run(io, *sources)
    return {view.tensor: look(view).copy() for view in program.outputs}
