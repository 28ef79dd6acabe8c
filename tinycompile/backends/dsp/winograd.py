"""Rows for 3x3 convolutions with fewer products: exact integer Winograd.

F(2x2,3x3) makes 2x2 outputs of 4x4 inputs with 16 products for each pair of channels instead of 36. With the filter
transform times 2 in each direction all of it are integers, and the sums are exactly 4 times those of the direct
convolution: docs/numerics.md has the derivation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, Kernel
from tinycompile.backends.portable.linear import BLOCK, requantizer_arrays
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D

FILTER = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.int32)
"""2 G: the filter transform without fractions (Lavin and Gray, arXiv:1509.09308, section 4.1)."""

POSITIONS = 16
"""Products of a tile for each pair of input and output channels."""

CHUNK = 32
"""Most pairs of channels that the products take in without a loop: 1.4 KB of code."""

FURTHEST = 4095
"""The largest constant offset of a load or store."""

MOST_CHANNELS = (2**31 - 1) // (4 * 9 * 128 * 128)
"""Four times the largest sum of 3x3 products stays within int32."""


def channel_pairs(channels: int) -> Array:
    """int64[pairs, 2]: the channels that share a word, as SXTB16 takes them from a word of four; -1 for none."""
    order: list[tuple[int, int]] = []
    for first in range(0, channels - 3, 4):
        order += [(first, first + 2), (first + 1, first + 3)]
    last, left = channels - channels % 4, channels % 4
    order += [[], [(last, -1)], [(last, last + 1)], [(last, last + 2), (last + 1, -1)]][left]
    return np.array(order)


def _pairs(channels: int) -> int:
    return channels // 4 * 2 + (0, 1, 1, 2)[channels % 4]


def _chunks(channels: int) -> tuple[int, int]:
    """Number and size of the equal chunks of pairs; the last ones are filled up with zeros."""
    count = -(-_pairs(channels) // CHUNK)
    return count, -(-_pairs(channels) // count)


def transformed(weights: Array) -> Array:
    """int16 (O, 4, 4, I): 2 G g (2 G)^T of each 3x3 filter; at most 9 * 128 in size."""
    return np.einsum("ay,oyxi,bx->oabi", FILTER, weights.astype(np.int32), FILTER).astype(np.int16)


def _words(weights: Array) -> Array:
    """uint32: for each 4 filters and position all pairs of channels, the 4 filters of a pair side by side; and a word
    that is read ahead."""
    filters, channels = weights.shape[0], weights.shape[3]
    count, chunk = _chunks(channels)
    blocks = -(-filters // BLOCK)
    flat = np.zeros((blocks * BLOCK, POSITIONS, channels + 1), np.int16)
    flat[:filters, :, :channels] = transformed(weights).reshape(filters, POSITIONS, channels)
    order = np.full((count * chunk, 2), -1)
    order[: _pairs(channels)] = channel_pairs(channels)
    paired = flat[:, :, order].reshape(blocks, BLOCK, POSITIONS, count * chunk, 2)
    words = np.ascontiguousarray(paired.transpose(0, 2, 3, 1, 4)).view(np.uint32).ravel()
    return np.append(words, np.uint32(0))


def _pack(op: Conv2D, io: IO) -> Mapping[str, Array]:
    p = op.parameters(io)
    weights, rq = _words(io.inputs[1].values), p["requantizer"]
    if not _is_fast(op, io):
        return {"weights": weights, "bias": p["bias"], **requantizer_arrays(rq)}
    rescale = np.stack([p["bias"], np.broadcast_to(rq.multiplier, len(p["bias"]))], axis=1)
    return {"weights": weights, "rescale": rescale.astype(np.int32)}


def _is_fast(op: Conv2D, io: IO) -> bool:
    """SMMLAR alone requantises, and constant offsets reach all sums and outputs."""
    rq = op.parameters(io)["requantizer"]
    plain = rq.scheme == "native" and not np.any(rq.shift)
    return plain and 4 * (7 * _step(io) + 1) <= FURTHEST and 3 * io.out.channels <= FURTHEST


def _step(io: IO) -> int:
    """Words from one position of the two tiles to the next: theirs, and 4x2 sums."""
    count, chunk = _chunks(io.x.channels)
    return 2 * count * chunk + 8


def _flash(op: Conv2D, io: IO) -> int:
    count, chunk = _chunks(io.x.channels)
    blocks = -(-io.out.channels // BLOCK)
    weights = blocks * BLOCK * POSITIONS * count * chunk * 4 + 4
    if _is_fast(op, io):
        return weights + 8 * io.out.channels
    rest = requantizer_arrays(op.parameters(io)["requantizer"])
    return weights + 4 * io.out.channels + sum(a.nbytes for a in rest.values())


def _fits(op: Conv2D, io: IO) -> bool:
    plain = (op.kernel, op.stride, op.dilation, op.groups) == ((3, 3), (1, 1), (1, 1), 1)
    return plain and io.inputs[1].zero_point == 0 and io.x.channels <= MOST_CHANNELS


def _tiles_bytes(io: IO) -> int:
    """Two transformed tiles and the sums of 4 filters."""
    return POSITIONS * 4 * _step(io)


def _scratch(op: Conv2D, io: IO) -> int:
    """The tiles, and either 4x6 pixels of input or 2x4 of output."""
    return _tiles_bytes(io) + max(24 * io.x.channels, 8 * io.out.channels)


def _numbers(op: Conv2D, io: IO) -> Mapping[str, Any]:
    channels = io.x.channels
    count, chunk = _chunks(channels)
    groups, tail = divmod(channels, 4)
    loops = {"pairs": count * chunk, "count": count, "chunk": chunk}
    return {**loops, "groups": groups, "tail": tail, "patch": _tiles_bytes(io), "fast": _is_fast(op, io), "dual": False}


def _dual_numbers(op: Conv2D, io: IO) -> Mapping[str, Any]:
    return {**_numbers(op, io), "dual": True}


def _never(op: Conv2D, io: IO, index: int) -> None:
    """Two rows are written at once: the output stays apart from the input."""
    return None


def _work(op: Conv2D, io: IO) -> Mapping[str, float]:
    """Tiles come in pairs, which are computed whole where the output ends within them."""
    height, width = io.out.hw
    tiles = 2 * -(-height // 2) * -(-width // 4)
    blocks = -(-io.out.channels // BLOCK)
    count, chunk = _chunks(io.x.channels)
    return {
        "products": tiles * blocks * count * chunk,
        "blocks": tiles * blocks,
        "inputs": tiles * _pairs(io.x.channels),
        "tiles": tiles,
        "call": 1,
    }


WINOGRAD = Kernel(
    "winograd", Conv2D, "dsp/winograd.c.j2",
    isa=frozenset({"dsp"}),
    arguments=RINGED,
    sources=("include/tc_simd.h", "kernels/dsp/tc_winograd.h"),
    fits=_fits,
    scratch=_scratch,
    pack=_pack,
    numbers=_numbers,
    lag=_never,
    work=_work,
    flash=_flash,
    cycles={"products": 128, "blocks": 410, "inputs": 90, "tiles": 100, "call": 60},
)  # fmt: skip

ROWS: tuple[Kernel, ...] = (
    replace(
        WINOGRAD,
        name="winograd_dual",
        isa=frozenset({"dsp", "cortex-m7"}),
        numbers=_dual_numbers,
        cycles={"products": 149, "blocks": 450, "inputs": 90, "tiles": 100, "call": 60},
    ),
    WINOGRAD,
)
