"""Rows for depthwise convolutions over rows of one channel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any

from tinycompile.backends.dsp.cortex_m7 import for_m7
from tinycompile.backends.dsp.depthwise_block import (
    ALL,
    STATE,
    Block,
    Nest,
    Taps,
    loads_and_products,
    most_outputs,
    side_by_side,
)
from tinycompile.backends.dsp.depthwise_constants import channel_constants, packed, packed_bytes, sums_end
from tinycompile.backends.dsp.dual_issue import ordered
from tinycompile.backends.dsp.planes import PlaneRows
from tinycompile.backends.dsp.thumb import OFFSET
from tinycompile.backends.kernel import RINGED, Kernel
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D

GROUP = 4
"""Channels whose rows are brought to int16 together, a word of each pixel."""
BAND_BYTES = 6144
"""Scratch that a band of rows may take where more than ``BAND_ROWS`` fit."""
BAND_ROWS = 8
"""Output rows of a band, at most, where rows are long."""
MOST_TAPS = 81


def _taps(op: Conv2D, io: IO) -> Taps:
    """Where one block is as wide as the row, columns of padding need not be there."""
    left, columns = max(0, op.pad.left), io.x.hw[1] - max(0, -op.pad.left)
    return _best_taps(io.out.hw[1], op.kernel[1], op.stride[1], left, columns, io.out.channels)


@lru_cache(maxsize=4096)
def _best_taps(width: int, kernel: int, stride: int, left: int, columns: int, out_step: int) -> Taps:
    columns = min(columns, (width - 1) * stride + kernel - left)
    padded, bare = Taps(kernel, stride), Taps(kernel, stride, left, columns)
    fits = columns > 0 and bare.words <= padded.words and width <= most_outputs(bare, out_step)
    return bare if fits and bare.reach(width) else padded


def _pitch(op: Conv2D, io: IO) -> int:
    """Elements of a row of one channel where all its outputs are computed."""
    return min(pitch_of(op, io), even(_taps(op, io).columns))


def pitch_of(op: Conv2D, io: IO) -> int:
    """int16 elements of a row of one channel with its padding: all columns that an output row reads, in words."""
    return even((io.out.hw[1] - 1) * op.stride[1] + op.kernel[1])


def even(columns: int) -> int:
    """As many as there are in whole words."""
    return -(-columns // 2) * 2


def _span(op: Conv2D) -> int:
    """Rows from the first that an output reads to the last."""
    return (op.kernel[0] - 1) * op.dilation[0] + 1


def _band(op: Conv2D, io: IO) -> int:
    """Output rows of a band."""
    rows = BAND_BYTES // (2 * GROUP * pitch_of(op, io))
    return max(BAND_ROWS, (rows - _span(op)) // op.stride[0] + 1)


def _scratch(op: Conv2D, io: IO) -> int:
    """The input rows of a band of GROUP channels, int16."""
    rows = (min(_band(op, io), io.out.hw[0]) - 1) * op.stride[0] + _span(op)
    return 2 * GROUP * pitch_of(op, io) * rows


def _block(op: Conv2D, io: IO, outputs: int) -> Block:
    rq = op.parameters(io)["requantizer"]
    row = 2 * GROUP * _pitch(op, io)
    rows, channels = (row * op.dilation[0], row * op.stride[0]), io.out.channels
    double = sums_end(op, io) == "double"
    return Block(outputs, op.kernel[0], _taps(op, io), *rows, channels, rq.zero_point, rq.low, rq.high, double)


def _outputs(op: Conv2D, io: IO) -> int:
    """Outputs of a block: even where another one follows, so that it starts at a word."""
    width, most = io.out.hw[1], most_outputs(_taps(op, io), io.out.channels)
    return width if width <= most else most // 2 * 2


def is_plain_depthwise(op: Conv2D, io: IO) -> bool:
    """One channel of input for each output, neighbouring columns, and not too many taps."""
    return op.is_depthwise(io) and op.dilation[1] == 1 and prod(op.kernel) <= MOST_TAPS


def _fits(op: Conv2D, io: IO) -> bool:
    """The rows of a block within reach of the offsets of loads."""
    if not is_plain_depthwise(op, io) or _outputs(op, io) < 1:
        return False
    row = 2 * GROUP * pitch_of(op, io)
    furthest = row * (_span(op) - 1) + 2 * ((_outputs(op, io) - 1) * op.stride[1] + op.kernel[1] + 1)
    stack = 4 * (op.kernel[0] * _taps(op, io).words + 4) + STATE
    return max(furthest, row * op.stride[0], stack) <= OFFSET


def _pack(op: Conv2D, io: IO) -> Mapping[str, Array]:
    """``constants`` int32 (O, n): the words of weights of each kernel row; what follows them (see ``sums_end``)."""
    known = channel_constants(op, io, _taps(op, io))
    return packed(op, io, *known.weights, *known.second_rounding, known.bias, *known.multiplier)


def _numbers(op: Conv2D, io: IO, dual: bool = False) -> Mapping[str, Any]:
    width, outputs, pitch, taps = io.out.hw[1], _outputs(op, io), _pitch(op, io), _taps(op, io)
    rest = width % outputs
    block, channel = _block(op, io, outputs), 2 * pitch if io.out.channels == io.x.channels else 0
    last = _block(op, io, rest) if rest else None
    left = max(0, op.pad.left) if taps.columns == ALL else 0
    columns = min(io.x.hw[1] - max(0, -op.pad.left), pitch - left)
    rows = PlaneRows(left, columns, pitch, io.x.channels)
    spread = rows.spaced("r0", "r1", "r2", "r3", op.parameters(io)["zx"]) if rows.is_wanted else ()
    return {
        "rows": rows if rows.is_wanted else None,
        "spread": ordered(spread, dual),
        "width": width,
        "left": left,
        "columns": max(0, columns),
        "taps": taps,
        "pitch": pitch,
        "band": _band(op, io),
        "span": _span(op),
        "end": sums_end(op, io),
        "block": block,
        "rest": last,
        "nest": Nest(block, width // outputs, last, channel, dual),
    }


def _work(op: Conv2D, io: IO) -> Mapping[str, float]:
    """Loads and products of the inner loop, outputs (more slowly ``in_c``), turns of the loop, channels of a band,
    rows and elements brought to int16."""
    height, width = io.out.hw
    bands = -(-height // _band(op, io))
    rows = (height - bands) * op.stride[0] + bands * _span(op)
    groups = -(-io.x.channels // GROUP)
    blocks = side_by_side(width, _outputs(op, io), op.kernel[0], _taps(op, io))
    loads, products = loads_and_products(blocks)
    in_c = sums_end(op, io) == "in C"
    return {
        "loads": height * io.out.channels * op.kernel[0] * loads,
        "products": height * io.out.channels * op.kernel[0] * products,
        "outputs": io.out.size,
        "in_c": io.out.size if in_c else 0,
        "blocks": height * len(blocks) * io.out.channels,
        "channels": bands * len(blocks) * io.out.channels,
        "rows": rows * groups,
        "elements": rows * groups * GROUP * _pitch(op, io),
        "call": 1,
    }


PLANES = Kernel(
    "depthwise_planes", Conv2D, "dsp/depthwise_planes.c.j2",
    isa=frozenset({"dsp"}),
    arguments=RINGED,
    sources=("include/tc_simd.h", "kernels/dsp/tc_planes.h"),
    fits=_fits,
    scratch=_scratch,
    pack=_pack,
    flash=lambda op, io: packed_bytes(op, io, _taps(op, io)),
    numbers=_numbers,
    lag=lambda op, io, index: None,
    work=_work,
    cycles={
        "loads": 1.4, "products": 1, "outputs": 3.2, "in_c": 20, "blocks": 9, "channels": 30, "rows": 20,
        "elements": 1.8, "call": 60,
    },
)  # fmt: skip

ROWS: tuple[Kernel, ...] = (for_m7(PLANES, _numbers), PLANES)
