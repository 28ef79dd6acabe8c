"""Instance normalisation: every channel of an image to mean 0 and deviation 1, then scale and bias."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import IO, Array, Features, OnnxWriter, Shape, Tensor
from tinycompile.numerics import INT32_MAX, high_mul_round, saturate
from tinycompile.ops.accumulator import Weighted
from tinycompile.ops.images import from_nchw, to_nchw

FRACTION = 16
"""Fraction bits of the result before it is rounded, where its range leaves room for them."""
LARGEST_OFFSET = 1 << 28
LARGEST_PIXELS, LARGEST_WIDTH = 1 << 22, (1 << 18) - 1
"""Keep V below 2**62, and a row's sum of squares within uint32."""


@dataclass(frozen=True)
class InstanceNorm(Weighted):
    """Inputs x (1,H,W,C), scale (C), bias (C); output (1,H,W,C), with n = H * W pixels.

    The scale takes the weights' place: quantised value by value.

    Integer form of scale * (x - mean) / sqrt(variance + epsilon) + bias, per channel:

    - S = sum q, Q = sum q^2, V = n Q - S^2 + round(epsilon n^2 / s_x^2), at least 1; d = n q - S, so that
      (x - mean) / sqrt(variance + epsilon) = d / sqrt(V);
    - V is shifted left by an even e into 2^62 .. 2^64 and r = isqrt(V 2^e), so 1 / sqrt(V) = 2^(e/2) / r;
    - scale / s_y = G 2^x with 2^30 <= |G| < 2^31; q = floor(|G| 2^31 / r) is the multiplier, below 2^31;
    - d 2^l fits in int32, and the product high_mul_round(d 2^l, q) has f = l - 1 - x - e/2 fraction bits,
      brought into 0 .. 16 by shifting q right, or left with saturation;
    - out = saturate((product + offset 2^(f - 16) + half) >> f), offset = (bias / s_y + z_y) 2^16.
    """

    epsilon: float = 1e-5

    def infer(self, *inputs: Tensor) -> Shape:
        """x's shape."""
        x = inputs[0]
        if len(x.shape) != 4 or any(t.shape != (x.channels,) for t in inputs[1:]):
            raise InternalError(f"op {self.name!r}: scale or bias do not fit input {x.shape}")
        if x.hw[0] * x.hw[1] > LARGEST_PIXELS or x.hw[1] > LARGEST_WIDTH:
            raise InternalError(f"op {self.name!r}: more than {LARGEST_PIXELS:,} pixels or {LARGEST_WIDTH:,} columns")
        return x.shape

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Transpose, InstanceNormalization, Transpose."""
        inputs = [to_nchw(w, self.inputs[0]), *self.inputs[1:]]
        from_nchw(w, w.node("InstanceNormalization", inputs, epsilon=self.epsilon), self.output)

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``epsilon``: its share of V; ``left``: l; ``gain`` int32[C]: G; ``exponent`` int8[C]: x - l + 1;
        ``offset`` int32[C]."""
        pixels = io.x.hw[0] * io.x.hw[1]
        left = 31 - (255 * pixels).bit_length()
        fraction, exponent = np.frexp(io.inputs[1].real.astype(np.float64) / io.out.q.scalar)
        gain = np.trunc(fraction * 2.0**31)
        offset = (io.inputs[2].real.astype(np.float64) / io.out.q.scalar + io.out.zero_point) * 2.0**FRACTION
        return {
            "epsilon": max(1, min(1 << 60, round(self.epsilon * pixels**2 / io.x.q.scalar**2))),
            "left": left,
            "gain": np.where(exponent < -64, 0, gain).astype(np.int32),
            "exponent": np.clip(exponent - 31 - left + 1, -128, 127).astype(np.int8),
            "offset": np.clip(np.rint(offset), -LARGEST_OFFSET, LARGEST_OFFSET).astype(np.int32),
        }

    def run(self, io: IO, *inputs: Array) -> Array:
        """The steps above."""
        p = self.parameters(io)
        q = inputs[0][0].astype(np.int64).reshape(-1, io.x.channels)
        out = np.empty(q.shape, np.int8)
        for c in range(io.x.channels):
            total = int(q[:, c].sum())
            spread = len(q) * int(np.square(q[:, c]).sum()) - total**2 + p["epsilon"]
            multiplier, f = normalizer(spread, int(p["gain"][c]), int(p["exponent"][c]))
            product = high_mul_round((len(q) * q[:, c] - total) << p["left"], np.asarray(multiplier))
            offset = (int(p["offset"][c]) >> (FRACTION - f)) + (1 << f >> 1)
            out[:, c] = saturate((product + offset) >> f)
        return out.reshape(io.out.shape)

    def features(self, io: IO) -> Features:
        """Two additions and a product per value in the first pass, as much in the second."""
        return Features(macs=2 * io.x.size, ops=3 * io.x.size, stores=io.out.nbytes)


def normalizer(spread: int, gain: int, exponent: int) -> tuple[int, int]:
    """The multiplier and its fraction bits from V, G and the exponent: the twin of ``tc_normalizer`` in C."""
    even = (64 - spread.bit_length()) // 2 * 2
    multiplier = (abs(gain) << 31) // math.isqrt(spread << even)
    fraction = -exponent - even // 2
    if fraction > FRACTION:
        multiplier = multiplier >> min(fraction - FRACTION, 31)
    elif fraction < 0:
        multiplier = min(multiplier << min(-fraction, 31), INT32_MAX)
    multiplier = -multiplier if gain < 0 else multiplier
    return multiplier, min(max(fraction, 0), FRACTION)
