"""Rows for convolutions in one group and dense layers: blocks of eight dot products over 16 lanes.

A block multiplies 4 filters with 2 pixels, or 8 filters with 1 pixel: VMLADAVA adds 16 products to one register, and
there are eight registers that it can add to. Weights and the parameters of the outputs lie in flash as one stream of
bytes in the order in which blocks read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, WHOLE_ROWS, Kernel
from tinycompile.backends.mve.requantize import as_bytes, is_exact, left, parameters, vectors
from tinycompile.ir import IO, Array
from tinycompile.numerics import Requantizer
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense
from tinycompile.ops.sliding import element_lag, sliding_lag

LANES = 16
UNROLLED = {1: 7, 2: 9}
"""Most steps of 16 inputs that are printed one after the other, by pixels of the block: C99 allows a string literal 4095
characters. Longer sums loop."""

Linear = Conv2D | Dense


def padded_inputs(inputs: int) -> int:
    """``inputs`` rounded up to whole steps."""
    return -(-inputs // LANES) * LANES


def stream(weights: Array, bias: Array, rq: Requantizer, filters: int) -> Array:
    """int8: blocks of ``filters`` rows of ``weights`` (O, K), each followed by its parameters.

    First the K % 16 inputs at the start of each filter, filled up with zeros, then 16 inputs of each filter in turn. The
    last block is filled up with zeros.
    """
    outputs, inputs = weights.shape
    blocks, head = -(-outputs // filters), inputs % LANES
    width = LANES if head else 0
    table = np.zeros((blocks * filters, padded_inputs(inputs)), np.int8)
    table[:outputs, :head] = weights[:, :head]
    table[:outputs, width:] = weights[:, head:]
    words = np.pad(parameters(bias, rq), ((0, 0), (0, blocks * filters - outputs)))
    found = []
    for rows, columns in zip(table.reshape(blocks, filters, -1), np.split(words, blocks, axis=1), strict=True):
        steps = rows.reshape(filters, -1, LANES).transpose(1, 0, 2)
        groups = [columns] if filters == 4 else [columns[:, 0::2], columns[:, 1::2]]
        found.append(steps.ravel())
        found += [as_bytes(group) for group in groups]
    return np.concatenate(found)


def _turns(inputs: int, most: int) -> tuple[int, int]:
    """How often a block's loop runs, and its steps: those after the first, which starts the sums."""
    steps = inputs // LANES
    rest = steps if inputs % LANES else steps - 1
    if steps + (inputs % LANES > 0) <= most:
        return 0, 0
    unrolled = next(u for u in range(4, 0, -1) if rest % u == 0 or u == 3)
    return rest // unrolled, unrolled


def block_numbers(op: Linear, io: IO, pixels: int, inputs: int) -> dict[str, Any]:
    """What the templates must know of a block over ``inputs`` inputs with ``pixels`` pixels."""
    rq: Requantizer = op.parameters(io)["requantizer"]
    filters, steps = 8 // pixels, inputs // LANES
    turns, unrolled = _turns(inputs, UNROLLED[pixels])
    return {
        "pixels": pixels, "filters": filters, "K": inputs, "O": io.out.channels, "left": left(rq),
        "head": inputs % LANES, "steps": steps,
        "before": steps - turns * unrolled, "turns": turns, "unrolled": unrolled,
        "block_bytes": filters * (padded_inputs(inputs) + 4 * vectors(rq)),
    }  # fmt: skip


def _fits(op: Linear, io: IO) -> bool:
    """Weights without a zero point, and a requantisation that MVE has."""
    return io.inputs[1].zero_point == 0 and is_exact(op.parameters(io)["requantizer"])


def _inputs(op: Linear, io: IO) -> int:
    """Inputs of a sum; pixels that are gathered fill whole steps."""
    size = io.inputs[1].values[0].size
    return size if isinstance(op, Dense) or op.is_pointwise else padded_inputs(size)


def _matrix(op: Linear, io: IO) -> Array:
    """int8[O, K]: the weights, with zeros for what fills up a gathered pixel."""
    weights = io.inputs[1].values
    matrix = np.zeros((len(weights), _inputs(op, io)), np.int8)
    matrix[:, : weights[0].size] = weights.reshape(len(weights), -1)
    return matrix


