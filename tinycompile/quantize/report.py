"""What quantisation decided, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tinycompile.ir import Array, Graph

Source = Literal["samples", "synthetic", "file"]


@dataclass(frozen=True)
class TensorRange:
    """The range of one group of tensors: who proposed it, and its signal to quantisation noise in decibels.

    ``method`` is an observer's name, "data" (the quantisation in which the samples are stored), "file" (an
    annotation of the model file) or "known" (the op's range is known beforehand); ``snr`` is None for the
    last two.
    """

    tensor: str
    method: str
    low: float
    high: float
    scale: float
    zero_point: int
    snr: float | None


@dataclass(frozen=True)
class OpError:
    """Signal to noise ratio of an op's output in decibels, against float.

    ``added``: true inputs, so the noise is what this op alone adds. ``total``: the whole network up to here
    is quantised. Both come from the calibration samples.
    """

    op: str
    kind: str
    output: str
    added: float
    total: float


@dataclass(frozen=True)
class Report:
    """Where ranges came from, what they are, and the error of every op, the one that adds most first.

    ``source`` "synthetic" means that ranges were not measured on real data; "file" that the model came
    quantised: then there are no errors to report, unless samples were given.
    """

    source: Source
    samples: int = 0
    ranges: tuple[TensorRange, ...] = ()
    ops: tuple[OpError, ...] = ()
    outputs: Mapping[str, float] | None = None
    """Signal to noise ratio of each output in decibels, where it is known."""

    @property
    def measured(self) -> bool:
        """Whether every range rests on the user's data or on the model file."""
        return self.source != "synthetic"

    @property
    def summary(self) -> str:
        """One sentence for people."""
        if self.source == "file":
            return "the model came quantised: its own parameters are kept"
        if self.source == "synthetic":
            return "NOT measured on real data but on synthetic inputs: give --calibration"
        return f"measured on {self.samples} calibration sample{'s' if self.samples != 1 else ''}"

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; infinite ratios (no error at all) become None."""
        plain = {**asdict(self), "measured": self.measured, "summary": self.summary}
        return {key: _finite(value) for key, value in plain.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Quantized:
    """An integer graph and how it came about."""

    graph: Graph
    report: Report


def decibels(truth: Sequence[Array], values: Sequence[Array]) -> float:
    """10 log10 of signal power over noise power, over all arrays; infinite where nothing differs."""
    signal = sum(float(np.square(t, dtype=np.float64).sum()) for t in truth)
    noise = sum(float(np.square(t - v, dtype=np.float64).sum()) for t, v in zip(truth, values, strict=True))
    return ratio_decibels(signal, noise)


def ratio_decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise), infinite for no noise and minus infinite for noise without signal."""
    if noise <= 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
