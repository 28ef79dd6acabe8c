"""Rows for single pixels on cores without SIMD: blocks of four filters share the inputs (``tc_pairs_row.h``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from tinycompile.backends.kernel import WHOLE_ROWS, Kernel
from tinycompile.backends.portable.linear import _early_conv_lag, _early_dense_lag, requantizer_arrays
from tinycompile.backends.swar.linear import block_numbers, fits_pairs, groups_of, inputs_of, scale_of
from tinycompile.backends.swar.scale import Scale
from tinycompile.backends.swar.weights import WORD, groups_of_weights
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

BLOCK = 4
"""Filters that share the inputs."""


def _size(io: IO, spread: bool) -> int:
    """Words of a group of inputs."""
    return (3 if groups_of_weights(io).wide else 4) if spread else 1


def _blocks(io: IO) -> int:
    return -(-io.out.channels // BLOCK)


def _fits_pointwise(op: Conv2D, io: IO) -> bool:
    return op.is_pointwise and fits_pairs(op, io)


def _fits_whole(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and op.is_whole(io) and not op.is_pointwise and fits_pairs(op, io)


def _fits_words(op: Conv2D | Dense, io: IO) -> bool:
    """Inputs as words, outputs as whole blocks, since there is no place to copy them to."""
    return fits_pairs(op, io) and inputs_of(io) % 4 == 0 and io.out.channels % BLOCK == 0


def _fits_whole_words(op: Conv2D, io: IO) -> bool:
    return _fits_whole(op, io) and _fits_words(op, io)


def _in_blocks(io: IO, words: Array) -> Array:
    """(O, n) as blocks (blocks, 4, n), zeros behind the last."""
    return np.pad(words, ((0, -len(words) % BLOCK), (0, 0))).reshape(_blocks(io), BLOCK, -1)


def _filters(io: IO, scale: Scale | None, spread: bool) -> Array:
    """uint32: of each block its weights group by group, then fixes and scales filter by filter."""
    groups = groups_of_weights(io)
    weights = _in_blocks(io, groups.words()).transpose(0, 2, 1)
    fixes = groups.fixes(_size(io, spread), WORD if spread else 1)
    fixes += [np.zeros(int(groups.fixed), np.uint32)] * (-len(fixes) % BLOCK)
    scales = _in_blocks(io, scale.words) if scale else np.zeros((_blocks(io), 0), np.uint32)
    parts = []
    for i, (words, scale_words) in enumerate(zip(weights, scales, strict=True)):
        parts += [words.ravel(), *fixes[BLOCK * i : BLOCK * (i + 1)], scale_words.ravel()]
    return np.concatenate(parts)


def _pack(spread: bool, op: Conv2D | Dense, io: IO) -> Mapping[str, Array]:
    p = op.parameters(io)
    scale = scale_of(op, io)
    arrays = {"filters": _filters(io, scale, spread)}
    return arrays if scale else {**arrays, "bias": p["bias"], **requantizer_arrays(p["requantizer"])}


def _flash(spread: bool, op: Conv2D | Dense, io: IO) -> int:
    return sum(array.nbytes for array in _pack(spread, op, io).values())


def _words(io: IO, spread: bool) -> int:
    """Of a pixel's inputs."""
    return _size(io, spread) * groups_of(io)


def _spare(io: IO) -> int:
    """Bytes of scratch before the outputs: the inputs."""
    return WORD * _words(io, spread=True)


def _patch(io: IO) -> int:
    return _spare(io) + (BLOCK * _blocks(io) if io.out.channels % BLOCK else 0)


def _no_scratch(op: Conv2D | Dense, io: IO) -> int:
    return 0


def _scratch(op: Conv2D | Dense, io: IO) -> int:
    return _patch(io) + (4 * groups_of(io) if inputs_of(io) % 4 else 0)


def _turn(wide: bool, spread: bool, groups: int) -> str:
    """How many groups make a turn: branches of Armv6-M reach back over 250 bytes."""
    if wide and spread and groups % 3 == 0:
        return "THRICE"
    return "TWICE" if (wide or spread) and groups % 2 == 0 else "ONCE"


def _numbers(spread: bool, op: Conv2D | Dense, io: IO) -> Mapping[str, Any]:
    stride_h, stride_w = op.stride if isinstance(op, Conv2D) else (1, 1)
    scale = scale_of(op, io)
    block = block_numbers(groups_of_weights(io))
    block["loop"] = _turn(block["taken"] == "WIDE", spread, groups_of(io))
    return {
        **block,
        "K": inputs_of(io),
        "groups": groups_of(io),
        "bytes": not spread,
        "words": _words(io, spread),
        "size": len(_filters(io, scale, spread)),
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


def _row(
    name: str, op: type[Conv2D | Dense], fits: Callable[[Any, IO], bool], arguments: tuple[str, ...] = (),
    lag: Callable[[Any, IO, int], int | None] | None = None, *, spread: bool = True,
) -> Kernel:  # fmt: skip
    """``spread``: inputs are spread in scratch, for all blocks; else by each block itself, again and again."""
    return Kernel(
        name, op, "swar/dense.c.j2",
        isa=frozenset({"cortex-m0plus"}),
        arguments=arguments,
        sources=("kernels/swar/tc_pairs.h", "kernels/swar/tc_pairs_row.h"),
        fits=fits,
        scratch=_scratch if spread else _no_scratch,
        pack=partial(_pack, spread),
        numbers=partial(_numbers, spread),
        lag=lag,
        work=_work,
        flash=partial(_flash, spread),
        cycles={"groups": 21.0 if spread else 26.0, "inputs": 2.5 if spread else 0.0, "outputs": 11, "call": 60},
    )  # fmt: skip


ROWS: tuple[Kernel, ...] = (
    _row("pixel_pairs", Conv2D, _fits_pointwise, WHOLE_ROWS),
    _row("one_pixel_pairs", Conv2D, _fits_whole),
    _row("row_pairs", Dense, fits_pairs, WHOLE_ROWS),
    _row("one_pixel_words", Conv2D, _fits_whole_words, lag=_early_conv_lag, spread=False),
    _row("row_words", Dense, _fits_words, WHOLE_ROWS, _early_dense_lag, spread=False),
)
