"""Windows of images, paddings, and the receptive field of a sliding kernel."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class Pad:
    """Rows and columns of padding around an image."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return bool(self.top or self.left or self.bottom or self.right)


@dataclass(frozen=True)
class Window:
    """A rectangle of an NHWC tensor: all channels of some rows and columns."""

    top: int
    left: int
    height: int
    width: int

    @staticmethod
    def whole(hw: Pair) -> Window:
        """The window that is the entire image."""
        return Window(0, 0, hw[0], hw[1])

    @property
    def bottom(self) -> int:
        """First row below the window."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column right of the window."""
        return self.left + self.width


def sliding_extent(size: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Outputs of a kernel that slides over ``size`` elements with ``pad`` elements of padding in total."""
    return (size + pad - (kernel - 1) * dilation - 1) // stride + 1


def receptive_field(
    window: Window, hw: Pair, kernel: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1), pad: Pad = Pad()
) -> tuple[Window, Pad]:
    """The input window that an output window needs, and the padding that remains around it.

    ``hw`` is the input's extent. Interior windows keep no padding; border windows keep the part of theirs that
    lies outside the input. A window that needs nothing but padding keeps one input row or column so that no
    extent is ever zero.
    """
    top, above, below, height = _span(window.top, window.height, hw[0], kernel[0], stride[0], dilation[0], pad.top)
    left, before, after, width = _span(window.left, window.width, hw[1], kernel[1], stride[1], dilation[1], pad.left)
    return Window(top, left, height, width), Pad(above, before, below, after)


def _span(start: int, count: int, size: int, kernel: int, stride: int, dilation: int, pad: int) -> Pair4:
    first = start * stride - pad
    last = (start + count - 1) * stride - pad + (kernel - 1) * dilation + 1
    low = min(max(first, 0), size - 1)
    high = max(min(last, size), low + 1)
    return low, low - first, last - high, high - low


Pair4 = tuple[int, int, int, int]
