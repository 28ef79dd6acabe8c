"""A grid over an image, and windows around windows."""

from __future__ import annotations

from itertools import pairwise

from tinycompile.ir import Pair, Tensor, Window


def grid_cells(out: Tensor, grid: Pair) -> tuple[Window, ...]:
    """The windows of a grid over an image, row by row, of heights and widths that differ by one at most.

    There are none where the tensor is no image or smaller than the grid.
    """
    if len(out.shape) != 4 or grid[0] > out.hw[0] or grid[1] > out.hw[1]:
        return ()
    tops = [i * out.hw[0] // grid[0] for i in range(grid[0] + 1)]
    lefts = [i * out.hw[1] // grid[1] for i in range(grid[1] + 1)]
    return tuple(
        Window(top, left, bottom - top, right - left)
        for top, bottom in pairwise(tops)
        for left, right in pairwise(lefts)
    )


def hull(one: Window, other: Window) -> Window:
    """The smallest window that holds both."""
    top, left = min(one.top, other.top), min(one.left, other.left)
    return Window(top, left, max(one.bottom, other.bottom) - top, max(one.right, other.right) - left)
