"""The first test of everything: one op, run by its NumPy specification, in the arena, and as C on the host.

``check`` takes many small graphs at once, because one compiler run serves them all. Each graph (one op) becomes
up to three programs: the whole op; in place, where ``lag`` allows; and cut into windows, where ``restrict`` allows.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinycompile.backends import EVERYTHING, Kernel, candidates
from tinycompile.codegen import render
from tinycompile.codegen.checked import TAIL
from tinycompile.ir import Array, Graph, Tensor, Window, verify
from tinycompile.schedule.program import Call, Part, Program, Stream, View
from tinycompile.simulate import Host, arena, compare, reference

FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-ffp-contract=off"]


def compiler() -> list[str]:
    """The system's C compiler, or the one of the ziglang wheel."""
    system = shutil.which("cc")
    return [system] if system else [sys.executable, "-m", "ziglang", "cc"]


def check(cases: Sequence[tuple[Graph, Sequence[dict[str, Array]]]], abilities: frozenset[str] = EVERYTHING) -> int:
    """Assert reference == arena == host for every graph, kernel, program variant and input; returns comparisons."""
    programs = [(p, inputs) for graph, inputs in cases for p in variants(verify(graph), abilities)]
    compared = 0
    with tempfile.TemporaryDirectory() as folder:
        library, runs = build([p for p, _ in programs], Path(folder))
        for (program, inputs), run in zip(programs, runs, strict=True):
            size = program.arena_bytes + TAIL
            host = Host(library, program.graph, run=run, arena_bytes=size)
            for values in inputs:
                expected = reference(program.graph, values)
                compare(expected, arena(program, values), names=("reference", f"arena of {program.graph}"))
                compare(expected, host(values), names=("reference", f"host of {program.graph}"))
                compared += 1
    return compared


def build(programs: Sequence[Program], folder: Path) -> tuple[Path, list[str]]:
    """One shared library with all programs, as checked builds; the inference functions in order."""
    runs, files = [], []
    for i, program in enumerate(programs):
        sources = render(program, name=f"case{i}", checked=True)
        sources.write(folder)
        runs.append(sources.run)
        files += [f"{sources.name}_weights.c", f"{sources.name}.c"]
    whole = folder / "all.c"
    whole.write_text(
        "".join(
            f'#define canaries_set set_{i}\n#define canaries_alive alive_{i}\n#include "{name}"\n'
            "#undef canaries_set\n#undef canaries_alive\n"
            for i, name in enumerate(files)
        )
    )
    library = folder / "all.so"
    command = [*compiler(), *FLAGS, "-shared", "-fPIC", "-o", str(library), str(whole)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-6000:]
    return library, runs


def variants(graph: Graph, abilities: frozenset[str] = EVERYTHING) -> Iterator[Program]:
    """The programs of a one-op graph: for each kernel the whole op, in place, cut into windows, taken in by rows.

    ``abilities`` are those of the core; the host runs every kernel.
    """
    (op,) = graph.ops
    io = graph.io(op)
    kernels = candidates(op, io, abilities)
    assert kernels, f"no kernel for {op.label()} on {[str(t) for t in io.inputs]}"
    for kernel in kernels:
        yield whole(graph, kernel)
        for index in range(len(io.activations)):
            lag = lag_of(graph, kernel, index)
            if lag is not None:
                yield whole(graph, kernel, in_place=(index, lag))
        cut = windows(graph, kernel)
        if cut is not None:
            yield cut
        if op.fold(io) is not None and {"in0_last", "in0_top"} & set(kernel.arguments):
            yield row_by_row(graph, kernel)


def lag_of(graph: Graph, kernel: Kernel, index: int) -> int | None:
    """The lag against activation ``index``."""
    (op,) = graph.ops
    io = graph.io(op)
    position = [i for i, t in enumerate(io.inputs) if t.data is None][index]
    if op.inputs.count(op.inputs[position]) > 1:
        return None
    return (kernel.lag or type(op).lag)(op, io, position)


