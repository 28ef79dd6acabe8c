"""Rows for convolutions and dense layers on cores without SIMD.

Weights and inputs go through the 32-bit multiplier in pairs (see ``runtime_c/kernels/swar/tc_pairs.h``). A half of the
product is an int16, so the weights decide at compile time how many products may be added before it is taken apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, WHOLE_ROWS, Kernel
from tinycompile.backends.portable.linear import requantizer_arrays
from tinycompile.backends.swar.scale import Scale, native_scale
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

TILES = {4: 45.0, 3: 36.0}
"""Output pixels that may share the weights that are taken apart, and the cycles of a group of four weights."""
LARGEST_TILE = max(TILES)
LARGEST = 255
"""Sum of weights' magnitudes whose products with any int8 values add up within int16: 128 * 255 < 2**15."""


def grouped(io: IO) -> Array:
    """int16[O, groups, 4]: the weights with zeros behind the last."""
    w = io.inputs[1].values
    matrix = w.reshape(w.shape[0], -1).astype(np.int16)
    padded = np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % 4)))
    return padded.reshape(len(matrix), -1, 4)


def magnitudes(io: IO) -> tuple[int, int]:
    """The largest sum of magnitudes in a group of four, and among the pairs that one multiply takes."""
    w = np.abs(grouped(io))
    pairs = w[..., :2] + w[..., 2:]
    return int(w.sum(axis=2).max()), int(pairs.max())


def weight_words(io: IO) -> Array:
    """uint32[O, groups]: w2, w3, w0, w1 of each group as bytes, plus 128."""
    moved = (grouped(io)[..., [2, 3, 0, 1]] + 128).astype(np.uint8, order="C")
    return np.asarray(moved.view("<u4")[..., 0])


def scale_of(op: Conv2D | Dense, io: IO) -> Scale | None:
    """How sums become outputs within the inner block; None where C does it."""
    p = op.parameters(io)
    return native_scale(p["requantizer"], p["bias"], 128 * np.abs(grouped(io).astype(np.int64)).sum(axis=(1, 2)))


def groups_of(io: IO) -> int:
    return -(-inputs_of(io) // 4)


def inputs_of(io: IO) -> int:
    """Inputs of an output pixel."""
    w = io.inputs[1]
    return w.size // w.shape[0]


def fits_pairs(op: Conv2D | Dense, io: IO) -> bool:
    """Symmetric weights, and no two of -128 that go into one multiply."""
    return io.inputs[1].zero_point == 0 and magnitudes(io)[1] <= LARGEST


def _fits_pointwise(op: Conv2D, io: IO) -> bool:
    return op.is_pointwise and fits_pairs(op, io)


def _fits_one_group(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and not op.is_pointwise and fits_pairs(op, io)


def _gathered(io: IO) -> bool:
    """Whether inputs are copied to one place before they are spread: not where each pixel is whole words."""
    return io.x.channels % 4 > 0


def _pack(op: Conv2D | Dense, io: IO) -> Mapping[str, Array]:
    p = op.parameters(io)
    words, scale = weight_words(io), scale_of(op, io)
    arrays = _padding(op, io)
    if scale is None:
        arrays |= {"bias": p["bias"], **requantizer_arrays(p["requantizer"])}
    else:
        words = np.concatenate([words, scale.words], axis=1)
    return {"filters": words.ravel(), **arrays}


def _padding(op: Conv2D | Dense, io: IO) -> dict[str, Array]:
    """Zero points of a row of the kernel, to be spread like inputs."""
    if isinstance(op, Dense) or not op.pad or _gathered(io):
        return {}
    return {"padding": np.full(op.kernel[1] * io.x.channels, io.x.zero_point, np.int8)}


def _flash(op: Conv2D | Dense, io: IO) -> int:
    return sum(array.nbytes for array in _pack(op, io).values())


def _patch_offset(op: Conv2D | Dense, io: IO) -> int:
    """Bytes of scratch before the inputs of one pixel: the tile, what its kernels use, and a tile of outputs."""
    return 8 * LARGEST_TILE * groups_of(io) + 16 + -(-LARGEST_TILE * io.out.channels // 4) * 4


def _scratch(op: Conv2D | Dense, io: IO) -> int:
    return _patch_offset(op, io) + (4 * groups_of(io) if _gathered(io) else 0)


def _tile(io: IO) -> int:
    """The tile that computes all pixels in the fewest cycles."""
    pixels = io.out.size // io.out.channels
    return min(TILES, key=lambda tile: -(-pixels // tile) * TILES[tile])


def _numbers(op: Conv2D | Dense, io: IO) -> Mapping[str, Any]:
    stride_h, stride_w = op.stride if isinstance(op, Conv2D) else (1, 1)
    scale = scale_of(op, io)
    return {
        "groups": groups_of(io),
        "tile": _tile(io),
        "taken": "WIDE" if magnitudes(io)[0] <= LARGEST else "NARROW",
        "loop": "ONCE" if groups_of(io) % 2 else "TWICE",
        "native": scale is not None,
        "shift": scale.shift if scale else 0,
        "scale": scale.kind if scale else "",
        "pointwise": isinstance(op, Dense) or op.is_pointwise,
        "gathered": _gathered(io),
        "spare": _patch_offset(op, io) - -(-LARGEST_TILE * io.out.channels // 4) * 4,
        "patch": _patch_offset(op, io),
        "stride_h": stride_h,
        "stride_w": stride_w,
    }


def _work(op: Conv2D | Dense, io: IO) -> Mapping[str, float]:
    """``groups``: of four weights with a tile of four pixels (in cycles of such); ``inputs`` gathered; ``outputs``."""
    outputs, tile = io.out.channels, _tile(io)
    pixels = io.out.size // outputs
    groups = -(-pixels // tile) * outputs * groups_of(io) * TILES[tile] / TILES[LARGEST_TILE]
    return {"groups": groups, "inputs": pixels * inputs_of(io), "outputs": io.out.size, "call": 1}


CYCLES = {"groups": 16.5, "inputs": 2, "outputs": 10, "call": 60}

ROWS: tuple[Kernel, ...] = (
    Kernel(
        "pointwise_pairs", Conv2D, "swar/conv_2d.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=WHOLE_ROWS,
        sources=("kernels/swar/tc_pairs.h",),
        fits=_fits_pointwise, scratch=_scratch, pack=_pack, numbers=_numbers, work=_work, flash=_flash,
        cycles=CYCLES,
    ),
    Kernel(
        "im2col_pairs", Conv2D, "swar/conv_2d.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=RINGED,
        sources=("kernels/swar/tc_pairs.h",),
        fits=_fits_one_group, scratch=_scratch, pack=_pack, numbers=_numbers, work=_work, flash=_flash,
        cycles=CYCLES,
    ),
    Kernel(
        "dense_pairs", Dense, "swar/conv_2d.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=WHOLE_ROWS,
        sources=("kernels/swar/tc_pairs.h",),
        fits=fits_pairs, scratch=_scratch, pack=_pack, numbers=_numbers, work=_work, flash=_flash,
        cycles=CYCLES,
    ),
)  # fmt: skip
