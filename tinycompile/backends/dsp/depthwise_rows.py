"""Rows for depthwise convolutions that are computed one row of outputs at a time."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tinycompile.backends.dsp.depthwise import (
    GROUP,
    MOST_TAPS,
    centred_weights,
    flash_bytes,
    for_m7,
    pitch_of,
    sums_end,
    taps_of,
)
from tinycompile.backends.dsp.depthwise_block import Block
from tinycompile.backends.dsp.row_block import RowNest, most_row_outputs, row_cycles
from tinycompile.backends.dsp.row_planes import RowPlanes
from tinycompile.backends.dsp.thumb import OFFSET
from tinycompile.backends.kernel import RINGED, Kernel
from tinycompile.backends.portable.linear import requantizer_arrays
from tinycompile.ir import IO, Array, Pad
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.sliding import sliding_lag


def _slot(op: Conv2D, io: IO) -> int:
    """Bytes of one kernel row's input, for GROUP channels."""
    return 2 * GROUP * pitch_of(op, io)


def _scratch(op: Conv2D, io: IO) -> int:
    return _slot(op, io) * op.kernel[0]


def _block(op: Conv2D, io: IO, outputs: int, end: str) -> Block:
    rq, slot = op.parameters(io)["requantizer"], _slot(op, io)
    double = end == "double"
    return Block(
        outputs, op.kernel[0], taps_of(op), slot, 0, io.out.channels, rq.zero_point, rq.low, rq.high, double
    )  # fmt: skip


