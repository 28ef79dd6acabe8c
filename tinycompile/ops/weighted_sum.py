"""Fixed point of sums: each operand brought to the output's scale by a multiplier, one shift at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinycompile.ir import IO, Array, OnnxWriter, Quant
from tinycompile.numerics import Int, requantize_double, saturate, tflite_multiplier, wrapped
from tinycompile.ops.broadcast import Broadcast
from tinycompile.ops.clipping import UNCLIPPED, Clip, clipped, int8_bounds

MULTIPLIER_BITS = 15
"""Multipliers fit int16, so that cores with DSP can take two products in one instruction (SMLAD)."""
MAX_SHIFT = 22
"""Keeps an output's zero point, shifted, within 2**29 and the whole sum within int32."""
TFLITE_SHIFT = 20
"""Headroom that TensorFlow Lite gives the operands of an int8 sum before it scales them."""


@dataclass(frozen=True)
class NativeSum:
    """saturate((x0 * m0 [+ x1 * m1] + constant) >> shift, low, high); the constant folds zero points and half."""

    multipliers: tuple[int, ...]
    constant: int
    shift: int
    low: int
    high: int

    @staticmethod
    def make(ratios: tuple[float, ...], zero_points: tuple[int, ...], out_zero: int, low: int, high: int) -> NativeSum:
        """From each operand's scale over the output's (with its sign) and the zero points."""
        largest = max(abs(r) for r in ratios)
        shift = min(MAX_SHIFT, max(0, MULTIPLIER_BITS - math.frexp(largest)[1]))
        if round(largest * 2**shift) >= 1 << MULTIPLIER_BITS:
            shift = max(0, shift - 1)
        limit = (1 << MULTIPLIER_BITS) - 1
        multipliers = tuple(max(-limit, min(limit, math.floor(r * 2**shift + 0.5))) for r in ratios)
        constant = (out_zero << shift) + (1 << shift >> 1)
        constant -= sum(m * z for m, z in zip(multipliers, zero_points, strict=True))
        return NativeSum(multipliers, constant, shift, low, high)

    @property
    def is_identity(self) -> bool:
        """Whether one operand passes through unchanged."""
        half = 1 << self.shift >> 1
        return self.multipliers == (1 << self.shift,) and self.constant == half

    def __call__(self, *inputs: Array) -> Array:
        """int8 operands to int8."""
        acc: Int = np.array(self.constant)
        for x, m in zip(inputs, self.multipliers, strict=True):
            acc = acc + x.astype(np.int64) * m
        return saturate(acc >> self.shift, self.low, self.high).astype(np.int8)


@dataclass(frozen=True)
class TfliteSum:
    """TensorFlow Lite's int8 ADD and SUB (kernels/internal/reference/add.h): three double roundings.

    Each operand, less its zero point and times 2**20, is multiplied by scale / (2 * larger scale); their sum
    by 2 * larger scale / (2**20 * output scale). ``multipliers`` and ``shifts``: operand 0, operand 1, output.
    A sign counts after its operand's rounding, which is not symmetric.
    """

    signs: tuple[int, int]
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    zero_points: tuple[int, ...]
    low: int
    high: int

    @staticmethod
    def make(quants: tuple[Quant, ...], out: Quant, signs: tuple[int, int], low: int, high: int) -> TfliteSum:
        """From the quantisations of the two operands and the output."""
        twice = 2 * max(q.scalar for q in quants)
        reals = [q.scalar / twice for q in quants] + [twice / ((1 << TFLITE_SHIFT) * out.scalar)]
        multipliers, shifts = tflite_multiplier(reals)
        zero_points = (*(q.zero_point for q in quants), out.zero_point)
        return TfliteSum(signs, _ints(multipliers), _ints(shifts), zero_points, low, high)

    def __call__(self, *inputs: Array) -> Array:
        """int8 operands to int8."""
        total: Int = np.array(0)
        for i, (x, sign) in enumerate(zip(inputs, self.signs, strict=True)):
            total = total + sign * self._scaled((x.astype(np.int64) - self.zero_points[i]) << TFLITE_SHIFT, i)
        scaled = self._scaled(total, 2)
        return saturate(wrapped(scaled + self.zero_points[2]), self.low, self.high).astype(np.int8)

    def _scaled(self, x: Int, index: int) -> Int:
        return requantize_double(x, np.array(self.multipliers[index]), np.array(self.shifts[index]))


def _ints(values: Int) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


@dataclass(frozen=True)
class Sum(Broadcast):
    """What Add and Sub share: the sum of both inputs with ``signs``, clipped."""

    clip: Clip = UNCLIPPED

    signs: ClassVar[tuple[int, int]]

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Add or Sub and, where bounds are set, Clip."""
        total = w.node(type(self).__name__, list(self.inputs))
        w.node("Identity", [clipped(w, total, self.clip)], self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """``weighted_sum``."""
        return weighted_sum(io, self.signs, self.clip)(*inputs)

    def operations(self, io: IO) -> int:
        """TensorFlow Lite's three double roundings take five times as long as a native sum."""
        return 5 if io.rounding == "tflite" else 1

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``sum``: the NativeSum or TfliteSum."""
        return {"sum": weighted_sum(io, self.signs, self.clip)}


def weighted_sum(io: IO, signs: tuple[int, int], clip: Clip) -> NativeSum | TfliteSum:
    """The sum of two inputs with signs, in the graph's rounding."""
    low, high = int8_bounds(clip, io.out.q)
    quants = tuple(t.q for t in io.inputs)
    if io.rounding == "tflite":
        return TfliteSum.make(quants, io.out.q, signs, low, high)
    ratios = tuple(s * q.scalar / io.out.q.scalar for s, q in zip(signs, quants, strict=True))
    return NativeSum.make(ratios, tuple(q.zero_point for q in quants), io.out.zero_point, low, high)


def rescale(source: Quant, out: Quant) -> NativeSum:
    """One operand brought to the output's scale and zero point, saturated to int8."""
    return NativeSum.make((source.scalar / out.scalar,), (source.zero_point,), out.zero_point, -128, 127)
