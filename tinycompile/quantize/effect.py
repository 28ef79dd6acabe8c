"""What a range costs at the end: the error at the network's outputs when one group alone is quantised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.data import Samples
from tinycompile.ir import IO, Array, DType, Graph, OnnxWriter, Op, Shape, Tensor
from tinycompile.quantize.calibrate import open_sources
from tinycompile.quantize.float_model import FloatModel
from tinycompile.quantize.ranges import Candidate
from tinycompile.quantize.sharing import Sharing

BUDGET = 2e10
"""Multiply-accumulates that may be spent on comparing ranges: a few seconds."""
PER_OP = 50_000
"""What starting an op in ONNX Runtime costs, in the time of multiply-accumulates."""
MOST_SAMPLES, LEAST_SAMPLES = 32, 4


@dataclass(frozen=True)
class SimulatedQuantization(Op):
    """x rounded and clipped to int8 of a scale and a zero point that are inputs, or x itself where ``on`` is
    0.

    Inputs: x, scale, zero point, on (float32 scalars). Exists only in exports that compare ranges.
    """

    def infer(self, *inputs: Tensor) -> Shape:
        """The shape of x."""
        return inputs[0].shape

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """QuantizeLinear, DequantizeLinear, Where."""
        x, scale, zero_point, on = self.inputs
        # TensorProto.INT8 is 3, BOOL is 9.
        zero = w.node("Cast", [zero_point], to=3)
        real = w.node("DequantizeLinear", [w.node("QuantizeLinear", [x, scale, zero]), scale, zero])
        w.node("Where", [w.node("Cast", [on], to=9), real, x], self.output)


def samples_affordable(graph: Graph, comparisons: int) -> int:
    """On how many samples so many comparisons may be made; 0 where too few for a judgement."""
    cost = sum(op.features(graph.io(op)).macs + 8 * graph.tensors[op.output].size + PER_OP for op in graph.ops)
    count = int(BUDGET // max(cost * comparisons, 1))
    return min(count, MOST_SAMPLES) if count >= LEAST_SAMPLES else 0


def output_errors(
    sharing: Sharing, options: Mapping[str, Sequence[Candidate]], samples: Samples
) -> dict[str, list[float]]:
    """For each group and each of its candidates: the relative mean square error at the network's outputs.

    Everything but that group stays float. Errors are taken before a final softmax, which would hide them, and
    are relative to the outputs' mean square over all samples: relative to each sample's own, samples of little
    signal would decide, and the others be clipped. ``options`` names groups by their root.
    """
    sources = {root: names for root, names in open_sources(sharing).items() if root in options}
    model, sinks = _simulator(sharing.graph, sources)
    run = _Run(model, sinks, list(options))
    truth = [run(sample, None, None) for sample in samples]
    found = {}
    for root, proposals in options.items():
        found[root] = [_relative([run(s, root, c) for s in samples], truth) for c in proposals]
    return found


@dataclass(frozen=True)
class _Run:
    """The model with at most one group quantised."""

    model: FloatModel
    sinks: list[str]
    roots: list[str]

    def __call__(self, sample: Mapping[str, Array], root: str | None, candidate: Candidate | None) -> list[Array]:
        feeds = dict(sample)
        for name in self.roots:
            quant = candidate.quant if candidate is not None and name == root else None
            feeds[f"{name}#scale"] = np.array(quant.scalar if quant else 1, np.float32)
            feeds[f"{name}#zero"] = np.array(quant.zero_point if quant else 0, np.float32)
            feeds[f"{name}#on"] = np.array(quant is not None, np.float32)
        values = self.model(feeds)
        return [values[name] for name in self.sinks]


def _relative(values: list[list[Array]], truth: list[list[Array]]) -> float:
    """Noise over signal of every sink (the inner lists), each over all samples; their mean."""
    parts = []
    for mine, exact in zip(zip(*values, strict=True), zip(*truth, strict=True), strict=True):
        noise = sum(float(np.square(v - t, dtype=np.float64).sum()) for v, t in zip(mine, exact, strict=True))
        signal = sum(float(np.square(t, dtype=np.float64).sum()) for t in exact)
        parts.append(noise / max(signal, 1e-30))
    return sum(parts) / len(parts)


def _simulator(graph: Graph, sources: Mapping[str, Sequence[str]]) -> tuple[FloatModel, list[str]]:
    """``graph`` with a switchable quantisation behind every source of every group, and the outputs to
    compare.
    """
    root_of = {name: root for root, names in sources.items() for name in names}
    renamed = {name: f"{name}#quantized" for name in root_of}
    tensors = dict(graph.tensors)
    tensors.update((new, replace(tensors[old], name=new, quant=None)) for old, new in renamed.items())
    for root in sources:
        tensors.update((f"{root}#{k}", Tensor(f"{root}#{k}", ())) for k in ("scale", "zero", "on"))
    ops: list[Op] = []
    for name in (n for n in graph.inputs if n in root_of):
        ops.append(_simulated(name, root_of[name], renamed[name]))
    for op in graph.ops:
        ops.append(replace(op, inputs=tuple(renamed.get(n, n) for n in op.inputs)))
        if op.output in root_of:
            ops.append(_simulated(op.output, root_of[op.output], renamed[op.output]))
    sinks = [renamed.get(n, n) for n in compared(graph)]
    inputs = (*graph.inputs, *(f"{root}#{k}" for root in sources for k in ("scale", "zero", "on")))
    outputs = tuple(renamed.get(n, n) for n in graph.outputs)
    changed = graph.with_ops(ops, tensors, inputs=inputs, outputs=outputs, ports={})
    return FloatModel(changed, sinks), sinks


def _simulated(name: str, root: str, output: str) -> Op:
    inputs = (name, f"{root}#scale", f"{root}#zero", f"{root}#on")
    return SimulatedQuantization(f"{name}#simulated", inputs, output)


def compared(graph: Graph) -> list[str]:
    """The tensors in which errors are judged: the outputs, or what a final op of known range or a label
    reads.
    """
    producers = graph.producers()
    found = []
    for name in graph.outputs:
        while (op := producers.get(name)) is not None and (
            op.moves_data or op.fixed_quant(graph.io(op)) is not None or graph.tensors[name].dtype is not DType.FLOAT32
        ):
            name = op.inputs[0]
        found.append(name)
    return list(dict.fromkeys(found))
