"""Repetitions that an elementwise op behind them does by itself, through broadcasting, go."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.ir import Graph, Op
from tinycompile.ops import Add, Gather, Max, Min, Mul, Sub
from tinycompile.passes.rewrite import Sweep, rewrite


def use_broadcasting(graph: Graph) -> Graph:
    """``mul(x, repeat(y))`` as ``mul(x, y)``, where y has the extent 1."""
    return rewrite(graph, without_repetition)


def without_repetition(op: Op, s: Sweep) -> Op | None:
    """Read the tensor before a repetition, if the result keeps its shape."""
    if not isinstance(op, (Add, Sub, Mul, Min, Max)):
        return None
    for index, name in enumerate(op.inputs):
        repetition = s.producer(name)
        if not isinstance(repetition, Gather) or any(repetition.indices):
            continue
        source = s.tensors[repetition.inputs[0]]
        if source.shape[repetition.axis] != 1 or s.tensors[name].quant not in (None, source.quant):
            continue
        inputs = (*op.inputs[:index], source.name, *op.inputs[index + 1 :])
        if op.infer(*(s.tensors[i] for i in inputs)) == s.tensors[op.output].shape:
            return replace(op, inputs=inputs)
    return None
