"""What convolutions and pools share: padding, sliding views, and how far output may overtake input."""

from __future__ import annotations

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import Array, Pad, Pair, Shape, sliding_extent

NEVER = 1 << 40
"""The position of something that is not read at all."""


def padded(x: Array, pad: Pad, value: int) -> Array:
    """``x`` (1,H,W,C) with ``pad`` around it, of ``value``; negative padding removes rows or columns."""
    grow = Pad(max(pad.top, 0), max(pad.left, 0), max(pad.bottom, 0), max(pad.right, 0))
    if grow:
        rims = ((0, 0), (grow.top, grow.bottom), (grow.left, grow.right), (0, 0))
        x = np.pad(x, rims, constant_values=value)
    height, width = x.shape[1:3]
    return x[:, max(-pad.top, 0) : height - max(-pad.bottom, 0), max(-pad.left, 0) : width - max(-pad.right, 0)]


def patches(x: Array, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Array:
    """A read-only view (OH, OW, kh, kw, C) of every window of the padded image ``x`` (1,H,W,C)."""
    span = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    windows = np.lib.stride_tricks.sliding_window_view(x[0], span, axis=(0, 1))
    chosen = windows[:: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return np.asarray(chosen.transpose(0, 1, 3, 4, 2))


def sliding_hw(hw: Pair, kernel: Pair, stride: Pair, dilation: Pair, pad: Pad, name: str) -> Pair:
    """Rows and columns that a sliding kernel makes; InternalError where it does not fit once."""
    height = sliding_extent(hw[0], kernel[0], stride[0], dilation[0], pad.top + pad.bottom)
    width = sliding_extent(hw[1], kernel[1], stride[1], dilation[1], pad.left + pad.right)
    if height < 1 or width < 1:
        sizes = f"a {kernel[0]}x{kernel[1]} kernel does not fit into {hw[0]}x{hw[1]} pixels"
        raise InternalError(f"op {name!r}: {sizes}")
    return height, width


def sliding_lag(
    in_shape: Shape,
    out_shape: Shape,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    pad: Pad,
    writes_early: bool = False,
) -> int | None:
    """Least ``lag`` in bytes of a sliding op on int8 images, pixels in row-major order.

    Output pixel p (``Co`` bytes) is complete before pixel p + 1 reads its first byte. A kernel that
    ``writes_early`` writes a pixel while it still reads that pixel's own inputs. None where the output would
    have to lie wholly below the input.
    """
    before = (pad.top, pad.left)
    rows, columns = (
        _first_read(in_shape[i + 1], out_shape[i + 1], kernel[i], stride[i], dilation[i], before[i]) for i in (0, 1)
    )
    first = rows[:, None] * in_shape[2] + columns[None, :]
    return element_lag(np.minimum(first, NEVER).ravel() * in_shape[3], out_shape[3], writes_early)


def _first_read(size: int, outputs: int, kernel: int, stride: int, dilation: int, pad: int) -> Array:
    """int64[outputs]: the first row or column of the image that each window reads; NEVER where none."""
    start = np.arange(outputs, dtype=np.int64) * stride - pad
    first = start + np.maximum(-(start // dilation), 0) * dilation
    return np.where((first < size) & (first <= start + (kernel - 1) * dilation), first, NEVER)


def element_lag(first: Array, size: int, writes_early: bool = False) -> int | None:
    """Least ``lag`` in bytes where output element i (``size`` bytes) reads no input below byte first[i].

    Elements are made in order. Bytes that element i and its successors still need start at the least of
    first[i:], and the elements before it (with ``writes_early`` also i itself) must end at or below that.
    """
    needed = np.minimum.accumulate(first[::-1])[::-1]
    written = np.arange(1, len(first) + 1, dtype=np.int64) * size
    ahead = written - needed if writes_early else (written[:-1] - needed[1:])
    lag = max(0, int(ahead.max(initial=0)))
    return lag if lag < len(first) * size else None