def _columns(op: Conv2D, io: IO, end: str) -> list[Block]:
    """The blocks of a row, from left to right: all as wide as the first, but for the last; 0 where none fits."""
    width, best = io.out.hw[1], (0, list[Block]())
    for outputs in range(1, min(width, most_row_outputs(taps_of(op), io.out.channels)) + 1):
        if outputs < width and outputs * op.stride[1] % 2:
            continue  # the next block would start in the middle of a word
        block = _block(op, io, outputs, end)
        blocks = [block] * (width // outputs)
        if width % outputs:
            blocks.append(_block(op, io, width % outputs, end))
        cycles = sum(map(row_cycles, blocks))
        if not best[1] or cycles <= best[0]:
            best = cycles, blocks
    return best[1]


def _fits(op: Conv2D, io: IO) -> bool:
    """One channel of input for each output, its rows within reach of the offsets of loads."""
    if not op.is_depthwise(io) or op.dilation[1] > 1 or prod(op.kernel) > MOST_TAPS:
        return False
    widest = 2 * (most_row_outputs(taps_of(op), io.out.channels) * op.stride[1] + op.kernel[1] + 1)
    return bool(_columns(op, io, "native")) and _slot(op, io) * (op.kernel[0] - 1) + widest <= OFFSET


def _pack(op: Conv2D, io: IO) -> Mapping[str, Array]:
    """``constants`` int32 (O, n): what sums end with (see ``sums_end``), the bias, words of weights row by row."""
    p, end = op.parameters(io), sums_end(op, io)
    rq, bias = p["requantizer"], p["bias"].astype(np.int32)
    twice = 2 if end == "double" else 1
    columns = [] if end == "in C" else [rq.multiplier]
    if end == "double":
        shift = -rq.shift
        columns += [(1 << shift >> 1) + (rq.zero_point << shift), shift]
    columns += [bias * twice, *taps_of(op).pack(centred_weights(op, io) * np.int16(twice)).reshape(len(bias), -1).T]
    constants = np.stack([np.broadcast_to(c, len(bias)).astype(np.int32) for c in columns], axis=1)
    return {"constants": constants, **(requantizer_arrays(rq) if end == "in C" else {})}


def _planes(op: Conv2D, io: IO) -> RowPlanes | None:
    """What brings rows of whole groups of channels to scratch, where assembly can."""
    left, skip = max(0, op.pad.left), max(0, -op.pad.left)
    columns = min(io.x.hw[1] - skip, pitch_of(op, io) - left)
    rows = RowPlanes(left, columns, pitch_of(op, io), io.x.channels)
    return rows if rows.is_wanted and io.x.channels >= GROUP else None


def _numbers(op: Conv2D, io: IO, dual: bool = False) -> Mapping[str, Any]:
    end, rows, pitch = sums_end(op, io), _planes(op, io), pitch_of(op, io)
    blocks = _columns(op, io, end)
    rest = blocks[-1] if blocks[-1].outputs != blocks[0].outputs else None
    count = len(blocks) - (rest is not None)
    last = (io.out.hw[1] - 1) * op.stride[1] + op.kernel[1]
    right = last > rows.left + rows.width if rows else False
    return {
        "rows": rows,
        "width": io.out.hw[1],
        "pitch": pitch,
        "left": -(-rows.left // 2) if rows else 0,
        "right": pitch // 2 - (rows.left + rows.width) // 2 if rows and right else 0,
        "end": end,
        "one": _block(op, io, 1, end),
        "nest": RowNest(blocks[0], count, rest, 2 * pitch, io.out.channels // io.x.channels, rows, dual),
    }


def _lag(op: Conv2D, io: IO, index: int) -> int | None:
    """All of a row is written while its inputs are still read."""
    if index != 0:
        return None
    rows, out_rows = ((1, t.shape[1], 1, t.shape[2] * t.shape[3]) for t in (io.x, io.out))
    kernel, stride, dilation = (op.kernel[0], 1), (op.stride[0], 1), (op.dilation[0], 1)
    pad = Pad(op.pad.top, 0, op.pad.bottom, 0)
    return sliding_lag(rows, out_rows, kernel, stride, dilation, pad, writes_early=True)


def _work(op: Conv2D, io: IO) -> Mapping[str, float]:
    """Loads and products, outputs (more slowly ``in_c``), blocks, groups of channels of a row of outputs, rows and
    elements brought to int16, rows of outputs."""
    height = io.out.hw[0]
    end, (kernel, stride, dilation) = sums_end(op, io), (op.kernel[0], op.stride[0], op.dilation[0])
    starts = np.arange(height)[:, None] * stride - op.pad.top + np.arange(kernel)[None, :] * dilation
    groups = -(-io.x.channels // GROUP)
    rows = int(np.count_nonzero((starts >= 0) & (starts < io.x.hw[0]))) * groups
    blocks = _columns(op, io, end)
    lines = height * io.out.channels
    loads = sum(b.words + b.taps.words for b in blocks)
    products = sum(len(steps) for b in blocks for steps in b.steps)
    return {
        "loads": lines * kernel * loads,
        "products": lines * kernel * products,
        "outputs": io.out.size,
        "in_c": io.out.size if end == "in C" else 0,
        "blocks": lines * len(blocks),
        "channels": lines if len(blocks) > 1 else 0,
        "groups": height * groups,
        "rows": rows,
        "elements": rows * GROUP * min(io.x.hw[1], pitch_of(op, io)),
        "lines": height,
        "call": 1,
    }


BY_ROWS = Kernel(
    "depthwise_rows", Conv2D, "dsp/depthwise_rows.c.j2",
    isa=frozenset({"dsp"}),
    arguments=RINGED,
    sources=("include/tc_simd.h", "kernels/dsp/tc_planes.h"),
    fits=_fits,
    scratch=_scratch,
    pack=_pack,
    flash=flash_bytes,
    numbers=_numbers,
    lag=_lag,
    work=_work,
    cycles={
        "loads": 1.15, "products": 1, "outputs": 3, "in_c": 25, "blocks": 10, "channels": 8, "groups": 22, "rows": 7,
        "elements": 1.75, "lines": 60, "call": 150,
    },
)  # fmt: skip

ROWS: tuple[Kernel, ...] = (for_m7(BY_ROWS, _numbers), BY_ROWS)
