"""Channels that no output depends on are left out of an integer graph, exactly.

Training with weight decay or batch normalisation often leaves channels that are the same for every input, or that
nothing reads with a weight other than zero. What can be proved of ranges of int8 decides: a forward sweep bounds every
channel (interval arithmetic over the accumulators), a backward one finds which channels are needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import IO, Array, DType, Graph, Op, Quant, Tensor
from tinycompile.numerics import INT8_MAX, INT8_MIN, INT32_MAX, native_multiplier
from tinycompile.ops import (
    Add,
    AveragePool2D,
    Concat,
    Conv2D,
    Dense,
    Max,
    MaxPool2D,
    Min,
    Mul,
    PadOp,
    PRelu,
    Reduce,
    Reshape,
    Resize2D,
    Sub,
    Unary,
)

MULTIPLE = 4
"""Channels are kept in fours where that many are left: pixels then are whole words, and blocks of filters full."""

GROWING = (Add, AveragePool2D, Concat, Max, MaxPool2D, Min, PadOp, Reduce, Reshape, Resize2D)
"""Ops no output of which falls where an input rises: run on bounds, they give bounds."""

ELEMENTWISE = (Add, Max, Min, Mul, PRelu, Sub, Unary)
SPATIAL = (AveragePool2D, MaxPool2D, Resize2D)

Kept = Mapping[str, Array]
"""bool[channels] of each activation."""


@dataclass(frozen=True)
class Range:
    """int64[channels] twice: what no value of a channel is below, or above."""

    low: Array
    high: Array

    @staticmethod
    def whole(channels: int) -> Range:
        """All of int8."""
        return Range(np.full(channels, INT8_MIN), np.full(channels, INT8_MAX))

    @staticmethod
    def around(low: Array, high: Array) -> Range:
        """Of two arrays, channels last."""
        axes = tuple(range(low.ndim - 1))
        return Range(low.min(axis=axes).astype(np.int64), high.max(axis=axes).astype(np.int64))

    def with_value(self, value: int) -> Range:
        """The range that holds ``value`` too."""
        return Range(np.minimum(self.low, value), np.maximum(self.high, value))


def without_dead_channels(graph: Graph) -> Graph:
    """The graph without channels that no output depends on; outputs are the same for every input, to the last bit.

    What constant channels add to sums goes into biases. Inputs and outputs of the graph keep their shapes.
    """
    ranges = _ranges(graph)
    kept = _needed(graph, ranges)
    if all(channels.all() for channels in kept.values()):
        return graph
    tensors = {name: t for name, t in graph.tensors.items() if t.data is not None}
    shared = {name for name, users in graph.consumers().items() if len(users) > 1}
    for name, channels in kept.items():
        old = graph.tensors[name]
        tensors[name] = old if channels.all() else replace(old, shape=(*old.shape[:-1], int(channels.sum())))
    ops = []
    for op in graph.ops:
        found, constants = _without(op, graph.io(op), ranges, kept)
        names = {t.name: f"{t.name}.{op.name}" if t.name in shared else t.name for t in constants}
        tensors.update({names[t.name]: replace(t, name=names[t.name]) for t in constants})
        ops.append(replace(found, inputs=tuple(names.get(n, n) for n in found.inputs)))
    return graph.with_ops(ops, tensors)


# What is known of ops


def _is_integer(io: IO) -> bool:
    return all(t.dtype is DType.INT8 and t.shape for t in (*io.activations, io.out))


def _mixes(op: Op, io: IO) -> bool:
    """Whether every output channel sums over all input channels."""
    return _is_integer(io) and ((isinstance(op, Conv2D) and op.groups == 1) or isinstance(op, Dense))


def _is_depthwise(op: Op, io: IO) -> bool:
    return isinstance(op, Conv2D) and op.is_depthwise(io) and io.x.channels == io.out.channels and not _mixes(op, io)


def _links(op: Op, io: IO) -> tuple[Array | None, ...] | None:
    """For each input of ``op`` the channel, or -1, that each output channel is made of: both are kept, or neither.

    None for an input that all output channels share. None instead of it all where channels meet in other ways.
    """
    channels = np.arange(io.out.channels)
    if not _is_integer(io):
        return None
    if _is_depthwise(op, io):
        return (channels, *(None,) * (len(io.inputs) - 1))
    if isinstance(op, ELEMENTWISE):
        return tuple(channels if t.shape and t.channels == len(channels) else None for t in io.inputs)
    if isinstance(op, SPATIAL) or (isinstance(op, PadOp) and op.before[-1] == op.after[-1] == 0):
        return (channels,)
    if isinstance(op, Reduce) and op.keepdims and len(io.x.shape) - 1 not in op.axes:
        return (channels,)
    if isinstance(op, Reshape) and len(channels) % io.x.channels == 0:
        return (channels % io.x.channels,)
    if isinstance(op, Concat):
        if op.axis < len(io.out.shape) - 1:
            return (channels,) * len(io.inputs)
        ends = np.cumsum([t.channels for t in io.inputs])
        starts = ends - [t.channels for t in io.inputs]
        parts = zip(starts, ends, strict=True)
        return tuple(np.where((channels >= s) & (channels < e), channels - s, -1) for s, e in parts)
    return None


def _centred(io: IO) -> Array:
    """int64 (O, taps, I): weights less their zero point."""
    weights = io.inputs[1]
    return weights.values.astype(np.int64).reshape(weights.shape[0], -1, weights.shape[-1]) - weights.zero_point


def _scales(io: IO) -> Array:
    """float64 (O): a unit of the accumulator in units of the output."""
    scale = io.x.q.scalar * np.asarray(io.inputs[1].q.scale, np.float64) / io.out.q.scalar
    return np.broadcast_to(scale, (io.out.channels,))


# Forward: ranges


def _ranges(graph: Graph) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    for op in graph.ops:
        io = graph.io(op)
        if not _is_integer(io):
            continue
        found = Range.whole(io.out.channels)
        if _mixes(op, io) or _is_depthwise(op, io):
            found = _of_sums(op, io, _range_of(io.x, ranges))
        elif isinstance(op, Unary):
            found = _of_table(op.table(io).astype(np.int64), _range_of(io.x, ranges))
        elif isinstance(op, GROWING) and _keeps_order(io):
            ends = [[_filled(t, ranges, end) for t in io.inputs] for end in ("low", "high")]
            found = Range.around(*(op.run(io, *arrays) for arrays in ends))
        ranges[op.output] = found
    return ranges


def _range_of(tensor: Tensor, ranges: Mapping[str, Range]) -> Range:
    return ranges.get(tensor.name) or Range.whole(tensor.channels)


def _filled(tensor: Tensor, ranges: Mapping[str, Range], end: str) -> Array:
    """A constant as it is, or an array that is as low or high everywhere as its channels get."""
    if tensor.data is not None:
        return tensor.data
    values = getattr(_range_of(tensor, ranges), end).astype(np.int8)
    return np.array(np.broadcast_to(values, tensor.shape))


def _keeps_order(io: IO) -> bool:
    """Whether what goes into an output is so small in its units that nothing wraps around int32 on the way."""
    terms, scales = io.x.size // io.out.size + len(io.inputs), [t.q.scalar for t in io.inputs]
    return terms * 256 * max(scales) < io.out.q.scalar * (INT32_MAX // 2)


def _of_sums(op: Op, io: IO, x: Range) -> Range:
    """Bounds of each product, added up and requantised, which keeps their order."""
    if isinstance(op, Conv2D) and op.pad:
        x = x.with_value(io.x.zero_point)
    p, w = op.parameters(io), _centred(io)
    low, high = (np.broadcast_to(v, (len(w), io.x.channels)) for v in (x.low, x.high))
    if w.shape[2] == 1 and io.x.channels > 1:
        low, high = x.low[:, None], x.high[:, None]
    low, high = low[:, None, :], high[:, None, :]
    least = np.minimum(w * low, w * high).sum(axis=(1, 2)) + p["bias"]
    most = np.maximum(w * low, w * high).sum(axis=(1, 2)) + p["bias"]
    order_holds = np.maximum(-least, most) * _scales(io) < INT32_MAX / 2
    bounds = [np.asarray(p["requantizer"](sums)).astype(np.int64) for sums in (least, most)]
    return Range(np.where(order_holds, bounds[0], INT8_MIN), np.where(order_holds, bounds[1], INT8_MAX))


def _of_table(table: Array, x: Range) -> Range:
    spans = [table[a - INT8_MIN : b - INT8_MIN + 1] for a, b in zip(x.low, x.high, strict=True)]
    return Range(np.array([s.min() for s in spans]), np.array([s.max() for s in spans]))


# Backward: what is needed


def _needed(graph: Graph, ranges: Mapping[str, Range]) -> Kept:
    """The least channels that inputs, outputs, and every op ask for."""
    kept = {name: np.zeros(t.shape[-1:] or 1, bool) for name, t in graph.tensors.items() if t.data is None}
    for name in (*graph.inputs, *graph.outputs):
        kept[name][...] = True
    count = -1
    while count != (count := sum(int(channels.sum()) for channels in kept.values())):
        for op in reversed(graph.ops):
            _ask(op, graph.io(op), ranges, kept)
        if count == sum(int(channels.sum()) for channels in kept.values()):
            _round_up(kept)
    return kept


def _ask(op: Op, io: IO, ranges: Mapping[str, Range], kept: Kept) -> None:
    """Mark what ``op`` needs of its inputs, and where channels belong together, of its output."""
    out, links = kept[io.out.name], _links(op, io)
    if _mixes(op, io):
        used = (_centred(io)[out] != 0).any(axis=(0, 1))
        kept[io.x.name][used & ~_is_absorbed(op, io, ranges)] = True
    elif links is None:
        for tensor in (*io.activations, io.out):
            kept[tensor.name][...] = True
    else:
        for tensor, link in zip(io.inputs, links, strict=True):
            if tensor.data is None:
                _join(kept[tensor.name], out, link)
    if (_mixes(op, io) or _is_depthwise(op, io)) and io.rounding == "native" and out.any():
        scales = _scales(io)
        if native_multiplier(scales[out])[1] != native_multiplier(scales)[1]:
            out[scales.argmax()] = True  # all channels share a shift, which the largest scale decides


def _join(channels: Array, out: Array, link: Array | None) -> None:
    """What is needed of one is needed of the other."""
    if link is None:
        channels[...] = True
        return
    mine = link >= 0
    channels[link[mine & out]] = True
    out[mine] |= channels[link[mine]]


def _is_absorbed(op: Op, io: IO, ranges: Mapping[str, Range]) -> Array:
    """bool[I]: input channels whose products are the same at every pixel."""
    x = _range_of(io.x, ranges)
    if isinstance(op, Conv2D) and op.pad:
        x = x.with_value(io.x.zero_point)
    return np.asarray(x.low == x.high)


def _round_up(kept: Kept) -> None:
    for channels in kept.values():
        missing = -int(channels.sum()) % MULTIPLE if channels.any() else 1
        channels[np.flatnonzero(~channels)[:missing]] = True


# The graph without them


def _without(op: Op, io: IO, ranges: Mapping[str, Range], kept: Kept) -> tuple[Op, list[Tensor]]:
    """``op`` on the channels that are left, and those of its constants that become others."""
    out = kept[io.out.name]
    if _mixes(op, io):
        return _without_inputs(op, io, _range_of(io.x, ranges), kept[io.x.name], out)
    if out.all():
        return op, []
    if isinstance(op, Conv2D):
        return replace(op, groups=int(out.sum())), [_some(t, out) for t in io.inputs[1:]]
    if isinstance(op, Reshape):
        return replace(op, shape=(*op.shape[:-1], int(out.sum()))), []
    constants = []
    for tensor, link in zip(io.inputs, _links(op, io) or (), strict=True):
        if tensor.data is not None and link is not None:
            values = tensor.values[..., link[(link >= 0) & out]]
            constants.append(replace(tensor, shape=values.shape, data=np.ascontiguousarray(values)))
    return op, constants


def _without_inputs(op: Op, io: IO, x: Range, inputs: Array, out: Array) -> tuple[Op, list[Tensor]]:
    weights = io.inputs[1]
    gone = _centred(io)[:, :, ~inputs].sum(axis=1) @ (x.low - io.x.zero_point)[~inputs]
    kept = replace(weights, shape=(*weights.shape[:-1], int(inputs.sum())), data=weights.values[..., inputs].copy())
    constants = [_some(kept, out)]
    if len(io.inputs) > 2:
        bias = io.inputs[2]
        moved = replace(bias, data=(bias.values + gone).astype(np.int32))
        return op, [*constants, _some(moved, out)]
    if not gone.any():
        return op, constants
    scale = tuple(io.x.q.scalar * s for s in weights.q.scale)
    bias = Tensor.constant(f"{op.name}.bias", gone.astype(np.int32), Quant(scale, 0, 0 if len(scale) > 1 else None))
    return replace(op, inputs=(*op.inputs, bias.name)), [*constants, _some(bias, out)]


def _some(tensor: Tensor, rows: Array) -> Tensor:
    """Rows of a constant, with their scales."""
    quant, values = tensor.quant, tensor.values[rows]
    if quant is not None and len(quant.scale) > 1:
        quant = replace(quant, scale=tuple(s for s, row in zip(quant.scale, rows, strict=True) if row))
    return replace(tensor, shape=values.shape, data=values, quant=quant)
