"""Every n-th element between two bounds, along each axis."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, Array, Cut, OnnxWriter, Pad, Shape, Tensor, Window
from tinycompile.ops.moving import Moving, is_image

LOWEST = -(2**31)
"""A stop that ONNX and NumPy read as before the first element, whatever the extent."""


@dataclass(frozen=True)
class Slice(Moving):
    """Along axis i the indices ``range(starts[i], stops[i], steps[i])``, all inside the input.

    As in Python's ``range``, a negative step may have the stop -1, which lies before the first element.
    """

    starts: tuple[int, ...] = ()
    stops: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()

    @property
    def ranges(self) -> tuple[range, ...]:
        """The indices along each axis."""
        return tuple(range(*bounds) for bounds in zip(self.starts, self.stops, self.steps, strict=True))

    @property
    def pad(self) -> Pad:
        """Rows and columns before the first one taken, as negative padding: what a window of this op changes."""
        return Pad(-self.starts[1], -self.starts[2]) if len(self.starts) == 4 else Pad()

    def infer(self, *inputs: Tensor) -> Shape:
        """The number of indices on each axis; ImportFailed where there are none or they leave the input."""
        shape = inputs[0].shape
        for axis, (indices, size) in enumerate(zip(self.ranges, shape, strict=True)):
            if not indices or min(indices) < 0 or max(indices) >= size:
                raise ImportFailed(
                    f"Slice takes {indices} from axis {axis} of {inputs[0].name!r} {list(shape)}",
                    where=self.name,
                    hint="give starts and ends inside the tensor that leave at least one element",
                )
        return tuple(len(indices) for indices in self.ranges)

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Slice."""
        stops = [stop if stop >= 0 else LOWEST for stop in self.stops]
        vectors = (self.starts, stops, range(len(self.starts)), self.steps)
        bounds = [w.constant(np.array(v, np.int64)) for v in vectors]
        w.node("Slice", [self.inputs[0], *bounds], self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """Index arrays along every axis."""
        return np.ascontiguousarray(inputs[0][np.ix_(*self.ranges)])

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The rows and columns between the first and the last that the window takes."""
        if not is_image(io.out):
            return None
        ranges = list(self.ranges)
        ranges[1] = ranges[1][window.top : window.bottom]
        ranges[2] = ranges[2][window.left : window.right]
        top, left = min(ranges[1]), min(ranges[2])
        ranges[1], ranges[2] = _moved(ranges[1], top), _moved(ranges[2], left)
        part = replace(self, starts=tuple(r.start for r in ranges), stops=tuple(r.stop for r in ranges))
        return Cut(part, (Window(top, left, max(ranges[1]) + 1, max(ranges[2]) + 1),))


def _moved(indices: range, by: int) -> range:
    """The indices less ``by``, with a stop just behind the last, so that it is never below -1."""
    step = 1 if indices.step > 0 else -1
    return range(indices[0] - by, indices[-1] - by + step, indices.step)
