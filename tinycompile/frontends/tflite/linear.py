"""Operators with weights: convolutions and fully connected layers."""

from __future__ import annotations

import math

import numpy as np

from tinycompile.frontends.tflite.builder import UINT8_SHIFT, Builder, as_int8, checked_scales, finite
from tinycompile.frontends.tflite.node import Node, Rejected
from tinycompile.frontends.tflite.registry import importer
from tinycompile.ir import Pad, Pair, Quant, Tensor
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense
from tinycompile.ops.mat_mul import MatMul
from tinycompile.ops.transpose import Transpose

Clip = tuple[float, float]

ACTIVATIONS: dict[int, tuple[str, Clip]] = {
    0: ("NONE", (-math.inf, math.inf)),
    1: ("RELU", (0.0, math.inf)),
    2: ("RELU_N1_TO_1", (-1.0, 1.0)),
    3: ("RELU6", (0.0, 6.0)),
}
"""Fused activations by number (ActivationFunctionType in schema.fbs), as bounds on real values."""
SAME, VALID = 0, 1
MAX_EXTENT = 1 << 16
"""Of a stride or dilation; more is a corrupt file."""


def fused_clip(node: Node) -> Clip:
    """The bounds of the fused activation; Rejected for TANH and SIGN_BIT."""
    kind = node.integer("FusedActivationFunction")
    if kind not in ACTIVATIONS:
        raise Rejected(f"has the fused activation {kind}")
    return ACTIVATIONS[kind][1]


def pair(node: Node, height: str, width: str, default: int = 0) -> Pair:
    """Two positive options."""
    h, w = node.integer(height, default), node.integer(width, default)
    if not (1 <= h <= MAX_EXTENT and 1 <= w <= MAX_EXTENT):
        raise Rejected(f"has {height} {h} and {width} {w}")
    return h, w


