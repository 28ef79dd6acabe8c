"""Elements added around a tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, Array, Cut, OnnxWriter, Pad, Shape, Tensor, Window, receptive_field
from tinycompile.ops.moving import Moving, is_image


@dataclass(frozen=True)
class PadOp(Moving):
    """``before[i]`` and ``after[i]`` elements around axis i.

    Mode constant adds ``value`` (real); edge repeats the outermost element; reflect mirrors at it, without it.
    The op of a window may have negative padding: rows of which it needs none.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    mode: Literal["constant", "reflect", "edge"] = "constant"
    value: float = 0.0

    @property
    def pad(self) -> Pad:
        """The part on rows and columns of an image."""
        if len(self.before) != 4:
            return Pad()
        return Pad(self.before[1], self.before[2], self.after[1], self.after[2])

    def infer(self, *inputs: Tensor) -> Shape:
        """Extents plus padding; ImportFailed where a reflection is wider than the tensor."""
        shape = inputs[0].shape
        sizes = tuple(b + d + a for b, d, a in zip(self.before, shape, self.after, strict=True))
        if self.mode == "reflect" and any(
            max(b, a) >= d for b, d, a in zip(self.before, shape, self.after, strict=True)
        ):
            raise ImportFailed(
                f"Pad reflects {list(self.before)} and {list(self.after)} elements of {inputs[0].name!r} {list(shape)}",
                where=self.name,
                hint="a reflection must be narrower than the tensor",
            )
        return sizes

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Pad."""
        pads = w.constant(np.array((*self.before, *self.after), np.int64))
        value = [w.constant(np.float32(self.value))] if self.mode == "constant" else []
        w.node("Pad", [self.inputs[0], pads, *value], self.output, mode=self.mode)

    def fill(self, io: IO) -> int:
        """``value`` as the nearest int8."""
        return int(io.out.q.encode(np.array(self.value), io.out.dtype)) if io.out.quant else int(self.value)

    def run(self, io: IO, *inputs: Array) -> Array:
        """Index arrays along every axis; outside the input, constant mode puts ``fill``."""
        x = inputs[0]
        wanted = [np.arange(n) - b for n, b in zip(io.out.shape, self.before, strict=True)]
        taken = [self._source(i, d) for i, d in zip(wanted, x.shape, strict=True)]
        made = x[np.ix_(*taken)]
        if self.mode == "constant":
            inside = [(i >= 0) & (i < d) for i, d in zip(wanted, x.shape, strict=True)]
            made = np.where(reduce(np.logical_and.outer, inside), made, x.dtype.type(self.fill(io)))
        return np.ascontiguousarray(made)

    def _source(self, index: Array, size: int) -> Array:
        if self.mode == "reflect":
            index = np.abs(index)
            index = np.where(index >= size, 2 * (size - 1) - index, index)
        return np.clip(index, 0, size - 1)

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The input window behind an output window, and what padding remains around it."""
        if not is_image(io.out):
            return None
        if self.mode == "reflect":
            top, rows, above, below = _mirrored(window.top, window.bottom, self.pad.top, io.x.hw[0])
            left, columns, ahead, behind = _mirrored(window.left, window.right, self.pad.left, io.x.hw[1])
            source, pad = Window(top, left, rows, columns), Pad(above, ahead, below, behind)
        else:
            source, pad = receptive_field(window, io.x.hw, (1, 1), pad=self.pad)
        before = (self.before[0], pad.top, pad.left, self.before[3])
        after = (self.after[0], pad.bottom, pad.right, self.after[3])
        return Cut(replace(self, before=before, after=after), (source,))


def _mirrored(start: int, stop: int, before: int, size: int) -> tuple[int, int, int, int]:
    """For outputs ``start <= i < stop`` of a reflection of ``size`` elements: the first input and how many, and the
    padding before and after these. A window with mirrored elements holds all from the mirror on."""
    first, last = start - before, stop - 1 - before
    reflected = [2 * (size - 1) - i if i >= size else abs(i) for i in range(first, last + 1)]
    low = 0 if first < 0 else min(reflected)
    high = size if last >= size else max(reflected) + 1
    return low, high - low, low - first, last + 1 - high
