"""Rows for ops that only move data: by rows, where an image may be cut into windows, and for any shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RING, RINGED, WHOLE_ROWS, Kernel
from tinycompile.backends.portable.operands import Source, constants, sources
from tinycompile.ir import IO, Array, DType, Shape
from tinycompile.ops.concat import Concat
from tinycompile.ops.depth_to_space import DepthToSpace
from tinycompile.ops.gather import Gather
from tinycompile.ops.moving import is_image
from tinycompile.ops.pad import PadOp
from tinycompile.ops.resize_2d import Resize2D
from tinycompile.ops.slice import Slice
from tinycompile.ops.space_to_depth import SpaceToDepth
from tinycompile.ops.transpose import Transpose

MOST_JOINED = 8
"""Concat joins up to this many images by rows; more only whole."""


@dataclass(frozen=True)
class StridedLoop:
    """One loop of a strided copy: ``step`` input elements an iteration."""

    index: str
    extent: int
    step: int


@dataclass(frozen=True)
class PaddedAxis:
    """One loop of the template pad_any: extents out and in, elements from one index to the next, padding before."""

    extent: int
    size: int
    step: int
    before: int
    padded: bool


@dataclass(frozen=True)
class Piece(Source):
    """One input of a Concat, and its elements for one index of the axes before the joined one."""

    size: int


def steps_of(shape: Shape) -> Shape:
    """Elements from one index to the next, along each axis of a row-major array."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def strided(extents: Shape, steps: Shape, first: int = 0) -> Mapping[str, Any]:
    """Numbers of the template strided_copy: input element ``first + sum(index * step)``, written in order.

    Axes whose steps continue each other share a loop; the last becomes a run where its step is 1.
    """
    merged: list[tuple[int, int]] = []
    for extent, step in zip(extents, steps, strict=True):
        if extent == 1:
            continue
        if merged and merged[-1][1] == extent * step:
            merged[-1] = (merged[-1][0] * extent, step)
        else:
            merged.append((extent, step))
    run = merged.pop()[0] if merged and merged[-1][1] == 1 else 1
    loops = [StridedLoop(f"i{n}", extent, step) for n, (extent, step) in enumerate(merged)]
    terms = [str(first)] if first or not loops else []
    terms += [f"{x.index} * {x.step}" if x.step != 1 else x.index for x in loops]
    return {"loops": loops, "run": run, "offset": " + ".join(terms)}


def transpose_numbers(op: Transpose, io: IO) -> Mapping[str, Any]:
    """The input's steps in the output's order."""
    steps = steps_of(io.x.shape)
    return strided(io.out.shape, tuple(steps[axis] for axis in op.perm))


