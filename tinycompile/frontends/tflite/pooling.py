"""Operators that reduce a window or whole axes."""

from __future__ import annotations

from tinycompile.frontends.tflite.builder import Builder
from tinycompile.frontends.tflite.linear import ACTIVATIONS, fused_clip, padding, pair
from tinycompile.frontends.tflite.movement import normalized_axis
from tinycompile.frontends.tflite.node import Node, Rejected
from tinycompile.frontends.tflite.registry import importer
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.average_pool_2d import AveragePool2D
from tinycompile.ops.max_pool_2d import MaxPool2D
from tinycompile.ops.unary import Step, Unary


@importer("AVERAGE_POOL_2D", "MAX_POOL_2D", rule="int8, any window, stride and padding, fused Relu")
def _pool(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    kernel, stride = pair(node, "FilterHeight", "FilterWidth"), pair(node, "StrideH", "StrideW")
    pad = padding(node, x.hw, kernel, stride)
    clip, output = fused_clip(node), node.outputs[0]
    if node.op == "AVERAGE_POOL_2D":
        b.emit(AveragePool2D, (x.name,), output, kernel=kernel, stride=stride, pad=pad, clip=clip)
    elif clip == ACTIVATIONS[0][1]:
        b.emit(MaxPool2D, (x.name,), output, kernel=kernel, stride=stride, pad=pad)
    else:
        inner = b.step(MaxPool2D, (x.name,), f"{node.name}/pool", x, kernel=kernel, stride=stride, pad=pad)
        b.emit(Unary, (inner,), output, steps=(Step("clip", clip),))


@importer("ARG_MAX", rule="int8 to int32 or int64 (compiled as int32), constant axis")
def _arg_max(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    axes = b.integers(node.input(1), "axis")
    if len(axes) != 1:
        raise Rejected(f"has {len(axes)} axes")
    b.emit(ArgMax, (x.name,), node.outputs[0], axis=normalized_axis(axes[0], len(x.shape)), keepdims=False)
