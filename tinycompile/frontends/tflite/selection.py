"""Operators that take a part of a tensor."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from tinycompile.frontends.tflite.builder import Builder
from tinycompile.frontends.tflite.movement import normalized_axis
from tinycompile.frontends.tflite.node import Node, Rejected
from tinycompile.frontends.tflite.registry import importer
from tinycompile.frontends.tflite.strides import strided_slice
from tinycompile.ir import Shape, Tensor
from tinycompile.ops.gather import Gather
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice


def _take(b: Builder, x: Tensor, ranges: list[range], output: int, shape: Shape | None = None) -> None:
    """Emit the op that takes ``ranges`` of ``x``, then changes the shape where one is given."""
    attributes = {
        "starts": tuple(r.start for r in ranges),
        "stops": tuple(r.stop for r in ranges),
        "steps": tuple(r.step for r in ranges),
    }
    sliced = tuple(len(r) for r in ranges)
    if shape is None or shape == sliced:
        b.emit(Slice, (x.name,), output, **attributes)
        return
    name = b.step(Slice, (x.name,), f"{b.file.tensors[output].name}/sliced", x, **attributes)
    b.emit(Reshape, (name,), output, shape=shape)


def _part(x: Tensor, axis: int, start: int, stop: int) -> list[range]:
    return [range(start, stop) if i == axis else range(d) for i, d in enumerate(x.shape)]


@importer("SPLIT", rule="constant axis, equal parts")
def _split(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(1))
    axes = b.integers(node.input(0), "axis")
    axis = normalized_axis(axes[0] if axes else 0, len(x.shape))
    size, rest = divmod(x.shape[axis], len(node.outputs))
    if rest or not size:
        raise Rejected(f"cannot split {x.shape[axis]} elements into {len(node.outputs)} equal parts")
    _parts(b, node, x, axis, (size,) * len(node.outputs))


@importer("SPLIT_V", rule="constant axis and sizes")
def _split_v(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    sizes, axes = list(b.integers(node.input(1), "list of sizes")), b.integers(node.input(2), "axis")
    axis = normalized_axis(axes[0] if axes else 0, len(x.shape))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    if len(sizes) != len(node.outputs) or sum(sizes) != x.shape[axis] or min(sizes) < 1:
        raise Rejected(f"cannot split {x.shape[axis]} elements into {sizes}")
    _parts(b, node, x, axis, tuple(sizes))


def _parts(b: Builder, node: Node, x: Tensor, axis: int, sizes: tuple[int, ...]) -> None:
    for output, size, stop in zip(node.outputs, sizes, accumulate(sizes), strict=True):
        _take(b, x, _part(x, axis, stop - size, stop), output)


@importer("UNPACK", rule="any axis")
def _unpack(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    axis = normalized_axis(node.integer("Axis"), len(x.shape))
    if len(node.outputs) != x.shape[axis]:
        raise Rejected(f"makes {len(node.outputs)} tensors of {x.shape[axis]} elements")
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    for i, output in enumerate(node.outputs):
        _take(b, x, _part(x, axis, i, i + 1), output, shape)


@importer("SLICE", rule="constant begin and size")
def _slice(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    begin, size = b.integers(node.input(1), "begin"), b.integers(node.input(2), "size")
    if not len(begin) == len(size) == len(x.shape):
        raise Rejected(f"has {len(begin)} begins and {len(size)} sizes for {len(x.shape)} axes")
    stops = [d if s == -1 else s + start for d, s, start in zip(x.shape, size, begin, strict=True)]
    if any(not 0 <= start < stop <= d for start, stop, d in zip(begin, stops, x.shape, strict=True)):
        raise Rejected(f"takes {begin} .. {stops} of {x.shape}")
    _take(b, x, [range(start, stop) for start, stop in zip(begin, stops, strict=True)], node.outputs[0])


@importer("STRIDED_SLICE", rule="constant bounds and strides, all masks")
def _strided_slice(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    if node.integer("Offset"):
        raise Rejected("has ends that are offsets")
    begin, end, stride = (b.integers(node.input(i), "bounds") for i in (1, 2, 3))
    ranges, shape = strided_slice(node, x.shape, begin, end, stride)
    _take(b, x, ranges, node.outputs[0], shape)


@importer("GATHER", rule="constant indices, any axis, no batch dimensions")
def _gather(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    axis = normalized_axis(node.integer("Axis"), len(x.shape))
    indices = np.asarray(b.constant(node.input(1), "list of indices"))
    if node.integer("BatchDims"):
        raise Rejected("has batch dimensions")
    if indices.dtype.kind != "i" or not indices.size or indices.min() < 0 or indices.max() >= x.shape[axis]:
        raise Rejected(f"its indices are not within the {x.shape[axis]} elements of axis {axis}")
    chosen = tuple(int(i) for i in indices.ravel())
    if indices.ndim == 1:
        b.emit(Gather, (x.name,), node.outputs[0], indices=chosen, axis=axis)
        return
    name = b.step(Gather, (x.name,), f"{node.name}/gathered", x, indices=chosen, axis=axis)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    b.emit(Reshape, (name,), node.outputs[0], shape=shape)
