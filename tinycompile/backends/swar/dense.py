"""Rows for single pixels on cores without SIMD: blocks of four filters share the inputs (``tc_pairs_row.h``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.backends.kernel import WHOLE_ROWS, Kernel
from tinycompile.backends.portable.linear import requantizer_arrays
from tinycompile.backends.swar.linear import block_numbers, fits_pairs, groups_of, inputs_of, scale_of
from tinycompile.backends.swar.scale import Scale
from tinycompile.backends.swar.weights import groups_of_weights
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

BLOCK = 4
"""Filters that share the inputs."""


def _size(io: IO) -> int:
    """Words of a group of inputs."""
    return 3 if groups_of_weights(io).wide else 4


def _blocks(io: IO) -> int:
    return -(-io.out.channels // BLOCK)


def _fits_pointwise(op: Conv2D, io: IO) -> bool:
    return op.is_pointwise and fits_pairs(op, io)


def _fits_whole(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and op.is_whole(io) and not op.is_pointwise and fits_pairs(op, io)


def _in_blocks(io: IO, words: Array) -> Array:
    """(O, n) as blocks (blocks, 4, n), zeros behind the last."""
    return np.pad(words, ((0, -len(words) % BLOCK), (0, 0))).reshape(_blocks(io), BLOCK, -1)


def _filters(io: IO, scale: Scale | None) -> Array:
    """uint32: of each block its weights group by group, then fixes and scales filter by filter."""
    groups = groups_of_weights(io)
    weights = _in_blocks(io, groups.words()).transpose(0, 2, 1)
    fixes = groups.fixes(_size(io))
    fixes += [np.zeros(int(groups.fixed), np.uint32)] * (-len(fixes) % BLOCK)
    scales = _in_blocks(io, scale.words) if scale else np.zeros((_blocks(io), 0), np.uint32)
    parts = []
    for i, (words, scale_words) in enumerate(zip(weights, scales, strict=True)):
        parts += [words.ravel(), *fixes[BLOCK * i : BLOCK * (i + 1)], scale_words.ravel()]
    return np.concatenate(parts)


def _pack(op: Conv2D | Dense, io: IO) -> Mapping[str, Array]:
    p = op.parameters(io)
    scale = scale_of(op, io)
    arrays = {"filters": _filters(io, scale)}
    return arrays if scale else {**arrays, "bias": p["bias"], **requantizer_arrays(p["requantizer"])}


def _flash(op: Conv2D | Dense, io: IO) -> int:
    return sum(array.nbytes for array in _pack(op, io).values())


def _words(io: IO) -> int:
    """Words of a pixel's inputs."""
    return _size(io) * groups_of(io)


def _spare(io: IO) -> int:
    """Bytes of scratch before the outputs: the inputs, and the words that their kernels use."""
    return 4 * _words(io) + 16


def _patch(io: IO) -> int:
    return _spare(io) + (BLOCK * _blocks(io) if io.out.channels % BLOCK else 0)


def _scratch(op: Conv2D | Dense, io: IO) -> int:
    return _patch(io) + (4 * groups_of(io) if inputs_of(io) % 4 else 0)


def _numbers(op: Conv2D | Dense, io: IO) -> Mapping[str, Any]:
    stride_h, stride_w = op.stride if isinstance(op, Conv2D) else (1, 1)
    scale = scale_of(op, io)
    block = block_numbers(groups_of_weights(io))
    if block["taken"] == "NARROW" and block["loop"] == "THRICE":
        block["loop"] = "ONCE"
    return {
        **block,
        "K": inputs_of(io),
        "groups": groups_of(io),
        "words": _words(io),
        "size": len(_filters(io, scale)),
        "native": scale is not None,
        "shift": scale.shift if scale else 0,
        "scale": scale.kind if scale else "",
        "whole": isinstance(op, Conv2D) and not op.is_pointwise,
        "spare": _spare(io),
        "patch": _patch(io),
        "stride_h": stride_h,
        "stride_w": stride_w,
    }


def _work(op: Conv2D | Dense, io: IO) -> Mapping[str, float]:
    """``groups``: of four inputs with a block of filters; ``inputs`` spread; ``outputs``."""
    pixels = io.out.size // io.out.channels
    counts = {"groups": pixels * _blocks(io) * groups_of(io), "inputs": pixels * inputs_of(io)}
    return {**counts, "outputs": pixels * _blocks(io) * BLOCK, "call": 1}


CYCLES = {"groups": 21.0, "inputs": 2.5, "outputs": 11, "call": 60}
SOURCES = ("kernels/swar/tc_pairs.h", "kernels/swar/tc_pairs_row.h")

ROWS: tuple[Kernel, ...] = (
    Kernel(
        "pixel_pairs", Conv2D, "swar/dense.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=WHOLE_ROWS,
        sources=SOURCES,
        fits=_fits_pointwise, scratch=_scratch, pack=_pack, numbers=_numbers, work=_work, flash=_flash,
        cycles=CYCLES,
    ),
    Kernel(
        "one_pixel_pairs", Conv2D, "swar/dense.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        sources=SOURCES,
        fits=_fits_whole, scratch=_scratch, pack=_pack, numbers=_numbers, work=_work, flash=_flash,
        cycles=CYCLES,
    ),
    Kernel(
        "row_pairs", Dense, "swar/dense.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=WHOLE_ROWS,
        sources=SOURCES,
        fits=fits_pairs, scratch=_scratch, pack=_pack, numbers=_numbers, work=_work, flash=_flash,
        cycles=CYCLES,
    ),
)  # fmt: skip
