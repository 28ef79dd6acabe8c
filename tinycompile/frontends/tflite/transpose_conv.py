"""TRANSPOSE_CONV."""

from __future__ import annotations

from tinycompile.frontends.tflite.builder import Builder
from tinycompile.frontends.tflite.linear import SAME, VALID, bias, fused_clip, image, pair, weights
from tinycompile.frontends.tflite.node import Node, Rejected
from tinycompile.frontends.tflite.registry import importer
from tinycompile.ir import Pad, Pair
from tinycompile.ops.conv_transpose_2d import ConvTranspose2D


@importer("TRANSPOSE_CONV", rule="int8 or uint8, constant weights and output shape, any stride and padding")
def _transpose_conv(b: Builder, node: Node) -> None:
    x = image(b, node.input(2))
    w = b.tensors[weights(b, node.input(1), 0, (0, 1, 2, 3))]
    shape = b.integers(node.input(0), "output shape")
    if len(shape) != 4 or w.shape[3] != x.channels:
        raise Rejected(f"its weights {w.shape} and output shape {shape} do not fit the input {x.shape}")
    kernel: Pair = w.shape[1], w.shape[2]
    stride = pair(node, "StrideH", "StrideW")
    full = [(x.hw[i] - 1) * stride[i] + kernel[i] for i in (0, 1)]
    crop = [max(full[i] - shape[1 + i], 0) for i in (0, 1)]
    extra = [max(shape[1 + i] - full[i], 0) for i in (0, 1)]
    if node.integer("Padding") not in (SAME, VALID) or extra[0] >= stride[0] or extra[1] >= stride[1]:
        raise Rejected(f"its output shape {shape} does not fit the input {x.shape}")
    before = [crop[i] // 2 for i in (0, 1)]
    pad = Pad(before[0], before[1], crop[0] - before[0], crop[1] - before[1])
    b.emit(
        ConvTranspose2D, (x.name, w.name, *bias(b, node.input(3), x, w)), node.outputs[0],
        kernel=kernel, stride=stride, pad=pad, output_pad=(extra[0], extra[1]), clip=fused_clip(node),
    )  # fmt: skip
