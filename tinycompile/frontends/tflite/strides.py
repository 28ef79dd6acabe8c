"""STRIDED_SLICE spelled out: its masks to plain ranges."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.frontends.tflite.node import Node, Rejected
from tinycompile.ir import Shape


def strided_slice(
    node: Node, shape: Shape, begin: Sequence[int], end: Sequence[int], stride: Sequence[int]
) -> tuple[list[range], Shape]:
    """The indices taken along each input axis, and the output's shape (axes dropped and added by the masks).

    Rejected where a stride is 0, a range is empty, or the masks name more axes than there are.
    """
    masks = {k: node.integer(f"{k}Mask") for k in ("Begin", "End", "Ellipsis", "NewAxis", "ShrinkAxis")}
    if not len(begin) == len(end) == len(stride):
        raise Rejected("its begin, end and strides differ in length")
    if masks["Ellipsis"] & (masks["Ellipsis"] - 1):
        raise Rejected("has two ellipses")
    given = sum(not masks["NewAxis"] >> i & 1 and not masks["Ellipsis"] >> i & 1 for i in range(len(begin)))
    ranges: list[range] = []
    out: list[int] = []
    for i in range(len(begin)):
        if masks["Ellipsis"] >> i & 1:
            for _ in range(len(shape) - given):
                out.append(shape[len(ranges)])
                ranges.append(range(shape[len(ranges)]))
        elif masks["NewAxis"] >> i & 1:
            out.append(1)
        else:
            if len(ranges) >= len(shape):
                raise Rejected(f"slices more than the {len(shape)} axes there are")
            taken = _taken(i, masks, shape[len(ranges)], int(begin[i]), int(end[i]), int(stride[i]))
            ranges.append(taken)
            if not masks["ShrinkAxis"] >> i & 1:
                out.append(len(taken))
    rest = shape[len(ranges) :]
    return ranges + [range(d) for d in rest], (*out, *rest)


def _taken(i: int, masks: dict[str, int], extent: int, begin: int, end: int, stride: int) -> range:
    if stride == 0:
        raise Rejected("has a stride of 0")
    if masks["ShrinkAxis"] >> i & 1:
        first = begin + extent if begin < 0 else begin
        if not 0 <= first < extent:
            raise Rejected(f"takes element {begin} of {extent}")
        return range(first, first + 1)
    start = None if masks["Begin"] >> i & 1 else begin
    stop = None if masks["End"] >> i & 1 else end
    taken = range(*slice(start, stop, stride).indices(extent))
    if not taken:
        raise Rejected(f"takes nothing from axis {i}")
    return taken
