"""Importers of pooling, reductions, softmax and normalisation over images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.images import from_image, sliding, to_image
from tinycompile.frontends.onnx.movement import axes_of, normalized_axis
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ir import DType
from tinycompile.ops import ArgMax, AveragePool2D, LogSoftmax, MaxPool2D, Reduce, Softmax, Unary
from tinycompile.ops.unary import Step


@importer("MaxPool", rule="1-D and 2-D; any kernel, stride, dilation, padding, auto_pad and ceil_mode; no indices")
def _max_pool(b: Builder, node: Node) -> None:
    shape = b.shape(node.inputs[0])
    window = sliding(node, shape, node.integers("kernel_shape") or (), node.integer("ceil_mode") == 1)
    image = to_image(b, b.operand(node.inputs[0]), window.signal)
    y = b.add(
        MaxPool2D, (image,), node.output, kernel=window.kernel, stride=window.stride, pad=window.pad,
        dilation=window.dilation,
    )  # fmt: skip
    b.bind(node.output, from_image(b, y, len(shape), node.output, window.signal))


@importer("AveragePool", rule="1-D and 2-D; any kernel, stride, padding, auto_pad, ceil_mode and count_include_pad")
def _average_pool(b: Builder, node: Node) -> None:
    shape = b.shape(node.inputs[0])
    kernel = node.integers("kernel_shape") or ()
    window = sliding(node, shape, kernel, node.integer("ceil_mode") == 1)
    if window.dilation != (1, 1):
        raise Rejected(f"its dilations are {window.dilation}")
    exact = sliding(node, shape, kernel).pad
    uncounted = (window.pad.bottom - exact.bottom, window.pad.right - exact.right)
    image = to_image(b, b.operand(node.inputs[0]), window.signal)
    y = b.add(
        AveragePool2D, (image,), node.output, kernel=window.kernel, stride=window.stride, pad=window.pad,
        count_include_pad=node.integer("count_include_pad") == 1, uncounted=uncounted,
    )  # fmt: skip
    b.bind(node.output, from_image(b, y, len(shape), node.output, window.signal))


@importer("GlobalAveragePool", "GlobalMaxPool", rule="1-D and 2-D")
def _global_pool(b: Builder, node: Node) -> None:
    shape = b.shape(node.inputs[0])
    if len(shape) not in (3, 4):
        raise Rejected(f"its input {shape} is no signal and no image")
    image = to_image(b, b.operand(node.inputs[0]), signal=len(shape) == 4 and shape[2] == 1)
    kind = AveragePool2D if node.op_type == "GlobalAveragePool" else MaxPool2D
    y = b.add(kind, (image,), node.output, kernel=b.tensors[image].hw, stride=(1, 1))
    b.bind(node.output, from_image(b, y, len(shape), node.output))


@importer("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", rule="any constant axes, keepdims 0 or 1")
def _reduce(b: Builder, node: Node) -> None:
    b.bind(node.output, reduced(b, node, node.op_type.removeprefix("Reduce").lower(), b.operand(node.inputs[0])))


@importer(
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSumExp",
    rule="any constant axes, keepdims 0 or 1; as a table and a sum",
)
def _reduce_function(b: Builder, node: Node) -> None:
    before, after = {
        "ReduceL1": ([Step("abs")], []),
        "ReduceL2": ([Step("power", (2.0,))], [Step("sqrt")]),
        "ReduceSumSquare": ([Step("power", (2.0,))], []),
        "ReduceLogSumExp": ([Step("exp")], [Step("log")]),
    }[node.op_type]
    inner = b.add(Unary, (b.operand(node.inputs[0]),), f"{node.output}/terms", steps=tuple(before))
    y = reduced(b, node, "sum", inner)
    b.bind(node.output, b.add(Unary, (y,), node.output, steps=tuple(after)) if after else y)


def reduced(b: Builder, node: Node, kind: str, x: str) -> str:
    """``x`` reduced along the node's axes; means over an image's rows and columns are average pooling."""
    shape = b.tensors[x].shape
    axes = axes_of(b, node, len(shape))
    if not axes:
        if node.integer("noop_with_empty_axes") == 1:
            return x
        axes = tuple(range(len(shape)))
    kept = node.integer("keepdims", 1) == 1
    short = tuple(1 if i in axes else d for i, d in enumerate(shape))
    if not kept:
        short = tuple(d for i, d in enumerate(shape) if i not in axes) or (1,)
    if kind == "mean" and len(shape) == 4 and shape[0] == 1 and axes in ((2, 3), (1, 2)):
        image = to_image(b, x) if axes == (2, 3) else x
        pooled = b.add(AveragePool2D, (image,), f"{node.output}/pooled", kernel=b.tensors[image].hw, stride=(1, 1))
        y = from_image(b, pooled, 4, node.output) if axes == (2, 3) else pooled
        return b.reshape(y, short, node.output)
    y = b.add(Reduce, (x,), node.output, kind=kind, axes=axes, keepdims=True)
    return b.reshape(y, short, f"{node.output}/shape")


@importer("Softmax", "LogSoftmax", rule="any axis; before opset 13, over all axes from the given one")
def _softmax(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    rank = len(x.shape)
    axis = normalized_axis(node.integer("axis", -1 if b.model.opset >= 13 else 1), rank)
    kind = Softmax if node.op_type == "Softmax" else LogSoftmax
    if b.model.opset < 13 and any(d != 1 for d in x.shape[axis + 1 :]):
        flat = b.reshape(x.name, (*x.shape[:axis], int(np.prod(x.shape[axis:]))), f"{node.output}/flat")
        y = b.add(kind, (flat,), node.output)
        b.bind(node.output, b.reshape(y, x.shape, f"{node.output}/shape"))
        return
    y = b.add(kind, (b.transpose(x.name, last(axis, rank), f"{node.output}/last"),), node.output)
    b.bind(node.output, b.transpose(y, inverse(last(axis, rank)), f"{node.output}/back"))


def last(axis: int, rank: int) -> tuple[int, ...]:
    """The permutation that brings ``axis`` to the end."""
    return (*(i for i in range(rank) if i != axis), axis)


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes ``perm``."""
    return tuple(int(i) for i in np.argsort(perm))


@importer("ArgMax", rule="any axis, keepdims 0 or 1, the first of equal values; gives int32 labels")
def _arg_max(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    if node.integer("select_last_index"):
        raise Rejected("it selects the last of equal values")
    axis = normalized_axis(node.integer("axis", 0), len(x.shape))
    keep = node.integer("keepdims", 1) == 1
    y = b.add(ArgMax, (x.name,), node.output, DType.INT32, axis=axis, keepdims=True)
    shape = tuple(1 if i == axis else d for i, d in enumerate(x.shape))
    short = shape if keep else tuple(d for i, d in enumerate(x.shape) if i != axis) or (1,)
    b.bind(node.output, b.reshape(y, short, f"{node.output}/shape"))