def _pack(pixels: int) -> Any:
    def pack(op: Linear, io: IO) -> Mapping[str, Array]:
        p = op.parameters(io)
        return {"stream": stream(_matrix(op, io), p["bias"], p["requantizer"], 8 // pixels)}

    return pack


def _numbers(pixels: int) -> Any:
    def numbers(op: Linear, io: IO) -> Mapping[str, Any]:
        stride_h, stride_w = op.stride if isinstance(op, Conv2D) else (1, 1)
        own = {"stride_h": stride_h, "stride_w": stride_w, "padded": _inputs(op, io)}
        return {**block_numbers(op, io, pixels, _inputs(op, io)), **own}

    return numbers


def _flash(pixels: int) -> Any:
    def flash(op: Linear, io: IO) -> int:
        numbers = block_numbers(op, io, pixels, _inputs(op, io))
        return int(-(-io.out.channels // numbers["filters"]) * numbers["block_bytes"])

    return flash


def _work(pixels: int) -> Any:
    """Steps of 16 inputs, blocks, and groups of pixels; kernel rows that are gathered, in all and in 16 bytes."""

    def work(op: Linear, io: IO) -> Mapping[str, float]:
        inputs = _inputs(op, io)
        groups = -(-(io.out.size // io.out.channels) // pixels)
        blocks = groups * -(-io.out.channels // (8 // pixels))
        height, width = op.kernel if isinstance(op, Conv2D) else (0, 0)
        rows = height * io.out.size // io.out.channels
        return {
            "steps": blocks * -(-inputs // LANES), "blocks": blocks, "groups": groups,
            "rows": rows, "copies": rows * -(-width * io.x.channels // LANES), "call": 1,
        }  # fmt: skip

    return work


def _pair_lag(op: Conv2D, io: IO, index: int) -> int | None:
    """For kernels that read two pixels' inputs again after they wrote some of their channels."""
    if index != 0:
        return None
    own = sliding_lag(io.x.shape, io.out.shape, op.kernel, op.stride, op.dilation, op.pad, writes_early=True)
    return _one_more(own, io)


def _pair_dense_lag(op: Dense, io: IO, index: int) -> int | None:
    if index != 0:
        return None
    rows = io.x.size // io.x.channels
    return _one_more(element_lag(np.arange(rows) * io.x.channels, io.out.channels, writes_early=True), io)


def _one_more(lag: int | None, io: IO) -> int | None:
    """The second pixel of a pair is written a pixel earlier."""
    later = None if lag is None else lag + io.out.channels
    return later if later is not None and later < io.out.size else None


def _early_dense_lag(op: Dense, io: IO, index: int) -> int | None:
    if index != 0:
        return None
    rows = io.x.size // io.x.channels
    return element_lag(np.arange(rows) * io.x.channels, io.out.channels, writes_early=True)


def _many(op: Dense, io: IO) -> bool:
    return io.x.size > io.x.channels


MVE = frozenset({"mve"})
OUTPUTS, DOT, BYTES = (f"kernels/mve/tc_mve_{name}.h" for name in ("outputs", "dot", "bytes"))

ROWS: tuple[Kernel, ...] = (
    Kernel(
        "mve_pointwise", Conv2D, "mve/pixels.c.j2", MVE, WHOLE_ROWS, (OUTPUTS, DOT),
        fits=lambda op, io: op.is_pointwise and _fits(op, io),
        pack=_pack(2), numbers=_numbers(2), flash=_flash(2), lag=_pair_lag, work=_work(2),
        cycles={"steps": 23.5, "blocks": 36, "groups": 25, "call": 60},
    ),
    Kernel(
        "mve_im2col", Conv2D, "mve/im2col.c.j2", MVE, RINGED, (OUTPUTS, DOT, BYTES),
        fits=lambda op, io: op.groups == 1 and not op.is_pointwise and _fits(op, io),
        scratch=lambda op, io: 2 * _inputs(op, io),
        pack=_pack(2), numbers=_numbers(2), flash=_flash(2), work=_work(2),
        cycles={"steps": 23.5, "blocks": 36, "groups": 60, "rows": 20, "copies": 5, "call": 60},
    ),
    Kernel(
        "mve_dense", Dense, "mve/pixel.c.j2", MVE, WHOLE_ROWS, (OUTPUTS, DOT),
        fits=_fits,
        pack=_pack(1), numbers=_numbers(1), flash=_flash(1), lag=_early_dense_lag, work=_work(1),
        cycles={"steps": 28.5, "blocks": 40, "groups": 20, "call": 60},
    ),
    Kernel(
        "mve_dense_rows", Dense, "mve/pixels.c.j2", MVE, WHOLE_ROWS, (OUTPUTS, DOT),
        fits=lambda op, io: _many(op, io) and _fits(op, io),
        pack=_pack(2), numbers=_numbers(2), flash=_flash(2), lag=_pair_dense_lag, work=_work(2),
        cycles={"steps": 23.5, "blocks": 36, "groups": 25, "call": 60},
    ),
)  # fmt: skip
