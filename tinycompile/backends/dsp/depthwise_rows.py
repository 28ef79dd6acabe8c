"""Rows for depthwise convolutions that are computed one row of outputs at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tinycompile.backends.dsp.cortex_m7 import for_m7
from tinycompile.backends.dsp.depthwise import GROUP, even, is_plain_depthwise, pitch_of
from tinycompile.backends.dsp.depthwise_block import Block, Taps, loads_and_products, side_by_side
from tinycompile.backends.dsp.depthwise_constants import channel_constants, packed, packed_bytes, sums_end
from tinycompile.backends.dsp.planes import PlaneRows
from tinycompile.backends.dsp.row_block import RowNest, most_row_outputs, row_cycles
from tinycompile.backends.dsp.thumb import OFFSET
from tinycompile.backends.kernel import RINGED, Kernel
from tinycompile.ir import IO, Array, Pad
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.sliding import sliding_lag


@dataclass(frozen=True)
class Row:
    """How a row of outputs is computed, from rows in scratch of ``pitch`` int16 elements.

    The blocks have ``sizes`` outputs, all but the last as many as the first. ``planes`` brings pixels to scratch;
    None where C does it. Each kernel row takes ``loads`` of words and weights, and ``products``.
    """

    sizes: tuple[int, ...]
    taps: Taps
    pitch: int
    planes: PlaneRows | None
    loads: int
    products: int
    cycles: int


def _row(op: Conv2D, io: IO) -> Row | None:
    """The way that takes the least time; None where no block fits."""
    left, columns = max(0, op.pad.left), io.x.hw[1] - max(0, -op.pad.left)
    return _best_row(io.out.hw[1], op.kernel, op.stride[1], left, columns, io.x.channels, io.out.channels)


@lru_cache(maxsize=4096)
def _best_row(
    width: int, kernel: tuple[int, int], stride: int, left: int, columns: int, channels: int, out_step: int
) -> Row | None:
    """Columns of padding are in scratch, except where one block is as wide as the row: there, products with them can
    be left out."""
    pitch = even((width - 1) * stride + kernel[1])
    columns = min(columns, pitch - left)
    taps, bare = Taps(kernel[1], stride), Taps(kernel[1], stride, left, columns)
    padded, narrow = _planes(left, columns, pitch, channels), _planes(0, columns, even(columns), channels)
    rows: list[Row] = []
    if narrow and width <= most_row_outputs(bare, out_step) and bare.reach(width):
        rows.append(_priced(side_by_side(width, width, kernel[0], bare), narrow.pitch, narrow))
    for outputs in reversed(range(1, min(width, most_row_outputs(taps, out_step)) + 1)):
        if outputs == width or outputs * stride % 2 == 0:  # the next block starts at a word
            rows.append(_priced(side_by_side(width, outputs, kernel[0], taps), pitch, padded))
    return min(rows, key=lambda row: row.cycles, default=None)


def _planes(left: int, columns: int, pitch: int, channels: int) -> PlaneRows | None:
    """What brings rows of whole groups of channels to scratch, where assembly can."""
    rows = PlaneRows(left, columns, pitch, channels)
    return rows if rows.is_wanted and channels >= GROUP else None


def _priced(blocks: Sequence[Block], pitch: int, planes: PlaneRows | None) -> Row:
    sizes, cycles = tuple(block.outputs for block in blocks), sum(map(row_cycles, blocks))
    return Row(sizes, blocks[0].taps, pitch, planes, *loads_and_products(blocks), cycles)


def _fits(op: Conv2D, io: IO) -> bool:
    """The rows of a block within reach of the offsets of loads."""
    if not is_plain_depthwise(op, io):
        return False
    row = _row(op, io)
    return row is not None and 2 * (GROUP * row.pitch * (op.kernel[0] - 1) + _widest(op, row)) <= OFFSET


def _widest(op: Conv2D, row: Row) -> int:
    """The columns of a block, whole words."""
    return row.sizes[0] * op.stride[1] + op.kernel[1] + 1


def _scratch(op: Conv2D, io: IO) -> int:
    """The rows of a group of channels, padding included, as windows want it that C computes; int16."""
    return 2 * GROUP * pitch_of(op, io) * op.kernel[0]


def _found(op: Conv2D, io: IO) -> Row:
    row = _row(op, io)
    assert row is not None, "a kernel computes what it fits"
    return row


def _pack(op: Conv2D, io: IO) -> Mapping[str, Array]:
    """``constants`` int32 (O, n): what sums end with (see ``sums_end``), the bias of sums over inputs without their
    zero point, words of weights row by row."""
    known = channel_constants(op, io, _found(op, io).taps)
    return packed(op, io, *known.multiplier, *known.second_rounding, known.bias, *known.weights)


def _numbers(op: Conv2D, io: IO, dual: bool = False) -> Mapping[str, Any]:
    row, end = _found(op, io), sums_end(op, io)
    rq, slot, planes = op.parameters(io)["requantizer"], 2 * GROUP * row.pitch, row.planes
    first, last = (
        Block(n, op.kernel[0], row.taps, slot, 0, io.out.channels, rq.zero_point, rq.low, rq.high, end == "double")
        for n in (row.sizes[0], row.sizes[-1])
    )
    nest = RowNest(
        first, row.sizes.count(first.outputs), last if last != first else None, 2 * row.pitch,
        io.out.channels // io.x.channels, planes, op.parameters(io)["zx"], not all(_rows_there(op, io)), dual,
    )  # fmt: skip
    filled = planes.left + planes.width if planes and row.taps.columns > planes.width else row.pitch
    width = (io.out.hw[1] - 1) * op.stride[1] + op.kernel[1]
    return {
        "rows": planes,
        "width": io.out.hw[1],
        "pitch": row.pitch,
        # words that hold columns of padding, at both ends of a row
        "left": -(-planes.left // 2) if planes else 0,
        "right": row.pitch // 2 - filled // 2 if filled < min(width, row.pitch) else 0,
        "end": end,
        "taps": row.taps,
        "nest": nest,
    }


def _rows_there(op: Conv2D, io: IO) -> list[int]:
    """For each row of outputs, how many of its kernel rows are no padding."""
    starts = [y * op.stride[0] - op.pad.top for y in range(io.out.hw[0])]
    return [sum(0 <= start + ky * op.dilation[0] < io.x.hw[0] for ky in range(op.kernel[0])) for start in starts]


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
    row, there = _found(op, io), _rows_there(op, io)
    groups = -(-io.x.channels // GROUP)
    lines = height * io.out.channels
    return {
        "loads": lines * op.kernel[0] * row.loads,
        "products": lines * op.kernel[0] * row.products,
        "outputs": io.out.size,
        "in_c": io.out.size if sums_end(op, io) == "in C" else 0,
        "blocks": lines * len(row.sizes),
        "channels": lines if len(row.sizes) > 1 else 0,
        "groups": height * groups,
        "rows": sum(there) * groups,
        "elements": sum(there) * groups * GROUP * min(io.x.hw[1], pitch_of(op, io)),
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
    flash=lambda op, io: packed_bytes(op, io, _found(op, io).taps),
    numbers=_numbers,
    lag=_lag,
    work=_work,
    cycles={
        "loads": 1.15, "products": 1, "outputs": 3, "in_c": 25, "blocks": 10, "channels": 8, "groups": 22, "rows": 7,
        "elements": 1.75, "lines": 60, "call": 150,
    },
)  # fmt: skip

ROWS: tuple[Kernel, ...] = (for_m7(BY_ROWS, _numbers), BY_ROWS)
