"""Sliding ops: lag against a simulation of reads and writes, and the receptive field of windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinycompile.ir import Pad, Pair, Window, receptive_field, sliding_extent
from tinycompile.ops.sliding import padded, patches, sliding_lag


@dataclass(frozen=True)
class Slide:
    """A sliding op: input and output extents with channels, and its geometry."""

    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    kernel: Pair
    stride: Pair
    dilation: Pair
    pad: Pad


@st.composite
def slides(draw: st.DrawFn) -> Slide:
    """Small images, any channels in and out."""
    kernel, stride, dilation = (draw(st.tuples(st.integers(1, n), st.integers(1, n))) for n in (3, 3, 2))
    pad = draw(st.just(Pad()) | st.builds(Pad, *[st.integers(0, 2)] * 4))
    hw = [
        max(1, (k - 1) * d + 1 - p) + draw(st.integers(0, 5))
        for k, d, p in zip(kernel, dilation, (pad.top + pad.bottom, pad.left + pad.right), strict=True)
    ]
    out = (
        sliding_extent(hw[0], kernel[0], stride[0], dilation[0], pad.top + pad.bottom),
        sliding_extent(hw[1], kernel[1], stride[1], dilation[1], pad.left + pad.right),
    )
    channels = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    return Slide((1, *hw, channels[0]), (1, *out, channels[1]), kernel, stride, dilation, pad)


def reads(s: Slide, row: int, column: int) -> list[int]:
    """Bytes of the input that an output pixel reads."""
    found = []
    for ky in range(s.kernel[0]):
        for kx in range(s.kernel[1]):
            y = row * s.stride[0] - s.pad.top + ky * s.dilation[0]
            x = column * s.stride[1] - s.pad.left + kx * s.dilation[1]
            if 0 <= y < s.in_shape[1] and 0 <= x < s.in_shape[2]:
                pixel = (y * s.in_shape[2] + x) * s.in_shape[3]
                found += range(pixel, pixel + s.in_shape[3])
    return found


def lag_of(s: Slide, early: bool) -> int | None:
    """What the compiler believes."""
    return sliding_lag(s.in_shape, s.out_shape, s.kernel, s.stride, s.dilation, s.pad, early)


def is_safe(s: Slide, lag: int, early: bool) -> bool:
    """Whether no byte is overwritten before its last read, the output starting ``lag`` below the input."""
    lost: set[int] = set()
    for row in range(s.out_shape[1]):
        for column in range(s.out_shape[2]):
            start = (row * s.out_shape[2] + column) * s.out_shape[3] - lag
            written = set(range(start, start + s.out_shape[3]))
            needed = set(reads(s, row, column))
            if needed & lost or (early and needed & written):
                return False
            lost |= written
    return True


@given(slides(), st.booleans())
def test_lag_is_safe_with_any_larger_distance(s: Slide, early: bool) -> None:
    lag = lag_of(s, early)
    size = int(np.prod(s.out_shape))
    for distance in range(size if lag is None else lag, size + 1):
        assert is_safe(s, distance, early)


@given(slides(), st.booleans())
def test_lag_is_the_least_safe_distance(s: Slide, early: bool) -> None:
    lag = lag_of(s, early)
    if lag is not None and lag > 0:
        assert not is_safe(s, lag - 1, early)
    if lag is None:
        assert not is_safe(s, int(np.prod(s.out_shape)) - 1, early)


@given(slides(), st.data())
def test_a_window_of_the_output_reads_its_receptive_field(s: Slide, data: st.DataObject) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(1, 100, s.in_shape)
    top, left = (data.draw(st.integers(0, n - 1)) for n in s.out_shape[1:3])
    height, width = (data.draw(st.integers(1, n - a)) for n, a in zip(s.out_shape[1:3], (top, left), strict=True))
    part = Window(top, left, height, width)
    needed, pad = receptive_field(part, (s.in_shape[1], s.in_shape[2]), s.kernel, s.stride, s.dilation, s.pad)
    cut = image[:, needed.top : needed.bottom, needed.left : needed.right]
    whole = patches(padded(image, s.pad, 0), s.kernel, s.stride, s.dilation)
    mine = patches(padded(cut, pad, 0), s.kernel, s.stride, s.dilation)
    assert np.array_equal(mine, whole[part.top : part.bottom, part.left : part.right])
