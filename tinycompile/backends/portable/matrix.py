"""Rows for products of activations and for reductions along axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.backends.kernel import Kernel
from tinycompile.backends.portable.operands import constants, sources
from tinycompile.ir import IO, Array, Shape
from tinycompile.ops.instance_norm import InstanceNorm
from tinycompile.ops.mat_mul import MatMul
from tinycompile.ops.reduce import Reduce

Loops = list[tuple[int, int]]


def reduction_loops(shape: Shape, axes: tuple[int, ...]) -> tuple[Loops, Loops]:
    """(extent, stride) of the axes kept and of those reduced; neighbours of a kind are one loop, 1s none."""
    merged: list[tuple[int, int, bool]] = []
    stride = 1
    for axis in reversed(range(len(shape))):
        extent, is_reduced = shape[axis], axis in axes
        if merged and merged[0][2] == is_reduced and extent > 1:
            merged[0] = (merged[0][0] * extent, merged[0][1], is_reduced)
        elif extent > 1:
            merged.insert(0, (extent, stride, is_reduced))
        stride *= extent
    return [(e, s) for e, s, r in merged if not r], [(e, s) for e, s, r in merged if r]


def _reduce_numbers(op: Reduce, io: IO) -> Mapping[str, Any]:
    kept, reduced = reduction_loops(io.x.shape, op.axes)
    return {"kept": kept, "reduced": reduced}


def _product_numbers(op: MatMul, io: IO) -> Mapping[str, Any]:
    m, k = io.x.shape[-2:]
    lead = io.out.shape[:-2]
    a, b = (_strides(t.shape[:-2], lead, t.shape[-2] * t.shape[-1]) for t in io.inputs)
    batch = [loop for loop in zip(lead, a, b, strict=True) if loop[0] > 1]
    return {"M": m, "K": k, "N": io.out.channels, "batch": batch, "sources": sources(io)}


def _strides(shape: Shape, lead: Shape, matrix: int) -> list[int]:
    """Elements from one matrix to the next along each leading axis of the output; 0 where it is repeated."""
    padded = (1,) * (len(lead) - len(shape)) + shape
    steps = matrix * np.cumprod([1, *padded[:0:-1]], dtype=int)[::-1][: len(padded)]
    return [0 if d == 1 else int(s) for d, s in zip(padded, steps, strict=True)]


def _norm_arrays(op: InstanceNorm, io: IO) -> Mapping[str, Array]:
    p = op.parameters(io)
    return {name: p[name] for name in ("gain", "exponent", "offset")}


def _norm_lag(op: InstanceNorm, io: IO, index: int) -> int | None:
    """All sums are complete before the first value is written."""
    return 0 if index == 0 else None


ROWS: tuple[Kernel, ...] = (
    Kernel(
        "mat_mul", MatMul, "portable/mat_mul.c.j2",
        pack=constants,
        numbers=_product_numbers,
        cycles={"macs": 6.7, "ops": 4, "call": 60},
    ),
    Kernel(
        "reduce", Reduce, "portable/reduce.c.j2",
        numbers=_reduce_numbers,
        cycles={"ops": 3.3, "stores": 5.3, "call": 60},
    ),
    Kernel(
        "instance_norm", InstanceNorm, "portable/instance_norm.c.j2",
        arguments=("out_pitch", "in0_h", "in0_w", "in0_pitch"),
        sources=("kernels/portable/tc_normalizer.h",),
        scratch=lambda op, io: 12 * io.x.channels,
        pack=_norm_arrays,
        lag=_norm_lag,
        cycles={"macs": 8, "ops": 3, "call": 60},
    ),
)  # fmt: skip
