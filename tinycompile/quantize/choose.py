"""The quantisation of every activation: among what observers propose, the one that causes the least error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter

from tinycompile.data import Samples
from tinycompile.errors import QuantizationFailed
from tinycompile.ir import Graph, Op, Quant
from tinycompile.ops.instance_norm import InstanceNorm
from tinycompile.ops.mat_mul import MatMul
from tinycompile.ops.mul import Mul
from tinycompile.ops.softmax import LogSoftmax, Softmax
from tinycompile.ops.unary import Unary
from tinycompile.quantize.constants import weight_scales
from tinycompile.quantize.effect import compared, output_errors, samples_affordable
from tinycompile.quantize.ranges import Candidate, Histogram, affine, candidates, span
from tinycompile.quantize.recipe import Recipe
from tinycompile.quantize.report import TensorRange, ratio_decibels
from tinycompile.quantize.sharing import Sharing

ALIKE = 1.1
"""Candidates whose own error is within this factor of the least are not worth a comparison at the outputs."""
LARGEST_MULTIPLIER = 2.0**19
"""What requantisation can multiply an accumulator by (``numerics.native_multiplier``)."""
LARGEST_RATIO = 2.0**12
"""What we let it multiply by: an output finer than that would show nothing but whole steps of the accumulator."""


@dataclass(frozen=True)
class Choice:
    """Quantisation by group, and a description of each decision."""

    quants: Mapping[str, Quant]
    ranges: tuple[TensorRange, ...]


def choose(sharing: Sharing, histograms: Mapping[str, Histogram], samples: Samples, recipe: Recipe) -> Choice:
    """A quantisation for every group of ``sharing``; ``histograms`` holds those without a pin."""
    stored = {sharing.root[n]: q for n, q in samples.quants.items() if n in sharing.root and _fits_int8(q)}
    options = {}
    for root, histogram in histograms.items():
        proposals = candidates(histogram, recipe)
        if root in stored:
            proposals.insert(0, Candidate("data", stored[root]))
        if root in sharing.known:
            proposals.append(Candidate("known", sharing.known[root]))
        options[root] = sorted(proposals, key=lambda c: histogram.error(c.quant))
    best = {root: found[0] for root, found in options.items()}
    best.update(_by_output(sharing, histograms, options, samples))
    quants = {**sharing.pins, **_widened(sharing, {root: c.quant for root, c in best.items()})}
    return Choice(quants, tuple(_described(sharing, histograms, best, quants)))


def _fits_int8(quant: Quant) -> bool:
    return -128 <= quant.zero_point <= 127


def _by_output(
    sharing: Sharing,
    histograms: Mapping[str, Histogram],
    options: Mapping[str, list[Candidate]],
    samples: Samples,
) -> dict[str, Candidate]:
    """Where candidates differ enough to matter, the one that the network's outputs notice least.

    The outputs themselves need no such comparison: there a histogram, which has seen every sample, is exact.
    """
    unclear = {}
    decided = {sharing.root[name] for name in compared(sharing.graph) if name in sharing.root}
    for root, found in options.items():
        if root in decided:
            continue
        errors = [histograms[root].error(c.quant) for c in found]
        if errors[-1] > ALIKE * errors[0] > 0:
            unclear[root] = found
    count = samples_affordable(sharing.graph, sum(map(len, unclear.values())))
    if not unclear or not count:
        return {}
    measured = output_errors(sharing, unclear, samples.spread(count))
    return {root: min(zip(measured[root], found, strict=True), key=itemgetter(0))[1] for root, found in unclear.items()}


def _widened(sharing: Sharing, quants: dict[str, Quant]) -> dict[str, Quant]:
    """``quants`` with outputs coarsened where they would be far finer than the accumulator they come from.

    QuantizationFailed where the file fixes an output that no multiplier can reach.
    """
    graph, root = sharing.graph, sharing.root
    for op in graph.ops:
        group = root.get(op.output)
        if group is None or op.moves_data:
            continue
        unit = _unit(op, graph, {n: (quants.get(r) or sharing.pins[r]).scalar for n, r in root.items()})
        ratio = unit / (quants.get(group) or sharing.pins[group]).scalar
        if group in quants and ratio > LARGEST_RATIO:
            low, high = span(quants[group])
            quants[group] = affine(low * ratio / LARGEST_RATIO, high * ratio / LARGEST_RATIO)
        elif ratio >= LARGEST_MULTIPLIER:
            raise QuantizationFailed(
                f"one unit of its accumulator is {ratio:.3g} steps of its output, the limit is {LARGEST_MULTIPLIER:g}",
                where=f"op {op.name!r}",
                hint="the scales in the model file are damaged, or made for another operator",
            )
    return quants


def _unit(op: Op, graph: Graph, scales: Mapping[str, float]) -> float:
    """The real value of one unit of an op's accumulator, the largest over its channels; 0 where it has none."""
    if isinstance(op, (Unary, Softmax, LogSoftmax, InstanceNorm)):
        return 0.0
    mine = [scales[n] for i, n in enumerate(op.inputs) if op.role(i) == "activation" and n in scales]
    weights = [graph.tensors[n] for i, n in enumerate(op.inputs) if op.role(i) == "weight"]
    if weights and mine:
        w = weights[0]
        return mine[0] * max(w.quant.scale if w.quant else weight_scales(w.real))
    if isinstance(op, (Mul, MatMul)) and len(mine) == 2:
        return mine[0] * mine[1]
    return max(mine, default=0.0)


def _described(
    sharing: Sharing,
    histograms: Mapping[str, Histogram],
    best: Mapping[str, Candidate],
    quants: Mapping[str, Quant],
) -> list[TensorRange]:
    described = []
    annotated = {sharing.root[n] for n in sharing.root if sharing.graph.tensors[n].quant is not None}
    for root, quant in quants.items():
        low, high = span(quant)
        method = best[root].method if root in best else "file" if root in annotated else "known"
        snr = None
        if root in histograms:
            snr = ratio_decibels(histograms[root].power(), histograms[root].error(quant))
        described.append(TensorRange(root, method, low, high, quant.scalar, quant.zero_point, snr))
    return described
