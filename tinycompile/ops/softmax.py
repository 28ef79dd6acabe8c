"""Softmax and its logarithm over the last axis, in integers only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.ir import IO, Array, Features, OnnxWriter, Op, Quant, Shape, Tensor
from tinycompile.ops.fixed_softmax import OUTPUT, FixedSoftmax

WORD = 2**32
FINEST = 16
"""Output scales are taken as 2**-16 .. 1: beyond, nearly every result saturates or is 0 or 1 steps."""


@dataclass(frozen=True, eq=False)
class Ratio:
    """q = saturate(zero_point + (e << up + d / 2) / d) with e = table[max - x] and d the sum of e, scaled.

    ``table``: uint32[256], exp(-i * input scale) * 2**bits. ``divisor``: d = (sum * divisor + 2**30) >> 31; it is
    2**31 exactly where the output scale is a power of two. All fits 32 bits but that one product a row.
    """

    table: Array
    up: int
    divisor: int
    zero_point: int

    @staticmethod
    def make(length: int, in_scale: float, out: Quant) -> Ratio:
        """For rows of ``length`` values."""
        scale = min(max(out.scalar, 2.0**-FINEST), 1.0)
        up = math.floor(-math.log2(scale))
        factor = scale * 2**up
        bits = math.floor(math.log2((WORD - 1) / ((1 << up) + length)))
        return Ratio(_exponentials(in_scale, bits), up, round(factor * 2**31), out.zero_point)

    def __call__(self, x: Array) -> Array:
        """int8[..., length] to int8."""
        e = self.table.astype(np.int64)[_distances(x)]
        total = e.sum(axis=-1, keepdims=True)
        divisor = (total * self.divisor + (1 << 30)) >> 31
        q = ((e << self.up) + (divisor >> 1)) // divisor + self.zero_point
        return np.asarray(np.clip(q, -128, 127).astype(np.int8))


@dataclass(frozen=True, eq=False)
class LogRatio:
    """q = saturate((constant - d * slope - log(sum)) >> shift): the logarithm of softmax in units of the output.

    ``table``: uint32[256], exp(-d * input scale) * 2**bits, summed over the row. The sum's logarithm is
    ``octave`` for each doubling above 2**bits, plus ``logs`` (int32[65], log(1 + i / 64)), interpolated linearly.
    ``slope``, ``octave`` and ``logs`` count 2**-shift of an output step.
    """

    table: Array
    bits: int
    logs: Array
    octave: int
    slope: int
    constant: int
    shift: int

    @staticmethod
    def make(length: int, in_scale: float, out: Quant) -> LogRatio:
        """For rows of ``length`` values."""
        bits = min(24, math.floor(math.log2((WORD - 1) / length)))
        deepest = 255 * in_scale + math.log(length) + 1
        shift = max(0, min(16, 30 - math.ceil(math.log2(deepest / out.scalar + 256))))
        unit = min(2**shift / out.scalar, 2**30 / deepest)
        logs = np.floor(np.log1p(np.arange(65) / 64) * unit + 0.5).astype(np.int32)
        constant = (out.zero_point << shift) + (1 << shift >> 1)
        octave, slope = round(math.log(2) * unit), round(in_scale * unit)
        return LogRatio(_exponentials(in_scale, bits), bits, logs, octave, slope, constant, shift)

    def __call__(self, x: Array) -> Array:
        """int8[..., length] to int8."""
        d = _distances(x)
        total = self.table.astype(np.int64)[d].sum(axis=-1, keepdims=True)
        q = (self.constant - d * self.slope - self.logarithm(total)) >> self.shift
        return np.asarray(np.clip(q, -128, 127).astype(np.int8))

    def logarithm(self, total: Array) -> Array:
        """log(total / 2**bits) in fixed point; ``total`` is at least 2**bits and below 2**32."""
        top = np.floor(np.log2(total.astype(np.float64))).astype(np.int64)
        mantissa = (total << (31 - top)) & (2**31 - 1)
        index, rest = mantissa >> 25, (mantissa >> 13) & 0xFFF
        logs = self.logs.astype(np.int64)
        step = ((logs[index + 1] - logs[index]) >> LOG_DROP) * rest
        return np.asarray((top - self.bits) * self.octave + logs[index] + (step >> (12 - LOG_DROP)))


LOG_DROP = 6
"""Bits dropped from a table step (below 2**25) before it meets the 12 bits between entries."""


def _distances(x: Array) -> Array:
    wide = x.astype(np.int64)
    return np.asarray(wide.max(axis=-1, keepdims=True) - wide)


def _exponentials(scale: float, bits: int) -> Array:
    return np.asarray(np.floor(np.exp(-np.arange(256) * scale) * 2.0**bits + 0.5).astype(np.uint32))


@dataclass(frozen=True)
class _Rows(Op):
    """What softmax and its logarithm share."""

    def infer(self, *inputs: Tensor) -> Shape:
        """The input's shape."""
        return inputs[0].shape

    def lag(self, io: IO, index: int) -> int | None:
        """In place: a row is summed before its first value is written, and then read once more in order."""
        return 0

    def features(self, io: IO) -> Features:
        """Three passes over every row."""
        return Features(ops=3 * io.out.size, stores=io.out.nbytes)


@dataclass(frozen=True)
class Softmax(_Rows):
    """exp(beta * x) over its sum along the last axis."""

    beta: float = 1.0

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Softmax on the last axis, of the product with ``beta``."""
        x = self.inputs[0] if self.beta == 1 else w.node("Mul", [self.inputs[0], w.constant(np.float32(self.beta))])
        w.node("Softmax", [x], self.output, axis=-1)

    def is_tflite(self, io: IO) -> bool:
        """Whether TensorFlow Lite's own arithmetic is asked for; it knows one output quantisation."""
        return io.rounding == "tflite" and io.out.quant == OUTPUT

    def ratio(self, io: IO) -> Ratio | FixedSoftmax:
        """The numbers of the fixed point."""
        scale = io.x.q.scalar * self.beta
        if self.is_tflite(io):
            return FixedSoftmax.make(io.x.channels, scale)
        return Ratio.make(io.x.channels, scale, io.out.q)

    def run(self, io: IO, *inputs: Array) -> Array:
        """``Ratio``, or ``FixedSoftmax`` where the graph's rounding is that of TensorFlow Lite."""
        return self.ratio(io)(inputs[0])

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``ratio``."""
        return {"ratio": self.ratio(io)}

    def fixed_quant(self, io: IO) -> Quant | None:
        """0 .. 255/256 in steps of 1/256."""
        return Quant.per_tensor(1 / 256, -128)


@dataclass(frozen=True)
class LogSoftmax(_Rows):
    """The logarithm of softmax along the last axis."""

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """LogSoftmax on the last axis."""
        w.node("LogSoftmax", [self.inputs[0]], self.output, axis=-1)

    def ratio(self, io: IO) -> LogRatio:
        """The numbers of the fixed point."""
        return LogRatio.make(io.x.channels, io.x.q.scalar, io.out.q)

    def run(self, io: IO, *inputs: Array) -> Array:
        """``LogRatio``."""
        return self.ratio(io)(inputs[0])

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``ratio``."""
        return {"ratio": self.ratio(io)}
