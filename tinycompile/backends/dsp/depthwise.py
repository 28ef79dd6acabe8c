"""Rows for depthwise convolutions over rows of one channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from tinycompile.backends.dsp.depthwise_block import STATE, Block, Nest, Taps, most_outputs
from tinycompile.backends.dsp.planes import PlaneRows
from tinycompile.backends.dsp.thumb import OFFSET
from tinycompile.backends.kernel import RINGED, Kernel
from tinycompile.backends.portable.linear import requantizer_arrays
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D

GROUP = 4
"""Channels whose rows are brought to int16 together, a word of each pixel."""
BAND_BYTES = 6144
"""Scratch that a band of rows may take where more than ``BAND_ROWS`` fit."""
BAND_ROWS = 8
"""Output rows of a band, at most, where rows are long."""
MOST_TAPS = 81


def _taps(op: Conv2D) -> Taps:
    return Taps(op.kernel[1], op.stride[1])


def _pitch(op: Conv2D, io: IO) -> int:
    """int16 elements of a row of one channel: all columns that an output row reads, in words."""
    columns = (io.out.hw[1] - 1) * op.stride[1] + op.kernel[1]
    return -(-columns // 2) * 2


def _span(op: Conv2D) -> int:
    """Rows from the first that an output reads to the last."""
    return (op.kernel[0] - 1) * op.dilation[0] + 1


def _band(op: Conv2D, io: IO) -> int:
    """Output rows of a band."""
    rows = BAND_BYTES // (2 * GROUP * _pitch(op, io))
    return max(BAND_ROWS, (rows - _span(op)) // op.stride[0] + 1)


def _scratch(op: Conv2D, io: IO) -> int:
    """The input rows of a band of GROUP channels, int16."""
    rows = (min(_band(op, io), io.out.hw[0]) - 1) * op.stride[0] + _span(op)
    return 2 * GROUP * _pitch(op, io) * rows


def _is_fast(op: Conv2D, io: IO) -> bool:
    """Whether the block brings sums to int8 itself, by a multiply and the clamp."""
    rq = op.parameters(io)["requantizer"]
    return bool(rq.scheme == "native" and rq.shift[0] == 0)


def _block(op: Conv2D, io: IO, outputs: int) -> Block:
    rq = op.parameters(io)["requantizer"]
    row = 2 * GROUP * _pitch(op, io)
    rows, channels = (row * op.dilation[0], row * op.stride[0]), io.out.channels
    return Block(outputs, op.kernel[0], _taps(op), *rows, channels, rq.zero_point, rq.low, rq.high)


def _outputs(op: Conv2D, io: IO) -> int:
    """Outputs of a block: even where another one follows, so that it starts at a word."""
    width, most = io.out.hw[1], most_outputs(_taps(op), io.out.channels)
    return width if width <= most else most // 2 * 2


def _fits(op: Conv2D, io: IO) -> bool:
    if not op.is_depthwise(io) or op.dilation[1] > 1 or prod(op.kernel) > MOST_TAPS or _outputs(op, io) < 1:
        return False
    block = _block(op, io, _outputs(op, io))
    furthest = block.row_bytes * (op.kernel[0] - 1) + 4 * block.words
    return max(furthest, block.turn_bytes, block.state + STATE) <= OFFSET


def _pack(op: Conv2D, io: IO) -> Mapping[str, Array]:
    """``constants`` int32 (O, n): the words of weights of each kernel row, the bias and the multiplier."""
    p = op.parameters(io)
    weights = io.inputs[1].values[..., 0].astype(np.int16) - np.int16(p["zw"])
    rq = p["requantizer"]
    words = _taps(op).pack(weights).reshape(len(weights), -1)
    columns = [words, p["bias"].astype(np.int32)[:, None]]
    if _is_fast(op, io):
        columns.append(np.broadcast_to(rq.multiplier.astype(np.int32), len(weights))[:, None])
    more = {} if _is_fast(op, io) else requantizer_arrays(rq)
    return {"constants": np.ascontiguousarray(np.concatenate(columns, axis=1)), **more}


def _flash(op: Conv2D, io: IO) -> int:
    return 4 * io.out.channels * (op.kernel[0] * _taps(op).words + 2)


def _numbers(op: Conv2D, io: IO, dual: bool = False) -> Mapping[str, Any]:
    width, outputs = io.out.hw[1], _outputs(op, io)
    rest = width % outputs
    block, channel = _block(op, io, outputs), 2 * _pitch(op, io) if io.out.channels == io.x.channels else 0
    last = _block(op, io, rest) if rest else None
    skip, left = max(0, -op.pad.left), max(0, op.pad.left)
    columns = min(io.x.hw[1] - skip, _pitch(op, io) - left)
    rows = PlaneRows(left, columns, _pitch(op, io), io.x.channels, dual)
    return {
        "rows": rows if rows.is_wanted else None,
        "width": width,
        "pitch": _pitch(op, io),
        "band": _band(op, io),
        "span": _span(op),
        "fast": _is_fast(op, io),
        "block": block,
        "rest": last,
        "one": _block(op, io, 1),
        "nest": Nest(block, width // outputs, last, channel, dual),
    }


def _work(op: Conv2D, io: IO) -> Mapping[str, float]:
    """Blocks of the inner loop, outputs, channels of a band, rows and elements brought to int16."""
    height, width = io.out.hw
    bands = -(-height // _band(op, io))
    rows = (height - bands) * op.stride[0] + bands * _span(op)
    groups = -(-io.x.channels // GROUP)
    blocks = -(-width // _outputs(op, io))
    return {
        "outputs": io.out.size,
        "blocks": height * blocks * io.out.channels,
        "channels": bands * blocks * io.out.channels,
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
    flash=_flash,
    numbers=_numbers,
    lag=lambda op, io, index: None,
    work=_work,
    cycles={"outputs": 10.5, "blocks": 25, "channels": 30, "rows": 20, "elements": 1.7, "call": 60},
)  # fmt: skip

ROWS: tuple[Kernel, ...] = (
    replace(
        PLANES, name="depthwise_planes_m7", isa=PLANES.isa | {"cortex-m7"}, numbers=partial(_numbers, dual=True),
        cycles={name: 0.8 * cycles for name, cycles in PLANES.cycles.items()},
    ),
    PLANES,
)  # fmt: skip
