"""Images enlarged or reduced by nearest neighbour or bilinear interpolation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import IO, Array, Cut, Features, OnnxWriter, Pad, Pair, Shape, Tensor, Window
from tinycompile.ops.images import from_nchw, to_nchw
from tinycompile.ops.moving import Moving, is_image

Coordinates = Literal[
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"
]
NearestMode = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]

NATIVE_BITS = 11
"""Fraction bits of a weight: two weights and an int8 fill 29 bits, and a weight is off by 1/16 of a step at most."""
TFLITE_BITS = 10
"""Fraction bits in TensorFlow Lite's ResizeBilinearInteger (kernels/internal/reference/resize_bilinear.h)."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Along one axis, for each output: the two input indices and the weight of the second, of 2**bits."""

    low: Array
    high: Array
    weight: Array


@dataclass(frozen=True)
class Region:
    """The whole of which a resize makes a window: its extents, and where the windows of both images begin."""

    size: Pair
    source: Pair
    first: Pair
    first_source: Pair


@dataclass(frozen=True)
class Resize2D(Moving):
    """NHWC resize to ``size`` (height, width), as ONNX Resize without antialiasing.

    ``coordinates`` is ONNX's coordinate_transformation_mode, ``nearest`` its nearest_mode. ``scales`` are the
    output's extents over the input's where the file gives them; they default to the ratio of the extents.
    The op of a window knows its ``region``; where pixels just repeat, it only knows how many of the first pixel's
    rows and columns to ``skip``.
    """

    size: Pair = (1, 1)
    mode: Literal["nearest", "bilinear"] = "nearest"
    coordinates: Coordinates = "half_pixel"
    nearest: NearestMode = "round_prefer_floor"
    scales: tuple[float, float] | None = None
    region: Region | None = None
    skip: Pair = (0, 0)

    @property
    def pad(self) -> Pad:
        """``skip`` as negative padding."""
        return Pad(-self.skip[0], -self.skip[1])

    def infer(self, *inputs: Tensor) -> Shape:
        """(1, *size, C)."""
        if len(inputs[0].shape) != 4:
            raise InternalError(f"Resize2D of {inputs[0].name!r} {inputs[0].shape}, which is not NHWC", where=self.name)
        return inputs[0].shape[0], *self.size, inputs[0].channels

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Resize between two Transposes, because ONNX has channels first."""
        if self.scales:
            target = [w.constant(np.array((1, 1, *self.scales), np.float32))]
        else:
            target = ["", w.constant(np.array((io.out.shape[0], io.out.channels, *self.size), np.int64))]
        mode = {"nearest": "nearest", "bilinear": "linear"}[self.mode]
        made = w.node(
            "Resize", [to_nchw(w, self.inputs[0]), "", *target], mode=mode,
            coordinate_transformation_mode=self.coordinates, nearest_mode=self.nearest,
        )  # fmt: skip
        from_nchw(w, made, self.output)

    def positions(self, io: IO, axis: int) -> Array:
        """float32[whole out]: where each output lies in the input's coordinates, along rows (0) or columns (1)."""
        source, size = self._whole(io, axis)
        scale = np.float32(self.scales[axis] if self.scales else size / source)
        wanted = np.arange(size, dtype=np.float32) + np.float32(self.skip[axis])
        return COORDINATES[self.coordinates](wanted, scale, source, size)

    def _whole(self, io: IO, axis: int) -> Pair:
        """Extents of the whole input and the whole output."""
        return (self.region.source[axis], self.region.size[axis]) if self.region else (io.x.hw[axis], self.size[axis])

    def _windowed(self, indices: Array, axis: int) -> Array:
        """Input indices of the whole output, as those of the window in the window of the input."""
        if self.region is None:
            return indices
        first = self.region.first[axis]
        return indices[first : first + self.size[axis]] - self.region.first_source[axis]

    def indices(self, io: IO, axis: int) -> Array:
        """int64[out]: the nearest input index of each output, along rows (0) or columns (1)."""
        nearest = np.clip(NEAREST[self.nearest](self.positions(io, axis)), 0, self._whole(io, axis)[0] - 1)
        return self._windowed(nearest.astype(np.int64), axis)

    def factor(self, io: IO) -> Pair | None:
        """(fy, fx) where every output (y, x), ``skip`` added, is the input (y // fy, x // fx); None where it is not."""
        found = []
        for axis in (0, 1):
            wanted = np.arange(self.size[axis]) + self.skip[axis]
            factor = -(-(self.size[axis] + self.skip[axis]) // io.x.hw[axis])
            if self.region or not np.array_equal(self.indices(io, axis), wanted // factor):
                return None
            found.append(factor)
        return found[0], found[1]

    def interpolation(self, io: IO, axis: int) -> Axis:
        """Indices and weights of bilinear mode, along rows (0) or columns (1)."""
        source, size = self._whole(io, axis)
        last = source - 1
        if io.rounding == "tflite":
            low, high, weight = self._tflite_interpolation(source, size)
        else:
            at = np.clip(self.positions(io, axis), 0, last).astype(np.float64)
            low = np.floor(at).astype(np.int64)
            high = np.minimum(low + 1, last)
            weight = np.floor((at - low) * 2**NATIVE_BITS + 0.5).astype(np.int64)
        first = self.region.first[axis] if self.region else 0
        weights = np.where(low == high, 0, weight)[first : first + self.size[axis]]
        return Axis(self._windowed(low, axis), self._windowed(high, axis), weights)

    def _tflite_interpolation(self, source: int, size: int) -> tuple[Array, Array, Array]:
        corners = self.coordinates == "align_corners" and size > 1
        above, below = (source - 1, size - 1) if corners else (source, size)
        scale = ((above << TFLITE_BITS) + below // 2) // below
        at = np.arange(size, dtype=np.int64) * scale
        if self.coordinates == "half_pixel":
            at = at + scale // 2 - (1 << (TFLITE_BITS - 1))
        low = np.maximum(at >> TFLITE_BITS, 0)
        high = np.minimum((at + (1 << TFLITE_BITS) - 1) >> TFLITE_BITS, source - 1)
        return low, high, at - (low << TFLITE_BITS)

    def run(self, io: IO, *inputs: Array) -> Array:
        """Nearest: index arrays. Bilinear: (sum of four products of weights and int8 + half) >> (2 * bits).

        The tflite rounding divides by 2**20 with ties away from zero instead of up.
        """
        x = inputs[0]
        if self.mode == "nearest":
            return np.ascontiguousarray(x[:, self.indices(io, 0)][:, :, self.indices(io, 1)])
        bits = self.bits(io)
        rows, columns = self.interpolation(io, 0), self.interpolation(io, 1)
        acc = np.zeros(io.out.shape, np.int64)
        for row, row_weight in ((rows.low, (1 << bits) - rows.weight), (rows.high, rows.weight)):
            for column, weight in ((columns.low, (1 << bits) - columns.weight), (columns.high, columns.weight)):
                weights = row_weight[:, None, None] * weight[None, :, None]
                acc += x[:, row][:, :, column].astype(np.int64) * weights
        half = 1 << (2 * bits - 1)
        if io.rounding == "tflite":
            return np.where(acc > 0, (acc + half) >> 2 * bits, -((half - acc) >> 2 * bits)).astype(np.int8)
        return ((acc + half) >> 2 * bits).astype(np.int8)

    def bits(self, io: IO) -> int:
        """Fraction bits of bilinear weights."""
        return TFLITE_BITS if io.rounding == "tflite" else NATIVE_BITS

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``bits``; ``factor`` of nearest mode."""
        return {"bits": self.bits(io), "factor": self.factor(io) if self.mode == "nearest" else None}

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The pixels that the window takes."""
        if not is_image(io.out):
            return None
        spans = ((window.top, window.bottom), (window.left, window.right))
        (top, bottom), (left, right) = (self._taken(io, axis, *span) for axis, span in enumerate(spans))
        size, source = (window.height, window.width), Window(top, left, bottom - top, right - left)
        factor = self.factor(io) if self.mode == "nearest" else None
        if factor is None:
            region = Region(self.size, io.x.hw, (window.top, window.left), (top, left))
            return Cut(replace(self, size=size, region=region), (source,))
        part = replace(
            self, size=size, coordinates="asymmetric", nearest="floor",
            scales=(float(factor[0]), float(factor[1])), skip=(window.top % factor[0], window.left % factor[1]),
        )  # fmt: skip
        return Cut(part, (source,))

    def _taken(self, io: IO, axis: int, start: int, stop: int) -> Pair:
        """The input index from which and the one up to which outputs ``start <= i < stop`` read."""
        if self.mode == "nearest":
            found = self.indices(io, axis)[start:stop]
        else:
            both = self.interpolation(io, axis)
            found = np.concatenate([both.low[start:stop], both.high[start:stop]])
        return int(found.min()), int(found.max()) + 1

    def features(self, io: IO) -> Features:
        """Nearest copies; bilinear takes four products a value."""
        if self.mode == "nearest":
            return super().features(io)
        return Features(macs=4 * io.out.size, ops=io.out.size, stores=io.out.nbytes)


def _half_pixel(x: Array, scale: np.float32, source: int, size: int) -> Array:
    return (x + np.float32(0.5)) / scale - np.float32(0.5)


def _half_pixel_symmetric(x: Array, scale: np.float32, source: int, size: int) -> Array:
    offset = np.float32(source / 2) * (1 - np.float32(size) / (scale * np.float32(source)))
    return np.float32(offset) + _half_pixel(x, scale, source, size)


def _pytorch_half_pixel(x: Array, scale: np.float32, source: int, size: int) -> Array:
    return _half_pixel(x, scale, source, size) if size > 1 else np.zeros_like(x)


def _align_corners(x: Array, scale: np.float32, source: int, size: int) -> Array:
    return x * np.float32(source - 1) / np.float32(size - 1) if size > 1 else np.zeros_like(x)


def _asymmetric(x: Array, scale: np.float32, source: int, size: int) -> Array:
    return x / scale


def _tf_half_pixel_for_nn(x: Array, scale: np.float32, source: int, size: int) -> Array:
    return (x + np.float32(0.5)) / scale


COORDINATES: Mapping[str, Callable[[Array, np.float32, int, int], Array]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": _asymmetric,
    "tf_half_pixel_for_nn": _tf_half_pixel_for_nn,
}
"""ONNX Resize: output index, scale, and the axis' extents to the position in the input, in float32."""

NEAREST: Mapping[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}
