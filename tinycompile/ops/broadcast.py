"""What ops with two inputs share: NumPy broadcasting, in one piece and window by window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, Cut, Features, Op, Shape, Tensor, Window


def aligned(shape: Shape, rank: int) -> Shape:
    """``shape`` with leading ones up to ``rank`` axes."""
    return (1,) * (rank - len(shape)) + shape


@dataclass(frozen=True)
class Broadcast(Op):
    """An elementwise op of two inputs under NumPy broadcasting."""

    def infer(self, *inputs: Tensor) -> Shape:
        """The broadcast shape; ImportFailed where the inputs do not fit together."""
        try:
            return tuple(int(d) for d in np.broadcast_shapes(*(t.shape for t in inputs)))
        except ValueError:
            shapes = " and ".join(f"{t.name!r} {list(t.shape)}" for t in inputs)
            raise ImportFailed(
                f"{type(self).__name__} cannot broadcast {shapes}",
                where=self.name,
                hint="make every pair of extents equal, or one of them 1",
            ) from None

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The same op on the same window; an input that is one row or column wide keeps it.

        What repeats for every pixel, and is a constant or of lower rank, is read as a whole. None where the output is
        not an image, or such an input would have to be cut.
        """
        if len(io.out.shape) != 4 or io.out.shape[0] != 1:
            return None
        windows: list[Window | None] = []
        for tensor in io.inputs:
            if tensor.data is not None or len(tensor.shape) != 4:
                if aligned(tensor.shape, 4)[:3] != (1, 1, 1):
                    return None
                windows.append(None)
            else:
                windows.append(_operand_window(tensor, window))
        return Cut(self, tuple(windows))

    def lag(self, io: IO, index: int) -> int | None:
        """In place of an input that is as large as the output; a repeated input is kept apart."""
        return 0 if io.inputs[index].size == io.out.size else None

    def operations(self, io: IO) -> int:
        """Operations a value, in units of the cheapest form of this op."""
        return 1

    def features(self, io: IO) -> Features:
        """``operations`` a value."""
        return Features(ops=io.out.size * self.operations(io), stores=io.out.nbytes)


def _operand_window(tensor: Tensor, window: Window) -> Window:
    height, width = tensor.hw
    top, rows = (0, 1) if height == 1 else (window.top, window.height)
    left, columns = (0, 1) if width == 1 else (window.left, window.width)
    return Window(top, left, rows, columns)


def product_ratio(io: IO) -> float:
    """s0 * s1 / s_y; under TensorFlow Lite's rounding in float32, as its Mul and PRelu compute it."""
    a, b, y = (t.q.scalar for t in (*io.inputs, io.out))
    if io.rounding == "tflite":
        return float(np.float32(a) * np.float32(b) / np.float32(y))
    return a * b / y


def ratio(io: IO) -> float:
    """s0 / s_y; under TensorFlow Lite's rounding in float32, as its PRelu computes it."""
    x, y = io.x.q.scalar, io.out.q.scalar
    return float(np.float32(x) / np.float32(y)) if io.rounding == "tflite" else x / y
