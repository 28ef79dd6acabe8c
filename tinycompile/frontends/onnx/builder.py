"""The graph under construction: what is known of every ONNX value, and the ops emitted so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from tinycompile.errors import ImportFailed, InternalError, TinycompileError, Unsupported, UnsupportedOp
from tinycompile.frontends.onnx import fold
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.reader import MAX_ELEMENTS, Model, Value
from tinycompile.frontends.onnx.registry import IMPORTERS, find
from tinycompile.ir import Array, DType, Graph, Op, Port, Quant, Shape, Tensor, verify
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose

FLOATS = ("float32", "float16", "float64")
INTEGERS = {"int8": Quant.per_tensor(1, 0), "uint8": Quant.per_tensor(1, -128)}
"""Integer inputs that a graph may have, with their meaning where the graph only casts them to float."""

MALFORMED = (ArithmeticError, LookupError, TypeError, ValueError, ImportFailed, InternalError)
"""What a node with senseless shapes or attributes makes an importer raise: a refusal of that node, no bug."""


class Builder:
    """Imports a model node by node, in ONNX's own layout; the passes settle the layout afterwards."""

    def __init__(self, model: Model, input_shapes: Mapping[str, Shape]) -> None:
        self.model = model
        self.known: dict[str, Array] = dict(model.constants)
        self.quants: dict[str, Quant] = {}
        """How integer values of the file are to be read: constants in ``known``, and quantised activations."""
        self.names: dict[str, str] = {}
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.ports: dict[str, Port] = {}
        self.classes: dict[str, tuple[str | int, ...]] = {}
        self.problems: list[Unsupported] = []
        self.poisoned: set[str] = set()
        self.unbound: dict[str, Node] = {}
        self._op_names: set[str] = set()
        self._folded = 0
        unknown = set(input_shapes) - {v.name for v in model.inputs}
        if unknown:
            have = ", ".join(v.name for v in model.inputs)
            raise ImportFailed(f"has no input {min(unknown)!r}", where=model.name, hint=f"its inputs are: {have}")
        for value in model.inputs:
            self._add_input(value, input_shapes)

    def _add_input(self, value: Value, input_shapes: Mapping[str, Shape]) -> None:
        shape = _static(value, input_shapes.get(value.name), self.model.name)
        if value.dtype not in (*FLOATS, *INTEGERS):
            raise ImportFailed(
                f"input {value.name!r} has element type {value.dtype}",
                where=self.model.name,
                hint="inputs must be float32, or quantised int8 or uint8",
            )
        self.tensors[value.name] = Tensor(value.name, shape)
        self.names[value.name] = value.name
        self.ports[value.name] = Port.same(shape, value.dtype)

    # What importers ask about the values that a node reads

    def is_known(self, name: str) -> bool:
        """Whether the value is a constant."""
        return name in self.known

    def constant(self, name: str, what: str = "operand") -> Array:
        """A constant in real values; Rejected where it is computed from the graph's input."""
        if name not in self.known:
            raise Rejected(f"its {what} {name!r} must be a constant")
        quant = self.quants.get(name)
        return quant.decode(self.known[name]) if quant else self.known[name]

    def integers(self, name: str, what: str) -> tuple[int, ...]:
        """A constant list of integers (a shape, axes, pads)."""
        values = self.constant(name, what)
        if values.dtype.kind not in "iu":
            raise Rejected(f"its {what} {name!r} holds {values.dtype} instead of integers")
        return tuple(int(v) for v in values.ravel())

    def tensor(self, name: str) -> Tensor:
        """The tensor of a value; constants become tensors of the graph."""
        return self.tensors[self.operand(name)]

    def shape(self, name: str) -> Shape:
        """Shape of a value, constant or not."""
        return tuple(self.known[name].shape) if name in self.known else self.tensor(name).shape

    def operand(self, name: str) -> str:
        """The tensor's name in the graph; float constants are added to it."""
        if name in self.names:
            return self.names[name]
        return self.put(name, self.constant(name).astype(np.float32))

    # What importers emit

    def fresh(self, hint: str) -> str:
        """A tensor name that is not taken."""
        name, count = hint, 2
        while name in self.tensors:
            name, count = f"{hint}_{count}", count + 1
        return name

    def put(self, hint: str, data: Array, quant: Quant | None = None) -> str:
        """Add a constant tensor; Rejected where a value is infinite or no number."""
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise Rejected(f"its constant {hint!r} holds values that are not finite")
        name = self.fresh(hint)
        self.tensors[name] = Tensor.constant(name, np.asarray(data), quant)
        return name

    def add(
        self, kind: type[Op], inputs: Sequence[str], output: str, dtype: DType = DType.FLOAT32, /, **attributes: Any
    ) -> str:
        """Append an op on tensors of the graph; returns its output's name (``output``, or a fresh variant)."""
        name, count = output, 2
        while name in self._op_names:
            name, count = f"{output}_{count}", count + 1
        op = kind(name, tuple(inputs), self.fresh(output), **attributes)
        shape = tuple(int(d) for d in op.infer(*(self.tensors[i] for i in inputs)))
        if any(d < 1 for d in shape):
            raise Rejected(f"makes the empty shape {shape}")
        if prod(shape) > MAX_ELEMENTS:
            raise Rejected(f"makes a tensor of shape {shape}, more than {MAX_ELEMENTS:,} elements")
        self._op_names.add(name)
        self.ops.append(op)
        self.tensors[op.output] = Tensor(op.output, shape, dtype)
        if kind.moves_data and inputs[0] in self.classes:
            self.classes[op.output] = self.classes[inputs[0]]
        return op.output

    def bind(self, name: str, tensor: str) -> None:
        """From here on the ONNX value ``name`` is this tensor of the graph."""
        self.names[name] = tensor

    def reshape(self, x: str, shape: Shape, output: str) -> str:
        """``x`` under another shape; itself where it has that shape already."""
        tensor = self.tensors[x]
        if tensor.shape == shape:
            return x
        return self.add(Reshape, (x,), output, tensor.dtype, shape=shape)

    def transpose(self, x: str, perm: Sequence[int], output: str) -> str:
        """``x`` with its axes permuted."""
        if tuple(perm) == tuple(range(len(perm))):
            return x
        return self.add(Transpose, (x,), output, self.tensors[x].dtype, perm=tuple(perm))

    def name_classes(self, tensor: str, classes: Array) -> None:
        """The tensor holds indices into ``classes``; numbers 0, 1, 2 .. need no names."""
        if not np.array_equal(classes, np.arange(len(classes))):
            self.classes[tensor] = tuple(v.item() for v in classes)

    def annotate(self, tensor: str, quant: Quant) -> str:
        """The tensor with this quantisation; where it has another already, a requantised copy of it."""
        from tinycompile.ops.unary import Unary

        have = self.tensors[tensor]
        if have.quant not in (None, quant):
            tensor = self.add(Unary, (tensor,), f"{tensor}/requantized")
        self.tensors[tensor] = self.tensors[tensor].like(quant=quant)
        return tensor

    # The walk over the nodes

    def run(self) -> Graph:
        """Import every node. Raises UnsupportedOp with all problems at once."""
        for node in self.model.nodes:
            self._visit(node)
        for value in self.model.outputs:
            if value.name in self.unbound:
                self._refuse(self.unbound[value.name], f"its output {value.name!r} is not supported")
        if self.problems:
            raise UnsupportedOp(self.problems, where=self.model.name)
        return self._graph()

    def _visit(self, node: Node) -> None:
        for name in node.inputs:
            if name in self.unbound:
                self._refuse(self.unbound.pop(name), f"its output {name!r} is not supported")
                self.poisoned.add(name)
        entry = find(node)
        constant = all(not name or name in self.known for name in node.inputs)
        if entry is None and not (constant and fold.foldable(node)):
            self._refuse(node, "no such operator is supported" if node.op_type else "has no operator")
        elif self.poisoned.isdisjoint(node.inputs):
            try:
                self._import(node, constant)
            except Rejected as reason:
                self._refuse(node, str(reason))
            except MALFORMED as problem:
                text = problem.what if isinstance(problem, TinycompileError) else str(problem)
                self._refuse(node, f"its inputs and attributes do not fit together ({text or type(problem).__name__})")
        else:
            self.poisoned.update(node.outputs)
        self.poisoned.discard("")

    def _import(self, node: Node, constant: bool) -> None:
        if constant and node.inputs and fold.foldable(node):
            values = [self.constant(name) if name else None for name in node.inputs]
            for name, value in zip(node.outputs, fold.fold(node, values, self.model.opset), strict=False):
                self._folded += value.size
                if self._folded > fold.MAX_FOLDED_IN_ALL:
                    raise Rejected(f"makes more than {fold.MAX_FOLDED_IN_ALL:,} elements of constants in all")
                self.known[name] = value
            return
        entry = find(node)
        assert entry is not None
        entry.run(self, node)
        for name in node.outputs:
            if name and name not in self.names and name not in self.known:
                self.unbound[name] = node

    def _refuse(self, node: Node, why: str) -> None:
        entry = find(node)
        nearest = entry.rule if entry else _similar(node)
        self.problems.append(Unsupported(node.name, node.label, why, nearest))
        self.poisoned.update(node.outputs)

    # The result

    def _graph(self) -> Graph:
        outputs = [self._output(value) for value in self.model.outputs]
        self._read_integer_inputs()
        inputs = tuple(v.name for v in self.model.inputs)
        used = {name for op in self.ops for name in (*op.inputs, op.output)} | {*inputs, *outputs}
        tensors = {n: t for n, t in self.tensors.items() if n in used}
        graph = Graph(self.model.name, inputs, tuple(outputs), tuple(self.ops), tensors, ports=self.ports)
        return verify(graph, "import")

    def _output(self, value: Value) -> str:
        """Give the output's tensor the file's name, so that people find it; returns that name."""
        if value.name in self.known:
            raise ImportFailed(f"output {value.name!r} is constant: it depends on no input", where=self.model.name)
        if value.name not in self.names:
            raise ImportFailed(f"nothing writes output {value.name!r}", where=self.model.name)
        tensor = self.names[value.name]
        if tensor == value.name and tensor in self.ports:
            raise ImportFailed(
                f"output {value.name!r} is an input of the model: nothing computes it",
                where=self.model.name,
                hint="export the model without that output",
            )
        if tensor in self.ports:
            tensor = self.add(
                Reshape, (tensor,), value.name, self.tensors[tensor].dtype, shape=self.tensors[tensor].shape
            )
        classes = self.classes.get(tensor, ())
        if tensor != value.name:
            if value.name in self.tensors:
                self._rename(value.name, self.fresh(f"{value.name}/inner"))
            self._rename(tensor, value.name)
        dtype = value.dtype if value.dtype in (*FLOATS, *INTEGERS, "int32", "int64") else "float32"
        self.ports[value.name] = Port(
            self.tensors[value.name].shape, tuple(range(len(self.tensors[value.name].shape))), dtype, classes
        )
        return value.name

    def _rename(self, old: str, new: str) -> None:
        self.tensors[new] = self.tensors.pop(old).like(name=new)
        self.ops = [_renamed(op, old, new) for op in self.ops]
        self.names = {k: new if v == old else v for k, v in self.names.items()}
        self.classes = {new if k == old else k: v for k, v in self.classes.items()}

    def _read_integer_inputs(self) -> None:
        """Integer inputs that nothing dequantises mean their own values."""
        for value in self.model.inputs:
            tensor = self.tensors[value.name]
            if value.dtype in INTEGERS and tensor.quant is None:
                self.tensors[value.name] = tensor.like(quant=INTEGERS[value.dtype])


