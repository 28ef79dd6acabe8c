"""A program run in NumPy on one byte array at the planned addresses.

A wrong lifetime, overlap or window shows here before any C exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, cycle, islice

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinycompile.errors import InternalError
from tinycompile.ir import Array, DType, Graph, Op
from tinycompile.schedule.program import Arrival, Call, Program, Stream, View
from tinycompile.schedule.pushed import pushed
from tinycompile.simulate.reference import checked_inputs


def arena(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of ``program``, computed in ``program.arena_bytes`` bytes that start as noise.

    Raises UsageError as ``reference`` does.
    """
    graph, memory = program.graph, _noise(program)
    given = checked_inputs(graph, inputs)
    if program.position is None:
        for view, array in zip(program.inputs, given.values(), strict=True):
            window(memory, view, graph.tensors[view.tensor].dtype)[...] = array
    _run(memory, graph, program.events(), iter(pushed_rows(program, given)))
    return _outputs(memory, program)


def slide(program: Program, rows: Array) -> Iterator[dict[str, Array]]:
    """The outputs for all windows of an input over which one slides (``Goal.sliding``).

    ``rows`` are as many rows of the input as there are, uint8[rows, bytes of a row]; what is missing from a last window
    is not waited for. Raises InternalError where the program has no such input.
    """
    stage, facts = program.steps[0], pushed(program)
    if facts is None or facts.hop is None or not isinstance(stage, Stream):
        raise InternalError(f"{program.graph.name}: no window slides over its input")
    memory, arriving = _noise(program), iter(rows)
    tail = [call for step in program.steps[1:] for call in (step.events if isinstance(step, Stream) else (step,))]
    windows = (len(rows) - facts.rows) // facts.hop + 1
    for events in islice(chain((stage.events,), cycle(stage.hops)), max(windows, 0)):
        _run(memory, program.graph, (*events, *tail), arriving)
        yield _outputs(memory, program)


def _noise(program: Program) -> Array:
    return np.random.default_rng(0).integers(0, 256, program.arena_bytes, dtype=np.uint8)


def _outputs(memory: Array, program: Program) -> dict[str, Array]:
    return {v.tensor: window(memory, v, program.graph.tensors[v.tensor].dtype).copy() for v in program.outputs}


def _run(memory: Array, graph: Graph, events: Iterable[Call | Arrival], arriving: Iterator[Array]) -> None:
    """Calls in order, and between them the rows that arrive."""
    whole = {op.name: op for op in graph.ops}
    for call in events:
        if isinstance(call, Arrival):
            memory[call.view.offset : call.view.offset + call.view.pitch] = next(arriving)
            continue
        io = call.io(graph)
        views = iter(call.inputs)
        arrays = [t.data if t.data is not None else rows(memory, next(views), t.dtype) for t in io.inputs]
        if call.part is not None:
            _take_in(memory, call, whole[call.op.name], graph, arrays[0])
            continue
        result = call.op.run(io, *arrays)
        if call.scratch is not None:
            size = call.kernel.scratch(call.op, io)
            memory[call.scratch : call.scratch + size] ^= 0xFF
        window(memory, call.output, io.out.dtype)[...] = result


def pushed_rows(program: Program, inputs: Mapping[str, Array]) -> list[Array]:
    """The rows of a pushed input in the order of their arrival, uint8[bytes of a row] each; none where none is."""
    if program.position is None:
        return []
    (view,), (array,) = program.inputs, inputs.values()
    return list(np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(view.shape[1], -1))


def _take_in(memory: Array, call: Call, op: Op, graph: Graph, rows: Array) -> None:
    """One call of an op that folds; the sums stay in its scratch."""
    assert call.part is not None and call.scratch is not None
    io = graph.io(op)
    state = memory[call.scratch : call.scratch + 4 * io.out.channels].view(np.int32)
    before = np.zeros_like(state) if call.part.starts else state
    state[...] = op.accumulate(io, before, rows, call.inputs[0].top)
    if call.part.ends:
        window(memory, call.output, io.out.dtype)[...] = op.finish(io, state)


def rows(memory: Array, view: View, dtype: DType) -> Array:
    """What ``window`` shows; a copy where the view is in two parts of a ring."""
    if not view.wraps:
        return window(memory, view, dtype)
    _, height, width, channels = view.shape
    first = replace(view, shape=(1, view.turn, width, channels))
    start = view.offset - view.slot * view.pitch
    rest = replace(view, offset=start, shape=(1, height - view.turn, width, channels), slot=0)
    return np.concatenate([window(memory, first, dtype), rows(memory, rest, dtype)], axis=1)


def window(memory: Array, view: View, dtype: DType) -> Array:
    """The array that a view shows of the arena; IndexError-free: a view outside the arena raises ValueError.

    The view must not be in two parts of a ring (see ``rows``).
    """
    element = dtype.size
    rows, columns = view.hw
    last = view.offset + (rows - 1) * view.pitch + columns * view.shape[-1] * element
    if view.offset < 0 or last > memory.size:
        raise ValueError(f"{view.tensor!r} ends at byte {last} of an arena of {memory.size}")
    if not view.is_image:
        return memory[view.offset : last].view(dtype.value).reshape(view.shape)
    base = memory[view.offset : last]
    channels = view.shape[3] * element
    strides = (base.size, view.pitch, channels, element)
    count = base.size // element
    typed = base[: count * element].view(dtype.value)
    return as_strided(typed, view.shape, strides)
