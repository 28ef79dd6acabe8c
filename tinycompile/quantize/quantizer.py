"""The stage: a float32 graph to an int8 graph."""

from __future__ import annotations

from tinycompile.data import Samples
from tinycompile.ir import Graph, verify
from tinycompile.quantize.calibrate import check_samples, measure
from tinycompile.quantize.choose import choose
from tinycompile.quantize.layers import compare_layers, output_decibels
from tinycompile.quantize.recipe import Recipe
from tinycompile.quantize.report import Quantized, Report, Source
from tinycompile.quantize.rewrite import integer_graph
from tinycompile.quantize.sharing import Sharing, share
from tinycompile.quantize.synthetic import synthetic_samples

DEFAULT = Recipe()


def quantize(graph: Graph, samples: Samples | None = None, recipe: Recipe = DEFAULT) -> Quantized:
    """An integer graph that computes what ``graph`` does, and a report of what that costs.

    Activations become int8 per tensor, weights int8 per channel and symmetric, biases int32. Quantisations
    that came with the file are kept exactly, and a graph without float tensors is returned as it is.
    ``samples`` are real values in the graph's layout; without them the ranges come from synthetic inputs, and
    the report says so. QuantizationFailed where samples are empty, constant, not finite or of the wrong
    shape, or no scale can be found.
    """
    if graph.is_quantized:
        return Quantized(graph, Report("file"))
    sharing = share(graph)
    given = synthetic_samples(graph, recipe) if samples is None else samples
    check_samples(graph, given)
    data = given.spread(recipe.samples)
    choice = choose(sharing, measure(sharing, data), data, recipe)
    quants = {name: choice.quants[root] for name, root in sharing.root.items()}
    integers = verify(integer_graph(sharing.graph, quants), "quantize")
    source = _source(sharing, samples)
    if source == "file" and samples is None:
        return Quantized(integers, Report(source, 0, choice.ranges))
    integers, errors = compare_layers(sharing.graph, integers, data, correct=recipe.bias_correction)
    errors.sort(key=lambda error: error.added)
    outputs = output_decibels(errors, integers)
    report = Report(source, len(data), choice.ranges, tuple(errors), outputs)
    return Quantized(verify(integers, "bias correction"), report)


def _source(sharing: Sharing, samples: Samples | None) -> Source:
    """Where ranges come from: nowhere but the file, if that annotates everything."""
    annotated = any(t.quant is not None for t in sharing.graph.tensors.values())
    if annotated and set(sharing.pins) == set(sharing.root.values()):
        return "file"
    return "samples" if samples is not None else "synthetic"