def _renamed(op: Op, old: str, new: str) -> Op:
    from dataclasses import replace

    if old != op.output and old not in op.inputs:
        return op
    inputs = tuple(new if name == old else name for name in op.inputs)
    return replace(op, inputs=inputs, output=new if op.output == old else op.output)


def _static(value: Value, wanted: Shape | None, where: str) -> Shape:
    """The input's shape: as asked for, else as declared with batch 1; every other extent must be known."""
    if wanted is not None:
        fits = not value.dims or (
            len(wanted) == len(value.dims)
            and all(d in (None, w) or i == 0 for i, (d, w) in enumerate(zip(value.dims, wanted, strict=True)))
        )
        if not fits or any(d < 1 for d in wanted) or prod(wanted) > MAX_ELEMENTS:
            raise ImportFailed(
                f"shape {wanted} does not suit input {value.name!r}, declared {_shown(value)}", where=where
            )
        return tuple(wanted)
    shape = tuple(1 if d is None and i == 0 else d for i, d in enumerate(value.dims))
    if not shape or None in shape:
        sizes = "x".join(str(d) if d is not None else "?" for d in shape) or "1x..."
        raise ImportFailed(
            f"input {value.name!r} has the dynamic shape {_shown(value)}",
            where=where,
            hint=f"give every extent, in the file's order, in place of each ?: --input-shape {value.name}:{sizes}",
        )
    static = tuple(d for d in shape if d is not None)
    if prod(static) > MAX_ELEMENTS:
        raise ImportFailed(f"input {value.name!r} has the absurd shape {_shown(value)}", where=where)
    return static


def _shown(value: Value) -> str:
    return "x".join("?" if d is None else str(d) for d in value.dims) or "of unknown rank"


def _similar(node: Node) -> str:
    """Operators with a related name, for the error message."""
    import difflib

    names = sorted({op_type for _, op_type in IMPORTERS})
    close = difflib.get_close_matches(node.op_type, names, n=3, cutoff=0.6)
    return ", ".join(close) if close else "see docs/operators.md"