def transpose_work(op: Transpose, io: IO) -> Mapping[str, float]:
    """Bytes copied one by one, or the runs that are copied whole and their bytes; the call."""
    run = transpose_numbers(op, io)["run"] * io.out.dtype.size
    bytewise = {"bytes": io.out.nbytes, "runs": 0, "run_bytes": 0}
    return {
        **(bytewise if run == 1 else {"bytes": 0, "runs": io.out.nbytes // run, "run_bytes": io.out.nbytes}),
        "call": 1,
    }


def slice_numbers(op: Slice, io: IO) -> Mapping[str, Any]:
    """The input's steps times the slice's."""
    steps = steps_of(io.x.shape)
    first = sum(start * step for start, step in zip(op.starts, steps, strict=True))
    return strided(io.out.shape, tuple(a * b for a, b in zip(op.steps, steps, strict=True)), first)


def blocks_numbers(op: DepthToSpace | SpaceToDepth, io: IO) -> Mapping[str, Any]:
    """Rows, columns, block rows, block columns and channels, in the output's order."""
    b = op.block
    n, height, width, channels = io.x.shape
    if isinstance(op, SpaceToDepth):
        extents: Shape = (n, height // b, width // b, b, b, channels)
        row = width * channels
        return strided(extents, (height * row, b * row, b * channels, row, channels, 1))
    extents = (n, height, b, width, b, channels // b**2)
    row, less = width * channels, channels // b**2
    if op.mode == "DCR":
        return strided(extents, (height * row, row, b * less, channels, less, 1))
    return strided(extents, (height * row, row, b, channels, 1, b * b))


def concat_numbers(op: Concat, io: IO) -> Mapping[str, Any]:
    """The pieces that one index of the axes before the joined one takes."""
    sizes = [prod(t.shape[op.axis :]) for t in io.inputs]
    pieces = [Piece(s.pointer, s.constant, size) for s, size in zip(sources(io), sizes, strict=True)]
    return {"outer": prod(io.out.shape[: op.axis]), "pieces": pieces}


def joins_rows(op: Concat, io: IO) -> bool:
    """Whether a Concat joins the last axis of int8 activations, or the columns of images."""
    same = len(io.activations) == len(io.inputs) and io.out.dtype is DType.INT8
    return same and (op.axis == len(io.out.shape) - 1 or (op.axis == 2 and is_image(io.out)))


def joined(count: int) -> Kernel:
    """The Concat of ``count`` images by rows."""
    pitches = tuple(f"in{i}_pitch" for i in range(count))
    return Kernel(
        f"rows_{count}", Concat, "portable/concat_rows.c.j2",
        arguments=("out_h", "out_w", "out_pitch", *pitches),
        fits=lambda op, io: joins_rows(op, io) and len(io.activations) == count,
        cycles={"stores": 1.5, "call": 40},
    )  # fmt: skip


def gather_indices(op: Gather, io: IO) -> Mapping[str, Array]:
    """The indices in the narrowest type that holds them."""
    return {"indices": narrow(np.array(op.indices))}


def gather_numbers(op: Gather, io: IO) -> Mapping[str, Any]:
    """Extents before, on and behind the axis."""
    shape, axis = io.x.shape, op.axis
    return {
        "outer": prod(shape[:axis]),
        "count": len(op.indices),
        "length": shape[axis],
        "run": prod(shape[axis + 1 :]),
    }


def narrow(indices: Array) -> Array:
    """uint8, uint16 or int32, whichever is the first to hold all values."""
    top = int(indices.max(initial=0))
    return indices.astype(np.uint8 if top < 256 else np.uint16 if top < 65536 else np.int32)


def pad_rows_numbers(op: PadOp, io: IO) -> Mapping[str, Any]:
    """The fill value."""
    return {"fill": op.fill(io)}


def pad_any_numbers(op: PadOp, io: IO) -> Mapping[str, Any]:
    """The fill value, the C type, and the axes, neighbours without padding merged."""
    padded = [bool(b or a) for b, a in zip(op.before, op.after, strict=True)]
    axes, first = [], 0
    for apart, group in groupby(range(len(padded)), key=lambda i: i if padded[i] else -1):
        last = first + len(list(group))
        size, step = prod(io.x.shape[first:last]), prod(io.x.shape[last:])
        extent, before = prod(io.out.shape[first:last]), op.before[first] if apart >= 0 else 0
        axes.append(PaddedAxis(extent, size, step, before, apart >= 0))
        first = last
    return {"fill": op.fill(io), "type": io.out.dtype.c_type, "axes": axes}


def resize_tables(op: Resize2D, io: IO) -> Mapping[str, Array]:
    """Input rows and columns; for bilinear mode uint16[out, 3]: both indices and the weight of the second."""
    if op.mode == "nearest":
        return {"rows": narrow(op.indices(io, 0)), "columns": narrow(op.indices(io, 1))}
    tables = {}
    for axis, name in enumerate(("rows", "columns")):
        found = op.interpolation(io, axis)
        tables[name] = np.stack([found.low, found.high, found.weight], axis=1).astype(np.uint16)
    return tables


def image_bytes(op: Any, io: IO) -> bool:
    """Whether input and output are int8 images of batch 1."""
    return is_image(io.out) and is_image(io.x) and io.out.dtype is DType.INT8


COPY = {"stores": 1.5, "call": 30.0}
BYTEWISE = {"stores": 3.2, "call": 30.0}
STRIDED = "portable/strided_copy.c.j2"
PLACES = ("out_top", "out_left", "in0_top", "in0_left")
"""Where the windows begin, for kernels that look up which rows and columns an output takes."""

ROWS: tuple[Kernel, ...] = (
    Kernel(
        "strided", Transpose, STRIDED, numbers=transpose_numbers, work=transpose_work,
        cycles={"bytes": 3.2, "runs": 20, "run_bytes": 0.6, "call": 30},
    ),
    *(joined(count) for count in range(1, MOST_JOINED + 1)),
    Kernel(
        "pieces", Concat, "portable/concat.c.j2",
        pack=constants, numbers=concat_numbers, cycles=COPY,
    ),
    Kernel(
        "rows", Slice, "portable/slice_rows.c.j2",
        arguments=(*WHOLE_ROWS, "pad_top", "pad_left"), fits=image_bytes, cycles=COPY,
    ),
    Kernel("strided", Slice, STRIDED, numbers=slice_numbers, cycles=BYTEWISE),
    Kernel(
        "rows", Gather, "portable/gather_rows.c.j2",
        arguments=WHOLE_ROWS, fits=lambda op, io: op.axis == 3 and image_bytes(op, io),
        pack=gather_indices, cycles=BYTEWISE,
    ),
    Kernel("any_axis", Gather, "portable/gather.c.j2", pack=gather_indices, numbers=gather_numbers, cycles=COPY),
    Kernel(
        "rows", PadOp, "portable/pad.c.j2",
        arguments=RINGED,
        fits=image_bytes, numbers=pad_rows_numbers, cycles=COPY,
    ),
    Kernel("any_axis", PadOp, "portable/pad_any.c.j2", numbers=pad_any_numbers, cycles={"stores": 6, "call": 30}),
    Kernel(
        "factor", Resize2D, "portable/resize_factor.c.j2",
        arguments=(*WHOLE_ROWS, "pad_top", "pad_left"), cycles=COPY,
        fits=lambda op, io: op.mode == "nearest" and image_bytes(op, io) and op.factor(io) is not None,
    ),
    Kernel(
        "nearest", Resize2D, "portable/resize_nearest.c.j2",
        arguments=(*WHOLE_ROWS, *PLACES), cycles=COPY,
        fits=lambda op, io: op.mode == "nearest" and is_image(io.x), pack=resize_tables,
    ),
    Kernel(
        "bilinear", Resize2D, "portable/resize_bilinear.c.j2",
        arguments=(*WHOLE_ROWS, *RING, *PLACES), cycles={"macs": 3, "ops": 6, "call": 40},
        fits=lambda op, io: op.mode == "bilinear" and is_image(io.x), pack=resize_tables,
    ),
    Kernel(
        "rows", DepthToSpace, "portable/depth_to_space.c.j2",
        arguments=(*WHOLE_ROWS, "pad_top"), fits=image_bytes, cycles=BYTEWISE,
    ),
    Kernel("strided", DepthToSpace, STRIDED, numbers=blocks_numbers, cycles=BYTEWISE),
    Kernel(
        "rows", SpaceToDepth, "portable/space_to_depth.c.j2",
        arguments=(*WHOLE_ROWS, *RING), fits=image_bytes, cycles=COPY,
    ),
    Kernel("strided", SpaceToDepth, STRIDED, numbers=blocks_numbers, cycles=COPY),
)  # fmt: skip
