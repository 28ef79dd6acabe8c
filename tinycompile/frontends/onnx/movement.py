"""Importers of operators that move or select values."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

import numpy as np
from onnx import TensorProto, helper

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ir import Array, DType, Shape
from tinycompile.ops import Concat, DepthToSpace, Gather, PadOp, Slice, SpaceToDepth, Unary
from tinycompile.ops.unary import Step


def normalized_axis(axis: int, rank: int) -> int:
    """The axis counted from the front; Rejected where there is none."""
    if not -rank <= axis < rank:
        raise Rejected(f"its axis {axis} is outside a tensor of {rank} axes")
    return axis % rank


def axes_of(b: Builder, node: Node, rank: int, index: int = 1) -> tuple[int, ...] | None:
    """Axes from the attribute (older opsets) or the constant input ``index``; None where neither is given."""
    axes = node.integers("axes")
    if axes is None and node.input(index):
        axes = b.integers(node.input(index), "axes")
    return None if axes is None else tuple(sorted(normalized_axis(a, rank) for a in axes))


@importer("Identity", "Dropout", rule="at inference: no operation")
def _identity(b: Builder, node: Node) -> None:
    if node.op_type == "Dropout" and node.input(2) and bool(b.constant(node.input(2), "training_mode").any()):
        raise Rejected("it is in training mode")
    b.bind(node.output, b.operand(node.inputs[0]))


@importer("Cast", rule="to float32, float64, float16 (all float32 here) or bool; labels to any integer type")
def _cast(b: Builder, node: Node) -> None:
    _checked_cast(b, node, node.integer("to", 1))


@importer("CastLike", rule="as Cast, to the type of a constant or of a float tensor")
def _cast_like(b: Builder, node: Node) -> None:
    like = node.inputs[1]
    dtype = b.constant(like).dtype if b.is_known(like) else np.dtype(b.tensor(like).dtype.value)
    _checked_cast(b, node, int(helper.np_dtype_to_tensor_dtype(dtype)))


def _checked_cast(b: Builder, node: Node, to: int) -> None:
    """Bind the node's output to its input, if the cast keeps its values."""
    x = b.tensor(node.inputs[0])
    kinds = INTEGER_TYPES if x.dtype is DType.INT32 else FLOAT_TYPES
    if to == TensorProto.BOOL and x.dtype is DType.FLOAT32:
        truth = (Step("not_equal", (0.0,)),)
        b.bind(node.output, b.add(Unary, (x.name,), node.output, steps=truth))
        return
    if to not in kinds:
        raise Rejected(f"casts {x.dtype.value} to {TensorProto.DataType.Name(to) if to in KNOWN_TYPES else to}")
    b.bind(node.output, x.name)


FLOAT_TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
INTEGER_TYPES = (TensorProto.INT32, TensorProto.INT64, TensorProto.UINT32, TensorProto.UINT64)
KNOWN_TYPES = TensorProto.DataType.values()


@importer("Constant", rule="any dense constant")
def _constant(b: Builder, node: Node) -> None:
    for name, kind in (("value", None), ("value_float", np.float32), ("value_int", np.int64),
                       ("value_floats", np.float32), ("value_ints", np.int64)):  # fmt: skip
        value = node.attributes.get(name)
        if value is not None:
            b.known[node.output] = np.asarray(value, kind)
            return
    raise Rejected("it holds neither a dense tensor nor a number")


@importer("Shape", "Size", rule="folded: shapes are static")
def _shape(b: Builder, node: Node) -> None:
    shape = b.shape(node.inputs[0])
    if node.op_type == "Size":
        b.known[node.output] = np.array(prod(shape), np.int64)
        return
    start, end = node.integer("start", 0), node.integer("end", len(shape))
    b.known[node.output] = np.array(shape[start:end], np.int64)


@importer(
    "ConstantOfShape", "Range", "NonZero", "OneHot", rule="only where its operands are constant, so that it folds"
)  # fmt: skip
def _folds_only(b: Builder, node: Node) -> None:
    raise Rejected("its operands depend on the graph's input")


