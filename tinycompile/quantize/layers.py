"""Layer by layer beside the float network: the error of every op, and the mean error its bias can take away.

Ops run alone, in float, on a few samples: once on true inputs with true constants; once on the inputs that
the quantised network would give them, with the constants that its integers mean. Outputs are then rounded and
clipped to their int8 codes. Against the integer specification this leaves out only the rounding of
multipliers and tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from tinycompile.data import Samples
from tinycompile.ir import Array, DType, Graph, Op, Tensor
from tinycompile.quantize.float_model import FloatModel, as_float
from tinycompile.quantize.report import OpError, decibels
from tinycompile.quantize.rewrite import with_bias

BUDGET = 2e10
"""Multiply-accumulates that may be spent here: a few seconds."""
MOST_SAMPLES, LEAST_SAMPLES = 32, 2

Values = dict[str, list[Array]]


def compare_layers(source: Graph, quantized: Graph, samples: Samples, *, correct: bool) -> tuple[Graph, list[OpError]]:
    """The error of every op, in the graph's order; with ``correct``, the graph after correction of its
    biases.

    ``source`` is the float graph and ``quantized`` its integer form: the same ops in the same order.
    """
    inputs = samples.spread(_affordable(source)).inputs
    true = {name: [_rounded(v, source.tensors[name]) for v in x] for name, x in inputs.items()}
    mine = {name: [_rounded(v, quantized.tensors[name]) for v in x] for name, x in true.items()}
    last = {name: index for index, op in enumerate(source.ops) for name in op.inputs}
    ops: list[Op] = []
    biases: dict[str, Tensor] = {}
    errors: list[OpError] = []
    for index, op in enumerate(source.ops):
        step = _Step.of(op, quantized.ops[index], source, quantized)
        if correct:
            step = step.corrected(quantized, true, mine)
        ops.append(step.op)
        biases.update((bias.name, bias) for bias in step.new_bias)
        error = step.advance(true, mine)
        if error is not None:
            errors.append(error)
        for name in (n for n in op.inputs if last[n] == index):
            # Only what is still needed is kept: a network's activations do not fit in memory for every sample.
            true.pop(name, None)
            mine.pop(name, None)
    return quantized.with_ops(ops, {**quantized.tensors, **biases}), errors


def _affordable(graph: Graph) -> int:
    cost = 4 * sum(op.features(graph.io(op)).macs + graph.tensors[op.output].size for op in graph.ops)
    return int(min(max(BUDGET // max(cost, 1), LEAST_SAMPLES), MOST_SAMPLES))


@dataclass(frozen=True)
class _Step:
    """One op: its integer form, its float meaning with true and with quantised constants, neither clipped."""

    op: Op
    true: FloatModel
    mine: FloatModel
    clip: tuple[float, float]
    out: Tensor
    meant: Tensor
    """The output in the source: where the file quantises it, that rounding is part of what the file means."""
    own_weights: bool
    shift: Array | float = 0.0
    new_bias: tuple[Tensor, ...] = ()

    @staticmethod
    def of(op: Op, integer: Op, source: Graph, quantized: Graph) -> _Step:
        true, clip = _alone(op, source)
        mine = true
        if any(quantized.tensors[n].data is not None for n in integer.inputs):
            mine = _alone(integer, quantized)[0]
        weights = [source.tensors[n] for i, n in enumerate(op.inputs) if op.role(i) == "weight"]
        own = all(w.dtype is DType.FLOAT32 for w in weights)
        return _Step(integer, true, mine, clip, quantized.tensors[op.output], source.tensors[op.output], own)

    def before_clip(self, model: FloatModel, values: Values) -> list[Array]:
        """The op's unclipped output for every sample."""
        count = len(next(iter(values.values())))
        name = self.out.name
        return [model({n: values[n][i] for n in model.inputs})[name] for i in range(count)]

    def corrected(self, quantized: Graph, true: Values, mine: Values) -> _Step:
        """With the mean error of each channel moved into the bias; as it is, for ops without weights of our
        making.
        """
        roles = {self.op.role(i): n for i, n in enumerate(self.op.inputs)}
        if "weight" not in roles or not self.own_weights:
            return self
        pairs = zip(self.before_clip(self.true, true), self.before_clip(self.mine, mine), strict=True)
        errors = np.stack([(t - m).reshape(-1, t.shape[-1]).mean(axis=0, dtype=np.float64) for t, m in pairs])
        old = quantized.tensors[roles["bias"]].real if "bias" in roles else np.zeros(errors.shape[1])
        changed, bias = with_bias(quantized, self.op, old + reliable_mean(errors))
        return replace(self, op=changed, shift=(bias.real - old).astype(np.float32), new_bias=(bias,))

    def advance(self, true: Values, mine: Values) -> OpError | None:
        """Compute the output, true and quantised, and what separates them; None for labels."""
        if self.out.dtype is not DType.INT8:
            true[self.out.name] = mine[self.out.name] = self.before_clip(self.true, true)
            return None
        exact = [_rounded(np.clip(v, *self.clip), self.meant) for v in self.before_clip(self.true, true)]
        alone = self._finished(self.before_clip(self.mine, true))
        whole = self._finished(self.before_clip(self.mine, mine))
        true[self.out.name], mine[self.out.name] = exact, whole
        kind = type(self.op).__name__
        return OpError(self.op.name, kind, self.out.name, decibels(exact, alone), decibels(exact, whole))

    def _finished(self, values: list[Array]) -> list[Array]:
        return [_rounded(np.clip(v + self.shift, *self.clip), self.out) for v in values]


def reliable_mean(errors: Array) -> Array:
    """The mean over axis 0 (samples), shrunk towards zero by how uncertain it is.

    The positive-part James-Stein factor 1 - variance of the mean / mean**2: a mean that the samples do not
    support would add as much error as it takes away.
    """
    mean = errors.mean(axis=0)
    if len(errors) < 2:
        return np.zeros_like(mean)
    variance = errors.var(axis=0, ddof=1) / len(errors)
    factor = 1 - variance / np.maximum(np.square(mean), np.finfo(np.float64).tiny)
    return np.asarray(mean * np.maximum(factor, 0))


def _alone(op: Op, graph: Graph) -> tuple[FloatModel, tuple[float, float]]:
    """The float meaning of one op without its clip, and the clip."""
    clip = (-math.inf, math.inf)
    if any(f.name == "clip" for f in fields(op)):
        clip, op = op.clip, replace(op, clip=clip)  # type: ignore[attr-defined, call-arg]
    names = tuple(dict.fromkeys(n for n in op.inputs if graph.tensors[n].data is None))
    single = replace(as_float(graph.with_ops((op,), inputs=names, outputs=(op.output,))), ports={})
    return FloatModel(single, [op.output]), clip


def _rounded(real: Array, tensor: Tensor) -> Array:
    """The real values that a tensor's codes can express."""
    return tensor.q.decode(tensor.q.encode(real, DType.INT8)) if tensor.quant else real


def output_decibels(errors: list[OpError], graph: Graph) -> Mapping[str, float]:
    """Signal to noise ratio of each output of ``graph``, where an op of int8 output made it."""
    return {e.output: e.total for e in errors if e.output in graph.outputs}
