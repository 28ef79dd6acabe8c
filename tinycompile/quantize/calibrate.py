"""Measuring activations: the float model runs on every sample, and only histograms are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tinycompile.data import Samples
from tinycompile.errors import QuantizationFailed
from tinycompile.ir import Array, Graph, Op
from tinycompile.ops import PadOp
from tinycompile.quantize.float_model import FloatModel
from tinycompile.quantize.ranges import Histogram
from tinycompile.quantize.sharing import Sharing


def check_samples(graph: Graph, samples: Samples) -> None:
    """QuantizationFailed where calibration data is empty, constant, not finite or misshapen."""
    for name in graph.inputs:
        tensor, where = graph.tensors[name], f"calibration data, input {name!r}"
        if name not in samples.inputs:
            raise QuantizationFailed("is missing", where=where, hint=f"there is {', '.join(samples.inputs)}")
        x = samples.inputs[name]
        if x.shape[1:] != tensor.shape or x.dtype != np.dtype(tensor.dtype.value):
            raise QuantizationFailed(
                f"holds {x.dtype} samples of shape {x.shape[1:]}, the model takes {tensor}", where=where
            )
        if len(x) == 0:
            raise QuantizationFailed("holds no samples", where=where, hint="at least one, better a hundred")
        if not np.isfinite(x).all():
            bad = int(x.size - np.count_nonzero(np.isfinite(x)))
            raise QuantizationFailed(f"{bad} of {x.size} values are not finite", where=where)
        if tensor.size > 1 and x.min() == x.max():
            raise QuantizationFailed(
                f"is constant: all {x.size} values of {len(x)} samples are {x.flat[0]:g}",
                where=where,
                hint="calibrate on samples like those the model will meet",
            )


def measure(sharing: Sharing, samples: Samples) -> dict[str, Histogram]:
    """The histogram of every group whose quantisation is still open, constants included.

    Two passes: extremes first, then counts between them, so memory does not grow with the number of samples.
    QuantizationFailed names a tensor that is not finite and the sample.
    """
    sources, constants = open_sources(sharing), _constants(sharing)
    if not sources and not constants:
        return {}
    model = FloatModel(sharing.graph, [name for names in sources.values() for name in names])

    def values() -> Iterator[tuple[str, Array]]:
        for root, arrays in constants.items():
            yield from ((root, array) for array in arrays)
        for index, sample in enumerate(samples):
            found = model(sample)
            for root, names in sources.items():
                for name in names:
                    _check_finite(name, found[name], index)
                    yield root, found[name]

    ends: dict[str, tuple[float, float]] = {}
    for root, array in values():
        low, high = ends.get(root, (np.inf, -np.inf))
        ends[root] = min(low, float(array.min())), max(high, float(array.max()))
    histograms = {root: Histogram.empty(low, high) for root, (low, high) in ends.items()}
    for root, array in values():
        histograms[root].add(array)
    return histograms


def open_sources(sharing: Sharing) -> dict[str, list[str]]:
    """By group without a pin: the members that are computed, not merely copied from another member.

    Padding with anything but zero brings in a value of its own.
    """
    copies = {op.output for op in sharing.graph.ops if op.moves_data and not _adds_values(op)}
    found: dict[str, list[str]] = {}
    for root, names in sharing.members().items():
        if root not in sharing.pins:
            kept = [n for n in names if n not in copies and sharing.graph.tensors[n].data is None]
            if kept:
                found[root] = sorted(kept)
    return found


def _adds_values(op: Op) -> bool:
    return isinstance(op, PadOp) and op.mode == "constant" and op.value != 0


def _constants(sharing: Sharing) -> Mapping[str, list[Array]]:
    found: dict[str, list[Array]] = {}
    for name, root in sharing.root.items():
        data = sharing.graph.tensors[name].data
        if data is not None and root not in sharing.pins:
            found.setdefault(root, []).append(data)
    return found


def _check_finite(name: str, values: Array, index: int) -> None:
    if not np.isfinite(values).all():
        raise QuantizationFailed(
            f"is not finite for calibration sample {index}: {values.min()} .. {values.max()}",
            where=f"tensor {name!r}",
            hint="check that the samples are scaled as in training (--preprocess)",
        )