@importer("Reshape", rule="a constant or folded shape")
def _reshape(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    wanted = list(b.integers(node.inputs[1], "shape"))
    keep_zero = node.integer("allowzero", 0) == 1
    wanted = [x.shape[i] if d == 0 and not keep_zero else d for i, d in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = prod(d for d in wanted if d != -1)
        if rest < 1 or x.size % rest:
            raise Rejected(f"cannot make {x.shape} into {tuple(wanted)}")
        wanted[wanted.index(-1)] = x.size // rest
    _reshaped(b, node, tuple(wanted))


def _reshaped(b: Builder, node: Node, shape: Shape) -> None:
    x = b.tensor(node.inputs[0])
    if any(d < 1 for d in shape) or prod(shape) != x.size:
        raise Rejected(f"cannot make {x.shape} into {shape}; is a batch size written into the model?")
    b.bind(node.output, b.reshape(x.name, shape, node.output))


@importer("Flatten", rule="any axis")
def _flatten(b: Builder, node: Node) -> None:
    shape = b.shape(node.inputs[0])
    axis = node.integer("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    _reshaped(b, node, (prod(shape[:axis]), prod(shape[axis:])))


@importer("Squeeze", rule="any axes, as an attribute or a constant input")
def _squeeze(b: Builder, node: Node) -> None:
    shape = b.shape(node.inputs[0])
    axes = axes_of(b, node, len(shape))
    if axes is None:
        axes = tuple(i for i, d in enumerate(shape) if d == 1)
    if any(shape[a] != 1 for a in axes):
        raise Rejected(f"squeezes axes {axes} of {shape}, which are not all 1")
    _reshaped(b, node, tuple(d for i, d in enumerate(shape) if i not in axes))


@importer("Unsqueeze", rule="any axes, as an attribute or a constant input")
def _unsqueeze(b: Builder, node: Node) -> None:
    shape = list(b.shape(node.inputs[0]))
    raw = node.integers("axes") or (b.integers(node.input(1), "axes") if node.input(1) else ())
    axes = axes_of(b, node, len(shape) + len(raw))
    for axis in axes or ():
        shape.insert(axis, 1)
    _reshaped(b, node, tuple(shape))


@importer("Transpose", rule="any permutation")
def _transpose(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    perm = node.integers("perm", tuple(reversed(range(len(x.shape))))) or ()
    if sorted(perm) != list(range(len(x.shape))):
        raise Rejected(f"its perm {perm} is no permutation of {len(x.shape)} axes")
    b.bind(node.output, b.transpose(x.name, perm, node.output))


@importer("Concat", rule="any axis")
def _concat(b: Builder, node: Node) -> None:
    axis = normalized_axis(node.integer("axis", 1), len(b.shape(node.inputs[0])))
    names = [b.operand(name) for name in node.inputs]
    result = names[0] if len(names) == 1 else b.add(Concat, names, node.output, axis=axis)
    b.bind(node.output, result)


@importer("Split", rule="any axis; constant sizes; becomes slices")
def _split(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    axis = normalized_axis(node.integer("axis", 0), len(x.shape))
    sizes = node.integers("split") or (b.integers(node.input(1), "sizes") if node.input(1) else None)
    extent, count = x.shape[axis], len(node.outputs)
    if sizes is None:
        each = -(-extent // count)
        sizes = tuple(min(each, extent - each * i) for i in range(count))
    if len(sizes) != count or sum(sizes) != extent or min(sizes) < 1:
        raise Rejected(f"cannot split {extent} elements into {sizes}")
    start = 0
    for name, size in zip(node.outputs, sizes, strict=True):
        if name:
            b.bind(name, sliced(b, x.name, {axis: (start, start + size, 1)}, name))
        start += size


def sliced(b: Builder, x: str, ranges: dict[int, tuple[int, int, int]], output: str) -> str:
    """``x`` restricted to (start, stop, step) along some axes; itself where that is everything."""
    shape = b.tensors[x].shape
    full = [ranges.get(i, (0, d, 1)) for i, d in enumerate(shape)]
    if all(r == (0, d, 1) for r, d in zip(full, shape, strict=True)):
        return x
    starts, stops, steps = zip(*full, strict=True)
    return b.add(Slice, (x,), output, starts=starts, stops=stops, steps=steps)


@importer("Slice", rule="constant starts, ends, axes and steps, also negative ones")
def _slice(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    rank = len(x.shape)
    if node.input(1):
        given = [b.integers(node.input(i), "bounds") if node.input(i) else None for i in range(1, 5)]
    else:
        given = [node.integers(name) for name in ("starts", "ends", "axes")] + [None]
    starts, ends = given[0] or (), given[1] or ()
    axes = given[2] if given[2] is not None else tuple(range(len(starts)))
    steps = given[3] if given[3] is not None else (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Rejected("its starts, ends, axes and steps differ in length")
    ranges: dict[int, tuple[int, int, int]] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = normalized_axis(axis, rank)
        ranges[axis] = slice(start, end, step).indices(x.shape[axis])
    b.bind(node.output, sliced(b, x.name, ranges, node.output))


@importer("Gather", rule="constant indices, any axis; data may be constant only where the indices are too")
def _gather(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    axis = normalized_axis(node.integer("axis", 0), len(x.shape))
    b.bind(node.output, gathered(b, x.name, b.constant(node.inputs[1], "list of indices"), axis, node.output))


@importer("GatherND", rule="constant indices into the first axis")
def _gather_nd(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    indices = b.constant(node.inputs[1], "list of indices")
    if node.integer("batch_dims") or indices.ndim < 1 or indices.shape[-1] != 1:
        raise Rejected("it picks along more than the first axis")
    b.bind(node.output, gathered(b, x.name, indices[..., 0], 0, node.output))


def gathered(b: Builder, name: str, indices: Array, axis: int, output: str) -> str:
    """The elements at constant indices along an axis, which becomes the axes of ``indices``."""
    x = b.tensors[name]
    extent = x.shape[axis]
    if indices.size == 0 or indices.min() < -extent or indices.max() >= extent:
        raise Rejected(f"its indices leave the {extent} elements of axis {axis}")
    flat = tuple(int(i) % extent for i in indices.ravel())
    if flat == tuple(range(flat[0], flat[0] + len(flat))):
        value = sliced(b, x.name, {axis: (flat[0], flat[-1] + 1, 1)}, output)
    else:
        value = b.add(Gather, (x.name,), output, indices=flat, axis=axis)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return b.reshape(value, shape, f"{output}/shape")


@importer("Pad", rule="constant pads, also negative ones; modes constant (one value), reflect and edge")
def _pad(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    rank = len(x.shape)
    pads = list(node.integers("pads") or (b.integers(node.input(1), "pads") if node.input(1) else ()))
    if node.input(3):
        axes = [normalized_axis(a, rank) for a in b.integers(node.input(3), "axes")]
        full = [0] * (2 * rank)
        for i, axis in enumerate(axes):
            full[axis], full[axis + rank] = pads[i], pads[i + len(axes)]
        pads = full
    if len(pads) != 2 * rank:
        raise Rejected(f"has {len(pads)} pads for {rank} axes")
    value = float(b.constant(node.input(2)).reshape(-1)[0]) if node.input(2) else node.real("value", 0.0)
    mode = node.text("mode", "constant")
    if mode not in ("constant", "reflect", "edge"):
        raise Rejected(f"its mode is {mode!r}")
    crop = {i: (max(0, -pads[i]), d - max(0, -pads[i + rank]), 1) for i, d in enumerate(x.shape)}
    if any(stop <= start for start, stop, _ in crop.values()):
        raise Rejected("crops everything away")
    inner = sliced(b, x.name, crop, f"{node.output}/cropped")
    pairs = tuple((max(0, pads[i]), max(0, pads[i + rank])) for i in range(rank))
    b.bind(node.output, padded(b, inner, pairs, node.output, mode, value))


def padded(
    b: Builder, x: str, pairs: Sequence[tuple[int, int]], output: str,
    mode: Literal["constant", "reflect", "edge"] | str = "constant", value: float = 0.0,
) -> str:  # fmt: skip
    """``x`` with (before, after) elements added along every axis; itself where there are none."""
    if not any(before or after for before, after in pairs):
        return x
    return b.add(
        PadOp, (x,), output, before=tuple(p[0] for p in pairs), after=tuple(p[1] for p in pairs), mode=mode, value=value
    )


@importer("DepthToSpace", "SpaceToDepth", rule="images, any block size; DepthToSpace in modes DCR and CRD")
def _depth(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    if len(x.shape) != 4:
        raise Rejected(f"its input has {len(x.shape)} axes instead of 4")
    last = b.transpose(x.name, (0, 2, 3, 1), f"{x.name}/nhwc")
    block = node.integer("blocksize", 0)
    if node.op_type == "DepthToSpace":
        y = b.add(DepthToSpace, (last,), node.output, block=block, mode=node.text("mode", "DCR"))
    else:
        if node.text("mode", "DCR") != "DCR":
            raise Rejected(f"its mode is {node.text('mode')}")
        y = b.add(SpaceToDepth, (last,), node.output, block=block)
    b.bind(node.output, b.transpose(y, (0, 3, 1, 2), f"{node.output}/nchw"))