def padding(node: Node, hw: Pair, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Pad:
    """SAME or VALID in rows and columns (kernels/padding.h): an odd element goes to the bottom or right."""
    kind = node.integer("Padding")
    if kind == VALID:
        return Pad()
    if kind != SAME:
        raise Rejected(f"has the padding {kind}")
    (top, bottom), (left, right) = (_same(hw[i], (kernel[i] - 1) * dilation[i] + 1, stride[i]) for i in (0, 1))
    return Pad(top, left, bottom, right)


def _same(size: int, extent: int, stride: int) -> Pair:
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def weights(b: Builder, index: int, channels: int, order: tuple[int, ...]) -> str:
    """Constant weights with axes brought into ``order``, which puts output channels (axis ``channels``) first.

    The axis of per-channel scales is the one of output channels, whatever the file says: older converters wrote
    another one.
    """
    tensor = b.file.tensors[index]
    values = b.constant(index, "weight tensor")
    if values.ndim != len(order):
        raise Rejected(f"its weights {tensor.name!r} have {values.ndim} axes instead of {len(order)}")
    values = np.ascontiguousarray(values.transpose(order))
    if tensor.type in ("float32", "float16") and not b.quantized:
        return b.put(b.fresh(f"{tensor.name}/weights"), finite(values.astype(np.float32), tensor))
    if tensor.type not in ("int8", "uint8"):
        raise Rejected(f"its weights {tensor.name!r} are {tensor.type}; only int8 and uint8 are computed with")
    return b.put(b.fresh(f"{tensor.name}/weights"), as_int8(values), _weight_quant(b, index, values.shape[0]))


def _weight_quant(b: Builder, index: int, channels: int) -> Quant:
    tensor = b.file.tensors[index]
    scales = checked_scales(tensor)
    zeros = set(tensor.scales.zero_point) if tensor.scales else {0}
    if len(zeros) != 1 or (len(scales) > 1 and zeros != {0}):
        raise Rejected(f"its weights {tensor.name!r} have several zero points")
    zero = zeros.pop() - (UINT8_SHIFT if tensor.type == "uint8" else 0)
    if not -128 <= zero <= 127:
        raise Rejected(f"its weights {tensor.name!r} have the zero point {zero}")
    if len(scales) == 1:
        return Quant(scales, zero)
    if len(scales) != channels:
        raise Rejected(f"its weights {tensor.name!r} have {len(scales)} scales for {channels} output channels")
    return Quant(scales, 0, 0)


def bias(b: Builder, index: int, x: Tensor, weight: Tensor) -> tuple[str, ...]:
    """The bias as one more input: int32 in units of input scale times weight scale; () where there is none."""
    if index < 0:
        return ()
    tensor, values = b.file.tensors[index], b.constant(index, "bias")
    if values.shape != weight.shape[:1]:
        raise Rejected(f"its bias {tensor.name!r} of shape {values.shape} does not fit {weight.shape[0]} channels")
    name = b.fresh(f"{tensor.name}/bias")
    if not b.quantized:
        if tensor.type not in ("float32", "float16"):
            raise Rejected(f"its bias {tensor.name!r} is {tensor.type}")
        return (b.put(name, finite(values.astype(np.float32), tensor)),)
    if tensor.type != "int32":
        raise Rejected(f"its bias {tensor.name!r} is {tensor.type}; only int32 is computed with")
    scales = tuple(float(x.q.scalar * s) for s in weight.q.scale)
    return (b.put(name, values, Quant(scales, 0, 0 if len(scales) > 1 else None)),)


def image(b: Builder, index: int) -> Tensor:
    """An input of four axes; Rejected where it has others."""
    x = b.tensor(index)
    if len(x.shape) != 4:
        raise Rejected(f"its input has the shape {x.shape} instead of four axes")
    return x


@importer("CONV_2D", rule="int8 or uint8, constant weights, groups, any stride, dilation, padding and fused Relu")
def _conv_2d(b: Builder, node: Node) -> None:
    _convolution(b, node, (0, 1, 2, 3), depthwise=False)


@importer(
    "DEPTHWISE_CONV_2D",
    rule="int8 or uint8, constant weights, any depth multiplier, stride, dilation, padding",
)
def _depthwise(b: Builder, node: Node) -> None:
    _convolution(b, node, (3, 1, 2, 0), depthwise=True)


def _convolution(b: Builder, node: Node, order: tuple[int, ...], depthwise: bool) -> None:
    spread = b.spread.get(node.input(0))
    x = b.tensors[spread.name] if spread else image(b, node.input(0))
    w = b.tensors[weights(b, node.input(1), order[0], order)]
    if len(x.shape) != 4:
        raise Rejected(f"its input has the shape {x.shape} instead of four axes")
    if x.channels % w.shape[3] or (depthwise and w.shape[3] != 1):
        raise Rejected(f"its weights {w.shape} do not fit {x.channels} input channels")
    groups = x.channels // w.shape[3]
    if w.shape[0] % groups:
        raise Rejected(f"its {w.shape[0]} output channels do not divide into {groups} groups")
    kernel: Pair = w.shape[1], w.shape[2]
    stride = pair(node, "StrideH", "StrideW")
    dilation = pair(node, "DilationHFactor", "DilationWFactor", 1)
    inputs = (x.name, w.name, *bias(b, node.input(2), x, w))
    if spread:
        if stride != (1, 1) or padding(node, x.hw, kernel, stride):
            raise Rejected("has a stride, or padding, between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND")
        dilation = dilation[0] * spread.block[1], dilation[1] * spread.block[2]
        b.emit_spread(
            Conv2D, inputs, node.outputs[0], spread.block, kernel=kernel, dilation=dilation, groups=groups,
            clip=fused_clip(node),
        )  # fmt: skip
        return
    b.emit(
        Conv2D, inputs, node.outputs[0], kernel=kernel, stride=stride, dilation=dilation,
        pad=padding(node, x.hw, kernel, stride, dilation), groups=groups, clip=fused_clip(node),
    )  # fmt: skip


@importer("FULLY_CONNECTED", rule="int8 or uint8 weights, constant or computed, plain layout, fused Relu")
def _fully_connected(b: Builder, node: Node) -> None:
    if node.integer("WeightsFormat"):
        raise Rejected("has shuffled weights")
    x = b.tensor(node.input(0))
    constant = b.is_constant(node.input(1))
    w = b.tensors[weights(b, node.input(1), 0, (0, 1))] if constant else b.tensor(node.input(1))
    if len(w.shape) != 2 or x.size % w.shape[1]:
        raise Rejected(f"its weights {w.shape} do not fit the input {x.shape}")
    keep = bool(node.integer("KeepNumDims")) or len(x.shape) == 2
    rows = x.shape[:-1] if keep else (x.size // w.shape[1],)
    value = b.reshape(x.name, (*rows, w.shape[1]), f"{x.name}/rows")
    if constant:
        inputs = (value, w.name, *bias(b, node.input(2), x, w))
        b.emit(Dense, inputs, node.outputs[0], clip=fused_clip(node))
        return
    if node.input(2) >= 0:
        raise Rejected("multiplies two computed tensors and adds a bias")
    b.emit(MatMul, (value, w.name), node.outputs[0], transpose_b=True, clip=fused_clip(node))


@importer("BATCH_MATMUL", rule="two computed int8 tensors; either may be transposed")
def _batch_matmul(b: Builder, node: Node) -> None:
    left, right = b.tensor(node.input(0)), b.tensor(node.input(1))
    name = left.name
    if node.integer("AdjX"):
        rank = len(left.shape)
        name = b.step(Transpose, (name,), f"{name}/transposed", left, perm=(*range(rank - 2), rank - 1, rank - 2))
    b.emit(MatMul, (name, right.name), node.outputs[0], transpose_b=bool(node.integer("AdjY")))
