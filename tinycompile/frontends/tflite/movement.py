"""Operators that change the shape or the order of a tensor, or add to it."""

from __future__ import annotations

from math import prod

from tinycompile.frontends.tflite.batches import reshape_spread
from tinycompile.frontends.tflite.builder import Builder
from tinycompile.frontends.tflite.linear import MAX_EXTENT
from tinycompile.frontends.tflite.node import Node, Rejected
from tinycompile.frontends.tflite.registry import importer
from tinycompile.ir import Shape, Tensor
from tinycompile.ops.concat import Concat
from tinycompile.ops.depth_to_space import DepthToSpace
from tinycompile.ops.gather import Gather
from tinycompile.ops.pad import PadOp
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_2d import Resize2D
from tinycompile.ops.space_to_depth import SpaceToDepth
from tinycompile.ops.transpose import Transpose
from tinycompile.ops.unary import Unary


def normalized_axis(axis: int, rank: int) -> int:
    """A non-negative axis; Rejected where there is no such axis."""
    if not -rank <= axis < rank:
        raise Rejected(f"has axis {axis} of a tensor with {rank} axes")
    return axis % rank


@importer("RESHAPE", "SQUEEZE", "EXPAND_DIMS", rule="to a constant shape, or the one that the file declares")
def _reshape(b: Builder, node: Node) -> None:
    if node.input(0) in b.spread:
        reshape_spread(b, node)
        return
    x = b.tensor(node.input(0))
    b.emit(Reshape, (x.name,), node.outputs[0], shape=_target(b, node, x))


def _target(b: Builder, node: Node, x: Tensor) -> Shape:
    """The declared shape, where the file leaves no axis of it open; else what the operands say."""
    declared = b.file.tensors[node.outputs[0]]
    if not declared.dynamic or not b.is_constant(node.input(1)):
        return declared.shape
    if node.op == "EXPAND_DIMS":
        (at,) = b.integers(node.input(1), "axis")
        at = normalized_axis(at, len(x.shape) + 1)
        return (*x.shape[:at], 1, *x.shape[at:])
    wanted = list(b.integers(node.input(1), "shape"))
    if wanted.count(-1) == 1:
        wanted[wanted.index(-1)] = x.size // max(prod(d for d in wanted if d != -1), 1)
    return tuple(wanted)


@importer("TILE", rule="constant repeats")
def _tile(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    repeats = b.integers(node.input(1), "list of repeats")
    if len(repeats) != len(x.shape) or not all(1 <= r <= MAX_EXTENT for r in repeats):
        raise Rejected(f"has the repeats {repeats} for the shape {x.shape}")
    name = x.name
    for axis in reversed(range(len(repeats))):
        if repeats[axis] > 1:
            extent = b.tensors[name].shape[axis]
            if extent * repeats[axis] > MAX_EXTENT:
                raise Rejected(f"makes {extent * repeats[axis]} elements on axis {axis}")
            indices = tuple(range(extent)) * repeats[axis]
            name = b.step(Gather, (name,), f"{x.name}/tiled", x, indices=indices, axis=axis)
    b.emit(Reshape, (name,), node.outputs[0], shape=b.tensors[name].shape)


@importer("TRANSPOSE", rule="constant permutation")
def _transpose(b: Builder, node: Node) -> None:
    b.emit(Transpose, (b.operand(node.input(0)),), node.outputs[0], perm=b.integers(node.input(1), "permutation"))


@importer("CONCATENATION", rule="int8 tensors and constants; those of another scale are requantised first")
def _concatenation(b: Builder, node: Node) -> None:
    target = b.file.tensors[node.outputs[0]]
    axis = normalized_axis(node.integer("Axis"), len(target.shape))
    if node.integer("FusedActivationFunction"):
        raise Rejected("has a fused activation")
    names = [_matched(b, b.operand(i), node.outputs[0]) for i in node.inputs]
    b.emit(Concat, names, node.outputs[0], axis=axis)


def _matched(b: Builder, name: str, output: int) -> str:
    """The tensor, requantised to the scale of tensor ``output`` where it differs."""
    if not b.quantized:
        return name
    quant = b.quant(b.file.tensors[output])
    tensor = b.tensors[name]
    if tensor.quant == quant:
        return name
    return b.step(Unary, (name,), f"{name}/requantized", tensor.like(quant=quant))


@importer("PACK", rule="int8 tensors of one scale")
def _pack(b: Builder, node: Node) -> None:
    shape = b.file.tensors[node.outputs[0]].shape
    axis = normalized_axis(node.integer("Axis"), len(shape))
    names = []
    for index in node.inputs:
        name = _matched(b, b.operand(index), node.outputs[0])
        old = b.tensors[name].shape
        names.append(b.reshape(name, (*old[:axis], 1, *old[axis:]), f"{name}/expanded"))
    b.emit(Concat, names, node.outputs[0], axis=axis)


@importer("PAD", "PADV2", rule="constant paddings, filled with zero or a constant")
def _pad(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    before, after = _paddings(b, node, len(x.shape))
    value = 0.0
    if node.op == "PADV2":
        fill = b.tensor(node.input(2))
        if fill.size != 1:
            raise Rejected(f"is filled with {fill.size} values")
        value = float(fill.real.reshape(-1)[0])
    b.emit(PadOp, (x.name,), node.outputs[0], before=before, after=after, value=value)


@importer("MIRROR_PAD", rule="constant paddings, REFLECT; SYMMETRIC by one element at most")
def _mirror_pad(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    before, after = _paddings(b, node, len(x.shape))
    symmetric = node.integer("Mode") == 1
    if symmetric and max(*before, *after) > 1:
        raise Rejected("mirrors more than one element symmetrically")
    b.emit(PadOp, (x.name,), node.outputs[0], before=before, after=after, mode="edge" if symmetric else "reflect")


def _paddings(b: Builder, node: Node, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    pads = b.integers(node.input(1), "list of paddings")
    if len(pads) != 2 * rank or min(pads, default=0) < 0:
        raise Rejected(f"has the paddings {pads} for {rank} axes")
    return pads[::2], pads[1::2]


@importer("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR", rule="constant size; align_corners and half_pixel_centers")
def _resize(b: Builder, node: Node) -> None:
    size = b.integers(node.input(1), "size")
    if len(size) != 2 or not all(1 <= s <= MAX_EXTENT for s in size):
        raise Rejected(f"has the size {size}")
    align, half = bool(node.integer("AlignCorners")), bool(node.integer("HalfPixelCenters"))
    if align and half:
        raise Rejected("has both align_corners and half_pixel_centers")
    nearest = node.op == "RESIZE_NEAREST_NEIGHBOR"
    centre = "tf_half_pixel_for_nn" if nearest else "half_pixel"
    b.emit(
        Resize2D, (b.operand(node.input(0)),), node.outputs[0], size=(size[0], size[1]),
        mode="nearest" if nearest else "bilinear",
        coordinates="align_corners" if align else centre if half else "asymmetric",
        nearest="round_prefer_ceil" if align else "floor",
    )  # fmt: skip


@importer("DEPTH_TO_SPACE", "SPACE_TO_DEPTH", rule="images, any block size")
def _depth(b: Builder, node: Node) -> None:
    block = node.integer("BlockSize")
    if not 1 <= block <= MAX_EXTENT:
        raise Rejected(f"has the block size {block}")
    kind = DepthToSpace if node.op == "DEPTH_TO_SPACE" else SpaceToDepth
    b.emit(kind, (b.operand(node.input(0)),), node.outputs[0], block=block)
