"""Signals and images: from ONNX's channels-first layout to ours and back, and the windows that slide over them.

A signal (N, C, T) becomes an image (1, T, 1, C), and so does an image of one row, since both are the same values:
then time runs along the rows, where later stages can stream it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.ir import Pad, Pair, Shape


@dataclass(frozen=True)
class Sliding:
    """Kernel, stride, dilation and padding along rows and columns, of a tensor as ``to_image`` lays it out."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    pad: Pad
    signal: bool
    """The image is a signal, or had one row, so rows and columns changed places."""


def to_image(b: Builder, x: str, signal: bool = False) -> str:
    """The tensor ``x`` in channels-last order, as (1, H, W, C)."""
    tensor = b.tensors[x]
    rank = len(tensor.shape)
    if tensor.shape[0] != 1:
        raise Rejected(f"its batch is {tensor.shape[0]}; export the model with batch 1")
    if rank == 3:
        last = b.transpose(x, (0, 2, 1), f"{x}/nwc")
        return b.reshape(last, (1, tensor.shape[2], 1, tensor.shape[1]), f"{x}/image")
    last = b.transpose(x, (0, 2, 3, 1), f"{x}/nhwc")
    if not signal:
        return last
    return b.reshape(last, (1, tensor.shape[3], 1, tensor.shape[1]), f"{x}/image")


def from_image(b: Builder, y: str, rank: int, output: str, signal: bool = False) -> str:
    """An image back in ONNX's layout, with ``rank`` axes."""
    _, height, _, channels = b.tensors[y].shape
    if rank == 3:
        y = b.reshape(y, (1, height, channels), f"{output}/signal")
        return b.transpose(y, (0, 2, 1), f"{output}/ncw")
    if signal:
        y = b.reshape(y, (1, 1, height, channels), f"{output}/row")
    return b.transpose(y, (0, 3, 1, 2), f"{output}/nchw")


def sliding(node: Node, shape: Shape, kernel: Sequence[int], ceil: bool = False) -> Sliding:
    """The window of a convolution or pooling over an ONNX tensor of ``shape``; Rejected for volumes."""
    spatial = shape[2:]
    axes = len(spatial)
    if axes not in (1, 2):
        raise Rejected(f"its input has {axes} spatial axes; 1 or 2 are supported")
    stride = node.integers("strides", (1,) * axes) or ()
    dilation = node.integers("dilations", (1,) * axes) or ()
    if not len(kernel) == len(stride) == len(dilation) == axes or min(*kernel, *stride, *dilation) < 1:
        raise Rejected(
            f"kernel {tuple(kernel)}, strides {stride} and dilations {dilation} do not fit {axes} spatial axes"
        )
    pads = _pads(node, spatial, kernel, stride, dilation)
    if ceil:
        pads = [_ceiled(*p) for p in zip(spatial, kernel, stride, dilation, pads, strict=True)]
    if axes == 1:
        return _signal(kernel[0], stride[0], dilation[0], pads[0])
    if spatial[0] == 1 and spatial[1] > 1 and kernel[0] == 1 and pads[0] == (0, 0):
        return _signal(kernel[1], stride[1], dilation[1], pads[1])
    pad = Pad(pads[0][0], pads[1][0], pads[0][1], pads[1][1])
    return Sliding(_pair(kernel), _pair(stride), _pair(dilation), pad, False)


def _signal(kernel: int, stride: int, dilation: int, pad: Pair) -> Sliding:
    return Sliding((kernel, 1), (stride, 1), (dilation, 1), Pad(pad[0], 0, pad[1], 0), True)


def _pair(values: Sequence[int]) -> Pair:
    return values[0], values[1]


def _pads(
    node: Node, spatial: Shape, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[Pair]:
    """(before, after) for every spatial axis, from pads or auto_pad."""
    mode = node.text("auto_pad", "NOTSET")
    axes = len(spatial)
    if mode in ("NOTSET", ""):
        pads = node.integers("pads", (0,) * (2 * axes)) or ()
        if len(pads) != 2 * axes or min(pads) < 0:
            raise Rejected(f"its pads {pads} do not fit {axes} spatial axes")
        return [(pads[i], pads[i + axes]) for i in range(axes)]
    if mode == "VALID":
        return [(0, 0)] * axes
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise Rejected(f"its auto_pad is {mode!r}")
    result = []
    for size, k, s, d in zip(spatial, kernel, stride, dilation, strict=True):
        total = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        small, large = total // 2, total - total // 2
        result.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return result


def _ceiled(size: int, kernel: int, stride: int, dilation: int, pad: Pair) -> Pair:
    """Padding that makes the last, partial window whole; windows that would start in it do not exist."""
    reach = (kernel - 1) * dilation + 1
    count = -(-(size + sum(pad) - reach) // stride) + 1
    if (count - 1) * stride >= size + pad[0]:
        count -= 1
    return pad[0], max(pad[1], (count - 1) * stride + reach - size - pad[0])
