"""Padding with zeros moves into the convolution or pooling behind it."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.ir import Graph, Op, Pad
from tinycompile.ops import AveragePool2D, Conv2D, MaxPool2D, PadOp
from tinycompile.passes.rewrite import Sweep, rewrite


def fuse_pad(graph: Graph) -> Graph:
    """``conv(pad(x))`` as ``conv<pad>(x)``; exact for integer graphs too, where padding is the zero point."""
    return rewrite(graph, into_consumer)


def into_consumer(op: Op, s: Sweep) -> Op | None:
    """A window that slides over a zero-padded image pads by itself."""
    padding = s.producer(op.inputs[0])
    if not isinstance(padding, PadOp) or not isinstance(op, (Conv2D, AveragePool2D, MaxPool2D)):
        return None
    if padding.mode != "constant" or padding.value != 0 or len(padding.before) != 4:
        return None
    if any(padding.before[i] or padding.after[i] for i in (0, 3)) or min(*padding.before, *padding.after) < 0:
        return None
    if s.tensors[padding.output].quant not in (None, s.tensors[padding.inputs[0]].quant):
        return None
    pad = Pad(padding.before[1], padding.before[2], padding.after[1], padding.after[2])
    if isinstance(op, Conv2D):
        return replace(op, inputs=(*padding.inputs, *op.inputs[1:]), pad=_sum(op.pad, pad))
    if op.pad or not _covers(op, pad):
        return None
    if isinstance(op, AveragePool2D):
        return replace(op, inputs=padding.inputs, pad=pad, count_include_pad=True)
    if not _never_negative(s.producer(padding.inputs[0])):
        return None
    return replace(op, inputs=padding.inputs, pad=pad)


def _sum(a: Pad, b: Pad) -> Pad:
    return Pad(a.top + b.top, a.left + b.left, a.bottom + b.bottom, a.right + b.right)


def _covers(op: AveragePool2D | MaxPool2D, pad: Pad) -> bool:
    """Every window reaches into the image."""
    return max(pad.top, pad.bottom) < op.kernel[0] and max(pad.left, pad.right) < op.kernel[1]


def _never_negative(op: Op | None) -> bool:
    """Where zero is the least value, padding with it is padding that never wins."""
    clip = getattr(op, "clip", None)
    return clip is not None and clip[0] >= 0
