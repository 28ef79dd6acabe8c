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
from tinycompile.backends.swar.weights import Groups, grouped, groups_of_weights, pairs_fit
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

TILES = {4: 45.0, 3: 36.0}
"""Output pixels that may share the weights that are taken apart, and the cycles of a group of four weights."""
LARGEST_TILE = max(TILES)


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


def block_numbers(groups: Groups) -> dict[str, str]:
    """The variant of the inner block; branches of Armv6-M reach back over three groups."""
    count = groups.weights.shape[1]
    return {
        "taken": "WIDE" if groups.wide else "NARROW",
        "fixed": "FIXED" if groups.fixed else "EXACT",
        "loop": "THRICE" if count % 3 == 0 else "ONCE" if count % 2 else "TWICE",
    }


def fits_pairs(op: Conv2D | Dense, io: IO) -> bool:
    """Symmetric weights, and no two of -128 that go into one multiply."""
    return io.inputs[1].zero_point == 0 and pairs_fit(io)


def _fits_pointwise(op: Conv2D, io: IO) -> bool:
    return op.is_pointwise and fits_pairs(op, io)


def _fits_one_group(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and not op.is_pointwise and fits_pairs(op, io)


def _gathered(io: IO) -> bool:
    """Whether inputs are copied to one place before they are spread: not where each pixel is whole words."""
    return io.x.channels % 4 > 0


def _pack(op: Conv2D | Dense, io: IO) -> Mapping[str, Array]:
    p = op.parameters(io)
    scale = scale_of(op, io)
    arrays = {"filters": np.concatenate([word for parts in _filters(io, scale) for word in parts]), **_padding(op, io)}
    return arrays if scale else {**arrays, "bias": p["bias"], **requantizer_arrays(p["requantizer"])}


def _filters(io: IO, scale: Scale | None) -> list[tuple[Array, ...]]:
    """Of each filter its words: weights, fixes, scale."""
    groups = groups_of_weights(io)
    scales = scale.words if scale else np.zeros((io.out.channels, 0), np.uint32)
    return list(zip(groups.words(), groups.fixes(2 * _tile(io)), scales, strict=True))


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
        **block_numbers(groups_of_weights(io)),
        "groups": groups_of(io),
        "tile": _tile(io),
        "size": sum(len(word) for parts in _filters(io, scale) for word in parts),
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
