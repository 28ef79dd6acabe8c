"""From a tensor's values to its scale and zero point: histograms, and observers that propose ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Quant
from tinycompile.quantize.recipe import Method, Recipe

BINS = 255 * 16 + 1
"""Sixteen to a quantisation step at full range, and centred on multiples of a sixteenth of it, where
the values of data with few levels (pixels) then lie."""
LEAST_RANGE = 1e-20
"""Tensors whose values all lie closer to zero than this count as zero."""
SHRINK = np.linspace(1.0, 0.1, 61)
"""Shares of the full range that the mean-square observer tries on either side."""


@dataclass(frozen=True)
class Candidate:
    """A proposed quantisation, and who proposed it."""

    method: str
    quant: Quant


def affine(low: float, high: float) -> Quant:
    """int8 over low .. high, widened to hold zero exactly: s = (high - low) / 255, z = round(-128 - low / s).

    The range is what 256 codes span (Jacob et al. 2018, arXiv:1712.05877, section 2). The scale is a float32
    number. A range of nothing but zero gets the scale 1/128.
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    if max(-low, high) < LEAST_RANGE:
        return Quant.per_tensor(1 / 128, 0)
    scale = float(np.float32((high - low) / 255))
    return Quant.per_tensor(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def span(quant: Quant) -> tuple[float, float]:
    """The least and greatest real value that int8 holds."""
    return (-128 - quant.zero_point) * quant.scalar, (127 - quant.zero_point) * quant.scalar


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often a tensor's values are nearest to each of ``BINS`` points, evenly spaced from low to high."""

    low: float
    high: float
    counts: Array

    @staticmethod
    def empty(low: float, high: float) -> Histogram:
        """No values yet; ``low`` and ``high`` are their known extremes."""
        return Histogram(low, high, np.zeros(BINS, np.int64))

    def add(self, values: Array) -> None:
        """Count more values, which lie within low .. high."""
        if self.high > self.low:
            half = (self.high - self.low) / (BINS - 1) / 2
            self.counts[:] += np.histogram(values, BINS, (self.low - half, self.high + half))[0]
        else:
            self.counts[0] += values.size

    @property
    def centres(self) -> Array:
        """float64[BINS]: the value that each bin stands for."""
        return np.linspace(self.low, self.high, BINS)

    def quantile(self, share: float) -> float:
        """The value below which ``share`` (0 .. 1) of all values lie."""
        below = np.cumsum(self.counts) / max(int(self.counts.sum()), 1)
        return float(np.interp(share, below, self.centres))

    def power(self) -> float:
        """Mean square of the values."""
        return float(self.counts @ self.centres**2) / max(int(self.counts.sum()), 1)

    def error(self, quant: Quant) -> float:
        """Mean square of what rounding and clipping to ``quant`` change."""
        return float(self._errors(np.array([quant.scalar]), np.array([quant.zero_point]))[0])

    def _errors(self, scale: Array, zero_point: Array) -> Array:
        """The same for several scales and zero points at once."""
        used = np.flatnonzero(self.counts)
        values, weights = self.centres[used], self.counts[used]
        scale, zero_point = scale[:, None], zero_point[:, None]
        q = np.clip(np.rint(values / scale) + zero_point, -128, 127)
        errors = ((q - zero_point) * scale - values) ** 2 @ weights / max(int(weights.sum()), 1)
        return np.asarray(errors, np.float64)

    def least_error(self) -> Quant:
        """The quantisation of least mean square error: either end of the range shrunk in turn, twice."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        best = affine(low, high)
        for _ in range(2):
            best = self._best([best, *(affine(span(best)[0], high * f) for f in SHRINK)])
            if low < 0:
                best = self._best([best, *(affine(low * f, span(best)[1]) for f in SHRINK)])
        return best

    def _best(self, quants: list[Quant]) -> Quant:
        scales = np.array([q.scalar for q in quants])
        errors = self._errors(scales, np.array([q.zero_point for q in quants]))
        return quants[int(errors.argmin())]


def candidates(histogram: Histogram, recipe: Recipe) -> list[Candidate]:
    """What the recipe's observers propose, without repetition, full range first."""
    found: dict[Quant, Candidate] = {}
    for method, quant in _proposals(histogram, recipe):
        found.setdefault(quant, Candidate(method, quant))
    return list(found.values())


def _proposals(histogram: Histogram, recipe: Recipe) -> Iterator[tuple[Method, Quant]]:
    if "min-max" in recipe.methods:
        yield "min-max", affine(histogram.low, histogram.high)
    if "percentile" in recipe.methods:
        for percent in recipe.percentiles:
            tail = (100 - percent) / 100 / (2 if histogram.low < 0 < histogram.high else 1)
            low = histogram.quantile(tail) if histogram.low < 0 else 0.0
            high = histogram.quantile(1 - tail) if histogram.high > 0 else 0.0
            yield "percentile", affine(low, high)
    if "mean-square" in recipe.methods:
        yield "mean-square", histogram.least_error()
