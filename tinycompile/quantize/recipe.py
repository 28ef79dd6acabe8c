"""What a person may choose about quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinycompile.errors import UsageError

Method = Literal["min-max", "percentile", "mean-square"]
METHODS: tuple[Method, ...] = ("min-max", "percentile", "mean-square")


@dataclass(frozen=True)
class Recipe:
    """How ranges are found.

    ``samples``: at most so many of the calibration samples are used, evenly spread. ``methods``: the
    observers that propose ranges; the proposal that causes the least error wins, tensor by tensor.
    ``percentiles``: the share of values (in percent) that a percentile range keeps. ``bias_correction``:
    remove from each channel the mean error that rounding brings. ``input_range``: real values that synthetic
    inputs span, where there are no samples; None: 0 .. 1 for images, -1 .. 1 for everything else. UsageError
    for values out of range.
    """

    samples: int = 256
    methods: tuple[Method, ...] = METHODS
    percentiles: tuple[float, ...] = (99.9, 99.99, 99.999)
    bias_correction: bool = True
    input_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UsageError(f"calibration on {self.samples} samples", hint="at least 1")
        if not self.methods or any(m not in METHODS for m in self.methods):
            raise UsageError(f"range methods {self.methods}", hint=f"some of {', '.join(METHODS)}")
        if any(not 50 < p <= 100 for p in self.percentiles):
            raise UsageError(f"percentiles {self.percentiles}", hint="above 50, at most 100")
        if self.input_range is not None and not self.input_range[0] < self.input_range[1]:
            raise UsageError(f"input range {self.input_range}", hint="give low,high with low < high")
