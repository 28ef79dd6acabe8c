"""Rebuilds a graph op by op under local rules, until none of them applies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import Array, DType, Graph, Op, Quant, Shape, Tensor
from tinycompile.ops import Reshape, Unary

MAX_SWEEPS = 500
"""Far above what any graph needs: a sweep carries a transpose through the whole graph."""

Rule = Callable[[Op, "Sweep"], "Op | str | None"]
"""What an op becomes: another op with the same output, the name of a tensor that equals it, or None: no change."""


class Sweep:
    """One pass over the ops in order: those already placed, and what rules may ask and add."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.ops: dict[str, Op] = {}
        self.uses: Counter[str] = Counter(n for op in graph.ops for n in op.inputs)
        self.uses.update(graph.outputs)
        self.readers: Counter[str] = Counter(self.uses)
        """Uses of each tensor when the sweep began."""
        self._aliases: dict[str, str] = {}
        self._renames: dict[str, str] = {}
        self._op_names = {op.name for op in graph.ops}

    # What rules ask

    def producer(self, name: str) -> Op | None:
        """The op that writes the tensor, as it stands now."""
        return self.ops.get(name)

    def sole(self, name: str) -> Op | None:
        """The op that writes the tensor, if only one op reads it and it is no output of the graph."""
        return self.ops.get(name) if self.uses[name] == 1 and name not in self.graph.outputs else None

    def constant(self, name: str) -> Array | None:
        """Values of a float32 constant; None for activations and for quantised constants."""
        tensor = self.tensors[name]
        return tensor.data if tensor.dtype is DType.FLOAT32 else None

    # What rules add

    def fresh(self, hint: str) -> str:
        """A tensor name that is not taken."""
        name, count = hint, 2
        while name in self.tensors or name in self._op_names:
            name, count = f"{hint}_{count}", count + 1
        return name

    def put(self, hint: str, values: Array, quant: Quant | None = None) -> str:
        """Add a constant; float values become float32."""
        if values.dtype == np.float64:
            values = values.astype(np.float32)
        tensor = Tensor.constant(self.fresh(hint), values, quant)
        self.tensors[tensor.name] = tensor
        return tensor.name

    def emit(
        self, kind: type[Op], inputs: Sequence[str], hint: str, quant: Quant | None = None, /, **fields: Any
    ) -> str:
        """Add an op before the one at hand; returns the name of its output."""
        output = self.fresh(hint)
        op = kind(output, tuple(inputs), output, **fields)
        self._op_names.add(output)
        shape = op.infer(*(self.tensors[i] for i in inputs))
        self.tensors[output] = Tensor(output, shape, self.tensors[inputs[0]].dtype, quant)
        self.ops[output] = op
        self.uses.update(inputs)
        return output

    def identity(self, op: Op, x: str) -> Op | str | None:
        """``op`` changes nothing: what it becomes, given that its output equals tensor ``x``."""
        out, source = self.tensors[op.output], self.tensors[x]
        if out.quant not in (None, source.quant):
            if source.quant is not None or self.uses[x] > 1 or source.data is not None:
                return Unary(op.name, (x,), op.output)
            self.tensors[x] = source.like(quant=out.quant)
        if op.output not in self.graph.outputs:
            return x
        if x in self.graph.inputs or x in self.graph.outputs or source.data is not None or x in self._renames:
            same = Reshape(op.name, (x,), op.output, shape=out.shape)
            return None if same == op else same
        self._renames[x] = op.output
        return x

    # The sweep

    def run(self, rules: Sequence[Rule]) -> tuple[Graph, bool]:
        """The graph after one sweep, and whether anything changed."""
        changed = False
        for op in self.graph.ops:
            op = self._resolved(op)
            for rule in rules:
                result = rule(op, self)
                if result is None:
                    continue
                changed = True
                if isinstance(result, str):
                    self._aliases[op.output] = result
                    self.uses[result] += self.uses[op.output]
                    break
                op = result
                self.uses.update(op.inputs)
            else:
                self.ops[op.output] = op
        return self._graph(), changed

    def _resolved(self, op: Op) -> Op:
        if not any(name in self._aliases for name in op.inputs):
            return op
        return replace(op, inputs=tuple(self._aliases.get(name, name) for name in op.inputs))

    def _graph(self) -> Graph:
        ops, tensors = list(self.ops.values()), self.tensors
        for old, new in self._renames.items():
            tensors[new] = tensors.pop(old).like(name=new)
            ops = [_renamed(op, old, new) for op in ops]
        return without_dead(self.graph.with_ops(ops, tensors))


def _renamed(op: Op, old: str, new: str) -> Op:
    inputs = tuple(new if n == old else n for n in op.inputs)
    return replace(op, inputs=inputs, output=new if op.output == old else op.output)


def without_dead(graph: Graph) -> Graph:
    """The graph without ops that no output depends on."""
    live = set(graph.outputs)
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if op.output in live:
            live.update(op.inputs)
            kept.append(op)
    return graph.with_ops(reversed(kept))


def rewrite(graph: Graph, *rules: Rule) -> Graph:
    """Apply the rules everywhere, again and again until nothing changes; ops that become dead go."""
    graph = without_dead(graph)
    for _ in range(MAX_SWEEPS):
        graph, changed = Sweep(graph).run(rules)
        if not changed:
            return graph
    raise InternalError(f"rules {[r.__name__ for r in rules]} do not come to rest", where=graph.name)


def only_last_axis(values: Array, channels: int) -> Array | None:
    """float64[channels] of a constant that varies along the last axis at most; None where it varies elsewhere."""
    if values.size == 1:
        return np.full(channels, float(values.reshape(-1)[0]))
    if values.shape[-1] != channels or values.size != channels:
        return None
    return values.reshape(-1).astype(np.float64)


def permuted(shape: Shape, perm: Sequence[int]) -> Shape:
    """``shape`` with its axes permuted."""
    return tuple(shape[i] for i in perm)
