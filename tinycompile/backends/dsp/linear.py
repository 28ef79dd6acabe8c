"""Rows for convolutions and dense layers, in blocks of two filters by four pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil, prod
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, WHOLE_ROWS, Kernel
from tinycompile.backends.portable.linear import requantizer_arrays
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense

Linear = Conv2D | Dense

SHORT = 8
"""Pairs of inputs up to which extending both filters' weights costs less than taking their mixture apart."""
MOST = 18
"""Pairs of inputs that the code of a block is unrolled for."""
TAIL = 4
"""The same for the blocks of the last pixels, fewer than 4."""
FARTHEST = 4096
"""Bytes that STRB reaches beyond its base register."""


def _run_pairs(count: int) -> Iterator[tuple[int, int]]:
    """Pairs of positions in a run of ``count`` inputs as ``tc_spread`` makes them; -1 for none."""
    for i in range(0, count // 4 * 4, 4):
        yield i, i + 2
        yield i + 1, i + 3
    rest = count // 4 * 4
    left: tuple[tuple[int, int], ...] = ((), ((0, -1),), ((0, 1),), ((0, 2), (1, -1)))[count % 4]
    for a, b in left:
        yield rest + a, -1 if b < 0 else rest + b


def _order(run: int, runs: int) -> Array:
    """int64[pairs, 2]: which weights of a filter meet each pair of its inputs, which come in ``runs``; -1: none."""
    pairs = list(_run_pairs(run))
    return np.array([[i if i < 0 else r * run + i for i in pair] for r in range(runs) for pair in pairs])


def _runs(op: Linear, io: IO) -> tuple[int, int]:
    """Contiguous inputs of a pixel, and how many such runs there are: one per kernel row."""
    if isinstance(op, Dense):
        return io.x.channels, 1
    return op.kernel[1] * io.x.channels, op.kernel[0]


def _pairs(op: Linear, io: IO) -> int:
    run, runs = _runs(op, io)
    return runs * ((run + 1) // 2)


def _matrix(op: Linear, io: IO) -> Array:
    """int64[O, pairs, 2]: the weights in the order of ``_order``, zeros where there is none."""
    weights = io.inputs[1].values.astype(np.int64).reshape(io.out.channels, -1)
    padded = np.concatenate([weights, np.zeros((len(weights), 1), np.int64)], axis=1)
    return padded[:, _order(*_runs(op, io))]


def _is_mixed(op: Linear, io: IO) -> bool:
    """Whether the second filter of each pair can be kept as 256 times itself plus the first one.

    Halves of words must hold the mixed weights, and 256 times the second filter's sums must fit in int32, so that
    the difference of the two sums tells them exactly.
    """
    if _pairs(op, io) <= SHORT:
        return False
    weights = io.inputs[1].values.astype(np.int64).reshape(io.out.channels, -1)
    pairs = io.out.channels // 2
    first, second = weights[0 : 2 * pairs : 2], weights[1 : 2 * pairs : 2]
    bias = op.parameters(io)["bias"].astype(np.int64)[1 : 2 * pairs : 2]
    most = np.abs(bias) + 128 * np.abs(second).sum(axis=1)
    return bool((256 * second + first >= -(1 << 15)).all() and (most < 1 << 23).all())


def _is_fused(op: Linear, io: IO) -> bool:
    """Whether the block requantises: multiplier and zero point alone, outputs within reach."""
    rq = op.parameters(io)["requantizer"]
    return bool(rq.scheme == "native" and rq.shift[0] == 0 and 3 * io.out.channels + 1 < FARTHEST)


def _wrapped(values: Array, bits: int) -> Array:
    """Modulo 2**bits, as signed numbers."""
    half = 1 << (bits - 1)
    return (values + half) % (1 << bits) - half


def _words(low: Array, high: Array) -> Array:
    """int32 words of two int16 halves each."""
    return _wrapped(_wrapped(low, 16) % (1 << 16) + (_wrapped(high, 16) << 16), 32)


def _stream(op: Linear, io: IO) -> Array:
    """int32: for each pair of filters two start values, the words of weights, and two multipliers where fused.

    A word has the two weights of the first filter in bytes 0 and 2, of the second in bytes 1 and 3. A last filter
    by itself has its weights as pairs of int16.
    """
    p, matrix, mixed = op.parameters(io), _matrix(op, io), _is_mixed(op, io)
    bias, rq = p["bias"].astype(np.int64), p["requantizer"]
    multiplier = np.broadcast_to(rq.multiplier, bias.shape)
    parts = []
    for i in range(0, len(matrix) - 1, 2):
        first, second = matrix[i], matrix[i + 1]
        start = [bias[i], bias[i + 1] * 256 + bias[i] if mixed else bias[i + 1]]
        halves = second * 256 + (first if mixed else first % 256)
        parts += [_wrapped(np.array(start), 32), _words(halves[:, 0], halves[:, 1])]
        parts += [multiplier[i : i + 2]] if _is_fused(op, io) else []
    if len(matrix) % 2:
        parts.append(_words(matrix[-1, :, 0], matrix[-1, :, 1]))
    return np.concatenate(parts).astype(np.int32)


def _pack(op: Linear, io: IO) -> Mapping[str, Array]:
    """The stream; multipliers and shifts by themselves where C requantises."""
    alone = not _is_fused(op, io) or io.out.channels % 2
    return {"stream": _stream(op, io), **(requantizer_arrays(op.parameters(io)["requantizer"]) if alone else {})}


def _flash(op: Linear, io: IO) -> int:
    """Bytes of ``_pack``; a little more where the last filter is alone."""
    pairs = _pairs(op, io)
    return ceil(io.out.channels / 2) * 4 * (pairs + 4)


def _unrolled(pairs: int, most: int) -> Mapping[str, int]:
    """``pairs`` = once + times * unroll, with once >= 1 and little code and few jumps."""
    if pairs <= most:
        return {"once": pairs, "unroll": 0, "times": 0}
    times = next(t for t in range(1, pairs) if pairs - t * (pairs // (t + 1)) + pairs // (t + 1) <= most)
    options = [(t, u) for t in range(times, times + 3) for u in range(1, most) if 1 <= pairs - t * u <= most - u]
    best, unroll = min(options, key=lambda o: (o[0], pairs - o[0] * o[1]))
    return {"once": pairs - best * unroll, "unroll": unroll, "times": best}


def _numbers(op: Linear, io: IO) -> Mapping[str, Any]:
    pairs, fused = _pairs(op, io), _is_fused(op, io)
    stride_h, stride_w = op.stride if isinstance(op, Conv2D) else (1, 1)
    return {
        "K": io.x.channels,
        "O": io.out.channels,
        "stride_h": stride_h,
        "stride_w": stride_w,
        "pairs": pairs,
        "words": pairs + (4 if fused else 2),
        "mixed": _is_mixed(op, io),
        "fused": fused,
        "torn": isinstance(op, Conv2D) and _is_torn(op),
        "last_bias": int(op.parameters(io)["bias"][-1]),
        "plan": {4: _unrolled(pairs, MOST), 2: _unrolled(pairs, TAIL), 1: _unrolled(pairs, TAIL)},
    }


def _is_torn(op: Conv2D) -> bool:
    """Whether the inputs of a kernel row may be in pieces."""
    return bool(op.pad) or op.dilation[1] > 1


def _fits_pointwise(op: Conv2D, io: IO) -> bool:
    return op.is_pointwise and io.inputs[1].zero_point == 0


def _fits_im2col(op: Conv2D, io: IO) -> bool:
    return op.groups == 1 and not op.is_pointwise and io.inputs[1].zero_point == 0


def _fits_dense(op: Dense, io: IO) -> bool:
    return io.inputs[1].zero_point == 0


def _scratch(op: Linear, io: IO) -> int:
    """The pairs of 4 pixels, and a kernel row that may be torn."""
    torn = _runs(op, io)[0] if isinstance(op, Conv2D) and _is_torn(op) else 0
    return 16 * _pairs(op, io) + torn


def _work(op: Linear, io: IO) -> Mapping[str, float]:
    """Pairs of inputs met by filters at pixels; outputs; inputs gathered; the call."""
    outputs = io.out.size
    pixels = outputs // io.out.channels
    pairs = _pairs(op, io)
    return {
        "pairs": pairs * outputs, "outputs": outputs, "gathered": pixels * 2 * pairs,
        "runs": pixels * (prod(op.kernel[:1]) if isinstance(op, Conv2D) else 1), "call": 1,
    }  # fmt: skip


ROWS: tuple[Kernel, ...] = (
    Kernel(
        "dsp_pointwise", Conv2D, "dsp/pointwise.c.j2",
        isa=frozenset({"dsp"}),
        arguments=WHOLE_ROWS,
        sources=("include/tc_simd.h", "kernels/dsp/tc_dot.h"),
        fits=_fits_pointwise,
        scratch=_scratch,
        pack=_pack,
        flash=_flash,
        numbers=_numbers,
        work=_work,
        cycles={"pairs": 2.05, "outputs": 5.2, "gathered": 1.6, "runs": 0, "call": 80},
    ),
    Kernel(
        "dsp_im2col", Conv2D, "dsp/im2col.c.j2",
        isa=frozenset({"dsp"}),
        arguments=RINGED,
        sources=("include/tc_simd.h", "kernels/dsp/tc_dot.h"),
        fits=_fits_im2col,
        scratch=_scratch,
        pack=_pack,
        flash=_flash,
        numbers=_numbers,
        work=_work,
        cycles={"pairs": 2.05, "outputs": 5.2, "gathered": 2.0, "runs": 12, "call": 80},
    ),
    Kernel(
        "dsp_rows", Dense, "dsp/pointwise.c.j2",
        isa=frozenset({"dsp"}),
        arguments=WHOLE_ROWS,
        sources=("include/tc_simd.h", "kernels/dsp/tc_dot.h"),
        fits=_fits_dense,
        scratch=_scratch,
        pack=_pack,
        flash=_flash,
        numbers=_numbers,
        work=_work,
        cycles={"pairs": 2.1, "outputs": 6, "gathered": 1.6, "runs": 0, "call": 80},
    ),
)  # fmt: skip
