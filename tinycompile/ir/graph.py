"""The graph: ops that name their tensors, and the tensors, which the graph owns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir.op import IO, Op, Rounding
from tinycompile.ir.tensor import Array, DType, Names, Shape, Tensor


@dataclass(frozen=True)
class Port:
    """How a graph input or output looked in the file it came from.

    ``shape`` and ``dtype`` are the file's; ``perm`` brings the file's axes into the graph's order
    (``graph = file.transpose(perm)``), so NCHW files have (0, 2, 3, 1). ``classes`` are what the indices
    of a label output stand for, where that is not the index itself.
    """

    shape: Shape
    perm: tuple[int, ...]
    dtype: str = "float32"
    classes: tuple[str | int, ...] = ()

    @staticmethod
    def same(shape: Shape, dtype: str = "float32") -> Port:
        """A port whose layout is the graph's own."""
        return Port(shape, tuple(range(len(shape))), dtype)

    @property
    def layout(self) -> str:
        """The graph's layout of this tensor in words: NHWC, or the axes of the file in the graph's order."""
        if self.perm == (0, 2, 3, 1):
            return "NHWC"
        if self.perm == (0, 2, 1):
            return "NWC"
        if self.perm == tuple(range(len(self.perm))):
            return "as in the file"
        return "file axes " + ",".join(map(str, self.perm))

    def to_graph(self, x: Array) -> Array:
        """An array in the file's layout to the graph's."""
        return np.ascontiguousarray(x.reshape(self.shape).transpose(self.perm))

    def to_file(self, x: Array) -> Array:
        """An array in the graph's layout to the file's."""
        return np.ascontiguousarray(x.transpose(np.argsort(self.perm)).reshape(self.shape))


@dataclass(frozen=True, eq=False)
class Graph:
    """A network. ``ops`` is in a valid order; ``tensors`` holds inputs, constants and every op's output."""

    name: str
    inputs: Names
    outputs: Names
    ops: tuple[Op, ...]
    tensors: Mapping[str, Tensor]
    rounding: Rounding = "native"
    ports: Mapping[str, Port] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        object.__setattr__(self, "ports", MappingProxyType(dict(self.ports)))

    def io(self, op: Op) -> IO:
        """The tensors that ``op`` reads and writes."""
        return IO(tuple(self.tensors[n] for n in op.inputs), self.tensors[op.output], self.rounding)

    def port(self, name: str) -> Port:
        """How input or output ``name`` looks in its file."""
        return self.ports.get(name) or Port.same(self.tensors[name].shape, self.tensors[name].dtype.value)

    @property
    def is_quantized(self) -> bool:
        """Whether no float32 tensor is left."""
        return all(t.dtype is not DType.FLOAT32 for t in self.tensors.values())

    def producers(self) -> dict[str, Op]:
        """The op that writes each tensor."""
        return {op.output: op for op in self.ops}

    def consumers(self) -> dict[str, list[Op]]:
        """The ops that read each tensor, in order; every tensor has an entry."""
        users: dict[str, list[Op]] = {name: [] for name in self.tensors}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                users[name].append(op)
        return users

    def with_ops(self, ops: Iterable[Op], tensors: Mapping[str, Tensor] | None = None, **changes: Any) -> Graph:
        """A graph with other ops; tensors that nothing names any more are dropped."""
        ops = tuple(ops)
        pool = self.tensors if tensors is None else tensors
        used = {*changes.get("inputs", self.inputs), *changes.get("outputs", self.outputs)}
        used.update(name for op in ops for name in (*op.inputs, op.output))
        return replace(self, ops=ops, tensors={n: t for n, t in pool.items() if n in used}, **changes)

    def with_tensors(self, *tensors: Tensor) -> Graph:
        """A graph in which these tensors replace (or join) those of the same name."""
        return replace(self, tensors={**self.tensors, **{t.name: t for t in tensors}})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return False
        mine = (self.name, self.inputs, self.outputs, self.ops, self.rounding, dict(self.ports))
        theirs = (other.name, other.inputs, other.outputs, other.ops, other.rounding, dict(other.ports))
        return mine == theirs and dict(self.tensors) == dict(other.tensors)

    def __hash__(self) -> int:
        return hash((self.name, self.inputs, self.outputs, self.ops))

    def __str__(self) -> str:
        lines = [f"graph {self.name} ({self.rounding})"]
        lines += [f"  input  {n}: {self.tensors[n]}" for n in self.inputs]
        for op in self.ops:
            args = ", ".join(n if self.tensors[n].data is None else f"{n}: {self.tensors[n]}" for n in op.inputs)
            lines.append(f"  {op.output}: {self.tensors[op.output]} = {op.label()}({args})")
        lines += [f"  output {n}" for n in self.outputs]
        return "\n".join(lines)


def verify(graph: Graph, after: str = "") -> Graph:
    """Check every invariant of a graph and return it; InternalError names the tensor and the pass (``after``)."""
    where = f"after {after}" if after else graph.name

    def fail(what: str) -> None:
        raise InternalError(what, where=where, hint="this is a bug in tinycompile: please report it with the model")

    known = set(graph.inputs) | {n for n, t in graph.tensors.items() if t.data is not None}
    for name, tensor in graph.tensors.items():
        if name != tensor.name:
            fail(f"tensor {tensor.name!r} is filed under {name!r}")
        if any(d < 1 for d in tensor.shape):
            fail(f"tensor {name!r} has the empty shape {tensor.shape}")
        _check_quant(tensor, fail)
    if len({op.name for op in graph.ops}) != len(graph.ops):
        fail("two ops share one name")
    for op in graph.ops:
        missing = [n for n in op.inputs if n not in known]
        if missing:
            fail(f"op {op.name!r} reads {missing[0]!r} before anything writes it")
        if op.output in known:
            fail(f"tensor {op.output!r} is written twice")
        known.add(op.output)
        io = graph.io(op)
        shape = op.infer(*io.inputs)
        if shape != io.out.shape:
            fail(f"op {op.name!r} ({op.label()}) makes {shape}, but {op.output!r} is declared {io.out.shape}")
    for name in graph.outputs:
        if name not in known:
            fail(f"graph output {name!r} is never written")
    return graph


def _check_quant(tensor: Tensor, fail: Any) -> None:
    quant = tensor.quant
    if quant is None:
        if tensor.dtype in (DType.INT8, DType.INT16):
            fail(f"integer tensor {tensor.name!r} has no quantisation")
        return
    if not all(np.isfinite(s) and s > 0 for s in quant.scale):
        fail(f"tensor {tensor.name!r} has a scale that is not positive")
    if quant.axis is not None and tensor.shape[quant.axis] != len(quant.scale):
        fail(f"tensor {tensor.name!r} of shape {tensor.shape} has {len(quant.scale)} scales on axis {quant.axis}")
    if tensor.dtype is DType.INT8 and not -128 <= quant.zero_point <= 127:
        fail(f"tensor {tensor.name!r} has zero point {quant.zero_point}, outside int8")