def whole(graph: Graph, kernel: Kernel, in_place: tuple[int, int] | None = None) -> Program:
    """One call; tensors side by side, or the output ``lag`` bytes below one of the inputs."""
    (op,) = graph.ops
    io = graph.io(op)
    views: dict[str, View] = {}
    cursor = 16
    shared = io.activations[in_place[0]] if in_place else None
    for tensor in dict.fromkeys(io.activations):
        if tensor is not shared:
            views[tensor.name] = view(tensor, cursor)
            cursor = up(cursor + tensor.nbytes)
    if shared is not None and in_place is not None:
        low = cursor
        high = up(low + max(in_place[1], 0))
        views[shared.name] = view(shared, high)
        output = view(io.out, high - up(in_place[1]) if in_place[1] > 0 else high - in_place[1] // 4 * 4)
        cursor = up(max(high + shared.nbytes, output.offset + io.out.nbytes))
    else:
        output = view(io.out, cursor)
        cursor = up(cursor + io.out.nbytes)
    scratch = None
    if kernel.scratch(op, io):
        scratch, cursor = cursor, up(cursor + kernel.scratch(op, io))
    call = Call(op, kernel, tuple(views[t.name] for t in io.activations), output, scratch)
    return Program(graph, (call,), cursor, tuple(views[n] for n in graph.inputs), (output,))


def windows(graph: Graph, kernel: Kernel) -> Program | None:
    """The op in a stream over a grid of windows; None where it cannot be cut."""
    (op,) = graph.ops
    io = graph.io(op)
    if len(io.out.shape) != 4 or not all(a.startswith(("out", "in", "pad")) for a in kernel.arguments):
        return None
    program = whole(graph, kernel)
    (full,) = program.unrolled()
    calls, count = [], 0
    for part in grid(io.out.hw):
        cut = op.restrict(io, part)
        if cut is None or not kernel.arguments:
            return None
        inputs, positions = [], iter(full.inputs)
        for tensor, source in zip(io.inputs, cut.windows, strict=True):
            if tensor.data is None:
                base = next(positions)
                inputs.append(base if source is None else sub(base, tensor, source))
        call = Call(cut.op, kernel, tuple(inputs), sub(full.output, io.out, part))
        size = kernel.scratch(cut.op, call.io(graph))
        count = max(count, size)
        start = None if kernel.scratch(op, io) == 0 else program.arena_bytes
        calls.append(Call(call.op, kernel, call.inputs, call.output, start))
    return Program(graph, (Stream(tuple(calls)),), up(program.arena_bytes + count), program.inputs, program.outputs)


def row_by_row(graph: Graph, kernel: Kernel) -> Program:
    """An op that folds in a loop over its parts."""
    (op,) = graph.ops
    io = graph.io(op)
    program = whole(graph, kernel)
    (full,) = program.unrolled()
    cuts, calls = op.fold(io), []
    assert cuts is not None
    for y, cut in enumerate(cuts):
        assert cut.windows[0] is not None
        rows = sub(full.inputs[0], io.x, cut.windows[0])
        calls.append(Call(cut.op, kernel, (rows,), full.output, full.scratch, Part(y == 0, y == len(cuts) - 1)))
    return Program(graph, (Stream(tuple(calls)),), program.arena_bytes, program.inputs, program.outputs)


def grid(hw: tuple[int, int]) -> Iterator[Window]:
    """Two by two windows of unequal size (one where an extent is 1)."""
    rows, columns = cuts(hw[0]), cuts(hw[1])
    for top, bottom in rows:
        for left, right in columns:
            yield Window(top, left, bottom - top, right - left)


def cuts(size: int) -> list[tuple[int, int]]:
    """``size`` in two unequal parts."""
    middle = (size + 2) // 3
    return [(0, middle), (middle, size)] if size > 1 else [(0, 1)]


def sub(base: View, tensor: Tensor, window: Window) -> View:
    """A window of a whole tensor's view."""
    pixel = tensor.channels * tensor.dtype.size
    offset = base.offset + window.top * base.pitch + window.left * pixel
    shape = (1, window.height, window.width, tensor.channels)
    return View(base.tensor, offset, shape, base.pitch, top=window.top, left=window.left)


def view(tensor: Tensor, offset: int) -> View:
    """A whole tensor at an offset."""
    row = tensor.shape[2] * tensor.shape[3] * tensor.dtype.size if len(tensor.shape) == 4 else tensor.nbytes
    return View(tensor.name, offset, tensor.shape, row)


def up(value: int) -> int:
    """Rounded up to a multiple of 4."""
    return -(-value // 4) * 4


def noise(graph: Graph, seed: int = 0, count: int = 2) -> list[dict[str, Array]]:
    """Random inputs over the full range of their types, then inputs at the extremes."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        values = {}
        for name in graph.inputs:
            tensor = graph.tensors[name]
            info = np.iinfo(tensor.dtype.value)
            array = rng.integers(info.min, info.max + 1, tensor.shape)
            if i % 2:
                array = np.where(rng.random(tensor.shape) < 0.5, info.min, info.max)
            values[name] = array.astype(tensor.dtype.value)
        found.append(values)
    return found
