"""Rows for dense layers, and for convolutions whose kernel is as large as the image: no scratch, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from tinycompile.backends.dsp.dense_block import DenseBlock, Range
from tinycompile.backends.dsp.filters import Filters, block_words, filters, is_fused, order, pair_count, stream
from tinycompile.backends.kernel import WHOLE_ROWS, Kernel
from tinycompile.backends.portable.linear import _early_conv_lag, _early_dense_lag, requantizer_arrays
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

Linear = Conv2D | Dense
LONGEST = 1 << 14
"""Fewer inputs than this have words whose bytes MOVW can count."""


@dataclass(frozen=True)
class Form:
    """What a core's pipeline asks for: the order of instructions; filters of a block, mixed or not; words of inputs
    that the code of a block is unrolled for, the first one and those of what it leaves."""

    dual: bool
    mixed: int
    wide: int
    most: tuple[int, int]


@dataclass(frozen=True)
class Part:
    """Filters from ``first`` on, whose stream begins at word ``at``, and the block that computes them."""

    first: int
    at: int
    block: DenseBlock
    words: int
    """Of the stream for a block."""


def _inputs(io: IO) -> int:
    """Of an output: one row's, or the whole image."""
    return io.inputs[1].size // io.out.channels


def _pairs(io: IO) -> int:
    return pair_count(_inputs(io), 1)


def _divided(outputs: int, most: int) -> Iterator[tuple[int, bool, int]]:
    """Blocks for these outputs: of how many filters; whether the last one is missing; how many such blocks.

    Where blocks of six would leave two filters, two of four take the place of the last: they keep a pipeline full.
    """
    count = outputs + outputs % 2
    fours = 2 if most == 6 and count % 6 == 2 and count > 2 else 0
    full, rest = divmod(count - 4 * fours, most)
    sizes = [(size, False) for size in [most] * full + [4] * fours + [rest] * (rest > 0)]
    sizes[-1] = (sizes[-1][0], outputs % 2 == 1)
    for (size, odd), blocks in groupby(sizes):
        yield size, odd, len(list(blocks))


def _blocks(form: Form, io: IO, these: Filters) -> list[tuple[int, bool, int]]:
    return list(_divided(io.out.channels, form.mixed if these.can_mix_moved else form.wide))


def _words(io: IO, these: Filters, size: int) -> int:
    """Of the stream for a block."""
    offsets = size // 2 if these.can_mix_moved and these.offsets.any() else 0
    return block_words(_pairs(io), these.can_mix_moved, size) + offsets


def _parts(form: Form, op: Linear, io: IO) -> list[Part]:
    rq, these = op.parameters(io)["requantizer"], filters(op, io)
    span = Range(rq.zero_point, rq.low, rq.high) if is_fused(op, io) else None
    mixed, moved = these.can_mix_moved, these.can_mix_moved and not these.can_mix
    parts: list[Part] = []
    first = at = 0
    for size, odd, count in _blocks(form, io, these):
        block = DenseBlock(size, count, _inputs(io), mixed, moved, form.dual, form.most[first > 0], span, odd)
        parts.append(Part(first, at, block, _words(io, these, size)))
        first += count * size
        at += count * parts[-1].words
    return parts


def _pack(form: Form, op: Linear, io: IO) -> Mapping[str, Array]:
    """The stream, block after block; multipliers and shifts by themselves where C requantises."""
    these = filters(op, io)
    words = [_stream(part, these, io).ravel() for part in _parts(form, op, io)]
    alone = {} if is_fused(op, io) else requantizer_arrays(op.parameters(io)["requantizer"])
    return {"stream": np.concatenate(words), **alone}


def _stream(part: Part, these: Filters, io: IO) -> Array:
    """int32 (blocks, words)."""
    block, pairs = part.block, order(_inputs(io), 1)
    some = these.some(part.first, block.filters * block.blocks)
    if not block.moved:
        return stream(some, pairs, block.mixed, block.filters)
    words = stream(some.moved, pairs, block.mixed, block.filters)
    multipliers = words[:, -block.filters :].reshape(block.blocks, -1, 2)
    offsets = np.append(some.offsets, [0] * block.odd)[1::2]
    tail = np.concatenate([multipliers, offsets.reshape(block.blocks, -1, 1)], axis=2)
    return np.concatenate([words[:, : -block.filters], tail.reshape(block.blocks, -1)], axis=1).astype(np.int32)


def _flash(form: Form, op: Linear, io: IO) -> int:
    """Bytes of the stream."""
    these = filters(op, io)
    return sum(4 * count * _words(io, these, size) for size, _, count in _blocks(form, io, these))


def _numbers(form: Form, op: Linear, io: IO) -> Mapping[str, Any]:
    return {
        "K": _inputs(io),
        "one": isinstance(op, Conv2D),
        "O": io.out.channels,
        "parts": _parts(form, op, io),
    }


def _work(form: Form, op: Linear, io: IO) -> Mapping[str, float]:
    """Pairs of inputs met by filters, in mixed words or not; met by blocks of them; blocks; outputs; the call."""
    pixels, these = io.out.size // io.out.channels, filters(op, io)
    blocks = _blocks(form, io, these)
    count = pixels * sum(n for _, _, n in blocks)
    met = pixels * _pairs(io) * sum(n * size for size, _, n in blocks)
    met_by = {"mixed": met, "wide": 0} if these.can_mix_moved else {"mixed": 0, "wide": met}
    return {**met_by, "turns": _pairs(io) * count, "blocks": count, "outputs": io.out.size, "call": 1}


def _fits(form: Form, op: Linear, io: IO) -> bool:
    return io.inputs[1].zero_point == 0 and _inputs(io) < LONGEST


def _fits_one_pixel(form: Form, op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and op.is_whole(io) and _fits(form, op, io)


def _row(
    name: str, form: Form, op: type[Linear], fits: Callable[[Form, Any, IO], bool], isa: frozenset[str],
    arguments: tuple[str, ...], lag: Callable[[Any, IO, int], int | None], cycles: Mapping[str, float],
) -> Kernel:  # fmt: skip
    return Kernel(
        name, op, "dsp/dense.c.j2",
        isa=isa,
        arguments=arguments,
        sources=("include/tc_simd.h", "kernels/dsp/tc_dense.h"),
        fits=partial(fits, form),
        pack=partial(_pack, form),
        flash=partial(_flash, form),
        numbers=partial(_numbers, form),
        lag=lag,
        work=partial(_work, form),
        cycles=cycles,
    )  # fmt: skip


def _rows(form: Form, suffix: str, isa: frozenset[str], cycles: Mapping[str, float]) -> tuple[Kernel, ...]:
    return (
        _row(f"dsp_one_pixel{suffix}", form, Conv2D, _fits_one_pixel, isa, (), _early_conv_lag, cycles),
        _row(f"dsp_dense{suffix}", form, Dense, _fits, isa, WHOLE_ROWS, _early_dense_lag, cycles),
    )


SINGLE = Form(dual=False, mixed=8, wide=6, most=(10, 6))
DUAL = Form(dual=True, mixed=6, wide=6, most=(16, 8))
ROWS: tuple[Kernel, ...] = (
    *_rows(
        DUAL, "_m7", frozenset({"dsp", "cortex-m7"}),
        {"mixed": 2.3, "wide": 3.2, "turns": 0.3, "blocks": 20, "outputs": 8, "call": 80},
    ),
    *_rows(
        SINGLE, "", frozenset({"dsp"}),
        {"mixed": 2.31, "wide": 2.3, "turns": 1, "blocks": 25, "outputs": 5.5, "call": 60},
    ),
)  # fmt: skip
