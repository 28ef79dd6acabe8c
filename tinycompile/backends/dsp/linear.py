"""Rows for convolutions and dense layers, in blocks of four filters by two pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import numpy as np

from tinycompile.backends.dsp.dual_block import AHEAD, DualBlock
from tinycompile.backends.dsp.ending import SECOND, Ending
from tinycompile.backends.dsp.filters import (
    FILTERS,
    block_words,
    filters,
    is_fused,
    order,
    pair_count,
    stream,
)  # fmt: skip
from tinycompile.backends.kernel import RINGED, WHOLE_ROWS, Kernel
from tinycompile.backends.portable.linear import requantizer_arrays
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

Linear = Conv2D | Dense
Cycles = Mapping[str, float]


@dataclass(frozen=True)
class Form:
    """What a kernel's code is scheduled for.

    ``dual``: a multiplication and another instruction issue in one cycle. Up to ``short`` pairs of inputs weights are
    kept as int16: taking the sums of mixed filters apart would cost more than mixing gains.
    """

    dual: bool
    short: int


SINGLE = Form(dual=False, short=4)
IN_ORDER = Form(dual=False, short=16)
DUAL = Form(dual=True, short=16)

MOST = 26
"""Pairs of inputs that the code of a block is unrolled for."""
TAIL = 8
"""The same for the block of a last pixel by itself."""
FARTHEST = 4096
"""Bytes that STR reaches beyond its base register."""
NARROW = (1 << 15) - 1024
"""Outputs below this fit in int16 with any zero point."""
LONGEST = 8000
"""Pairs of inputs whose bytes fit in the 16 bits of MOVW."""


def _runs(op: Linear, io: IO) -> tuple[int, int]:
    """Contiguous inputs of a pixel, and how many such runs there are: one per kernel row."""
    if isinstance(op, Dense):
        return io.x.channels, 1
    return op.kernel[1] * io.x.channels, op.kernel[0]


def _pairs(op: Linear, io: IO) -> int:
    return pair_count(*_runs(op, io))


def _is_mixed(form: Form, op: Linear, io: IO) -> bool:
    return _pairs(op, io) > form.short and filters(op, io).can_mix


def _is_times_256(form: Form, op: Linear, io: IO) -> bool:
    """Whether the second of every two filters comes out 256 times as large."""
    return _is_mixed(form, op, io) or (_is_fused(op, io) and filters(op, io).has_room)


def _is_fused(op: Linear, io: IO) -> bool:
    """Whether the block requantises, and reaches its outputs."""
    return is_fused(op, io) and io.out.channels + FILTERS < FARTHEST


def _pack(form: Form, op: Linear, io: IO) -> Mapping[str, Array]:
    """The stream; multipliers and shifts by themselves where C requantises; kernel rows of padding, two pixels wide."""
    these, mixed = filters(op, io), _is_mixed(form, op, io)
    words = these if mixed or not _is_times_256(form, op, io) else these.second_times_256()
    alone = not _is_fused(op, io) or io.out.channels % FILTERS
    arrays = requantizer_arrays(op.parameters(io)["requantizer"]) if alone else {}
    if "multiplier" in arrays:
        arrays["multiplier"] = these.multiplier.astype(np.int32)
    if isinstance(op, Conv2D) and op.pad:
        arrays["padding"] = np.full((op.kernel[1] + op.stride[1]) * io.x.channels, io.x.zero_point, np.int8)
    found = stream(words, order(*_runs(op, io)), mixed)
    behind = np.zeros(AHEAD if form.dual else 0, np.int32)
    return {"stream": np.concatenate([found.ravel(), behind]), **arrays}


def _flash(form: Form, op: Linear, io: IO) -> int:
    """Bytes of the stream."""
    blocks = ceil(io.out.channels / FILTERS)
    ahead = AHEAD if form.dual else 0
    return 4 * (blocks * block_words(_pairs(op, io), _is_mixed(form, op, io)) + ahead)


def _unrolled(pairs: int, most: int) -> Mapping[str, int]:
    """``pairs`` = once + times * unroll, with code for at most ``most`` pairs, then with few jumps and little code."""
    if pairs <= most:
        return {"once": pairs, "unroll": 0, "times": 0}
    loops = ((t, u) for u in range(1, most) for t in range(1, (pairs - 1) // u + 1))
    fitting = [(times, unroll) for times, unroll in loops if pairs - times * unroll + unroll <= most]
    times, unroll = min(fitting, key=lambda o: (o[0], pairs - o[0] * o[1] + o[1]))
    return {"once": pairs - times * unroll, "unroll": unroll, "times": times}


def _plan(pairs: int, pixels: int) -> Mapping[str, int]:
    return _unrolled(pairs, MOST if pixels == 2 else TAIL)


def _ending(form: Form, op: Linear, io: IO, pixels: int) -> Ending:
    rq, pairs = op.parameters(io)["requantizer"], _pairs(op, io)
    return Ending(
        pixels=pixels,
        channels=io.out.channels,
        zero_point=rq.zero_point,
        low=rq.low,
        high=rq.high,
        mixed=_is_mixed(form, op, io),
        times_256=_is_times_256(form, op, io),
        narrow=filters(op, io).scaled_extent < NARROW,
        loops=_plan(pairs, pixels)["times"] > 0,
        dual=form.dual,
    )


def _numbers(form: Form, op: Linear, io: IO) -> Mapping[str, Any]:
    pairs, fused, mixed = _pairs(op, io), _is_fused(op, io), _is_mixed(form, op, io)
    endings = {pixels: _ending(form, op, io, pixels) for pixels in (2, 1)} if fused else {}
    stride_h, stride_w = op.stride if isinstance(op, Conv2D) else (1, 1)
    return {
        "K": io.x.channels,
        "O": io.out.channels,
        "stride_h": stride_h,
        "stride_w": stride_w,
        "pairs": pairs,
        "words": block_words(pairs, mixed),
        "mixed": mixed,
        "fused": fused,
        "second": SECOND,
        "dual": form.dual,
        "times_256": _is_times_256(form, op, io),
        "endings": endings,
        "dual_blocks": {
            outputs: DualBlock(pairs, _plan(pairs, 2), mixed, endings[2] if outputs else None)
            for outputs in (False, True)[: form.dual * (1 + fused)]
        },
        "ahead": AHEAD,
        "torn": isinstance(op, Conv2D) and _is_torn(op),
        "plan": {pixels: _plan(pairs, pixels) for pixels in (2, 1)},
    }


def _is_torn(op: Conv2D) -> bool:
    """Whether the inputs of a kernel row may be in pieces."""
    return bool(op.pad) or op.dilation[1] > 1


def _fits(form: Form, op: Linear, io: IO) -> bool:
    return io.inputs[1].zero_point == 0 and _pairs(op, io) < LONGEST


def _fits_rows(form: Form, op: Dense, io: IO) -> bool:
    return io.out.size > io.out.channels and _fits(form, op, io)


def _fits_pointwise(form: Form, op: Conv2D, io: IO) -> bool:
    return op.is_pointwise and _fits(form, op, io)


def _fits_im2col(form: Form, op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and not op.is_pointwise and _fits(form, op, io)


def _scratch(form: Form, op: Linear, io: IO) -> int:
    """The pairs of two pixels, and a kernel row that may be torn."""
    torn = _runs(op, io)[0] if isinstance(op, Conv2D) and _is_torn(op) else 0
    return 8 * _pairs(op, io) + torn


def _work(form: Form, op: Linear, io: IO) -> Mapping[str, float]:
    """Pairs of inputs met by filters: in mixed words or not, ``alone`` at a pixel that has no other beside it; blocks
    of filters and pixels; outputs; inputs gathered; the call."""
    pixels, pairs = io.out.size // io.out.channels, _pairs(op, io)
    width = io.out.hw[1] if len(io.out.shape) == 4 else pixels
    single = pixels // width * (width % 2)
    groups, blocks = (pixels + single) // 2, ceil(io.out.channels / FILTERS)
    met = pairs * FILTERS * blocks
    counts = {"mixed" if _is_mixed(form, op, io) else "pairs": met * (pixels - single), "alone": met * single}
    return {
        "mixed": 0, "pairs": 0, **counts, "blocks": blocks * groups, "outputs": io.out.size,
        "gathered": pixels * 2 * pairs, "runs": pixels * _runs(op, io)[1], "call": 1,
    }  # fmt: skip


def _row(
    name: str, form: Form, op: type[Linear], template: str, fits: Callable[[Form, Any, IO], bool],
    isa: frozenset[str], arguments: tuple[str, ...], cycles: Mapping[str, float],
) -> Kernel:  # fmt: skip
    return Kernel(
        name, op, template,
        isa=isa,
        arguments=arguments,
        sources=("include/tc_simd.h", "kernels/dsp/tc_blocks.h"),
        fits=partial(fits, form),
        scratch=partial(_scratch, form),
        pack=partial(_pack, form),
        flash=partial(_flash, form),
        numbers=partial(_numbers, form),
        work=partial(_work, form),
        cycles={**cycles, "mixed": cycles["pairs"], "alone": 1.6 * cycles["pairs"]},
    )  # fmt: skip


def _rows(form: Form, suffix: str, isa: frozenset[str], cycles: Cycles) -> tuple[Kernel, ...]:
    """The rows for a pipeline."""
    pointwise = {**cycles, "runs": 0}
    return (
        _row(f"dsp_pointwise{suffix}", form, Conv2D, "dsp/pointwise.c.j2", _fits_pointwise, isa, WHOLE_ROWS, pointwise),
        _row(f"dsp_im2col{suffix}", form, Conv2D, "dsp/im2col.c.j2", _fits_im2col, isa, RINGED, cycles),
        _row(f"dsp_rows{suffix}", form, Dense, "dsp/pointwise.c.j2", _fits_rows, isa, WHOLE_ROWS, pointwise),
    )


ROWS: tuple[Kernel, ...] = (
    *_rows(
        DUAL, "_m7", frozenset({"dsp", "cortex-m7"}),
        {"pairs": 2.4, "outputs": 6.2, "gathered": 1.8, "runs": 12, "call": 80},
    ),
    *_rows(
        IN_ORDER, "_m33", frozenset({"dsp", "cortex-m33"}),
        {"pairs": 2.36, "outputs": 7, "gathered": 1.8, "runs": 12, "call": 80},
    ),
    *_rows(
        SINGLE, "", frozenset({"dsp"}),
        {"pairs": 1.91, "outputs": 6, "gathered": 1.5, "runs": 12, "call": 80},
    ),
)  # fmt: skip
