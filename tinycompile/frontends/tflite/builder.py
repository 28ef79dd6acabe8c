"""The graph under construction: what is known of every tensor of the file, and the ops emitted so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod
from typing import Any

import numpy as np

from tinycompile.errors import ImportFailed, InternalError, TinycompileError, Unsupported, UnsupportedOp
from tinycompile.frontends.tflite.fold import FOLDS
from tinycompile.frontends.tflite.node import MAX_ELEMENTS, FileTensor, Node, Rejected
from tinycompile.frontends.tflite.reader import File
from tinycompile.frontends.tflite.registry import IMPORTERS
from tinycompile.ir import Array, DType, Graph, Op, Port, Quant, Rounding, Shape, Tensor, verify
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.unary import Unary

FLOATS = ("float32", "float16", "float64")
BYTES = ("int8", "uint8")
LABELS = ("int32", "int64")
MALFORMED = (ArithmeticError, LookupError, TypeError, ValueError, ImportFailed, InternalError)
"""What an operator with senseless shapes or options makes an importer raise: a refusal of that operator, no bug."""
UINT8_SHIFT = 128
"""Between a uint8 value (or zero point) and the int8 one that stands for it."""


@dataclass(frozen=True)
class Spread:
    """A tensor of the file whose batches are the phases of one tensor of the graph: every block-th element each."""

    name: str
    block: Shape
    """By axis of the graph's tensor; 1 for the batch, the channels and axes that are not spread."""


class Builder:
    """Imports a file operator by operator: an int8 graph, or a float32 graph where nothing is quantised."""

    def __init__(self, file: File, input_shapes: Mapping[str, Shape]) -> None:
        self.file = file
        self.names: dict[int, str] = {}
        """The graph's tensor for each tensor of the file that is not a constant."""
        self.folded: dict[int, Array] = {}
        """Constants that the file computes, as they would stand in the file."""
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.ports: dict[str, Port] = {}
        self.problems: list[Unsupported] = []
        self.poisoned: set[int] = set()
        self.real_views: set[int] = set()
        """float32 tensors of the file that are nothing but int8 tensors dequantised."""
        self.spread: dict[int, Spread] = {}
        """Tensors between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""
        self._taken = {t.name for t in file.tensors}
        self._op_names: set[str] = set()
        self._written = {i for node in file.nodes for i in node.outputs}
        self.quantized = any(
            file.tensors[i].type in (*BYTES, "int16") and file.tensors[i].scales
            for i in self._written.union(file.inputs) - {-1}
        )
        for index in file.inputs:
            self._add_input(index, input_shapes)
        unknown = set(input_shapes) - set(self.ports)
        if unknown:
            raise ImportFailed(
                f"has no input {min(unknown)!r}",
                where=file.name,
                hint=f"its inputs are: {', '.join(self.ports)}",
            )

    # Inputs

    def _add_input(self, index: int, input_shapes: Mapping[str, Shape]) -> None:
        tensor = self._file_tensor(index)
        shape = _static(tensor, input_shapes.get(tensor.name), self.file.name)
        quant = self._input_quant(tensor)
        dtype = DType.FLOAT32 if quant is None else DType.INT8
        self.tensors[tensor.name] = Tensor(tensor.name, shape, dtype, quant)
        self.names[index] = tensor.name
        self.ports[tensor.name] = Port.same(shape, tensor.type)

    def _input_quant(self, tensor: FileTensor) -> Quant | None:
        """int8 inputs have their own parameters; a float32 input takes those of the QUANTIZE behind it."""
        if tensor.type in BYTES:
            return self.quant(tensor)
        if tensor.type != "float32":
            raise ImportFailed(
                f"input {tensor.name!r} has element type {tensor.type}",
                where=self.file.name, hint="inputs must be int8, uint8 or float32",
            )  # fmt: skip
        if not self.quantized:
            return None
        readers = [n for n in self.file.nodes if tensor.index in n.inputs]
        wanted = {self.quant(self.file.tensors[n.outputs[0]]) for n in readers if n.op == "QUANTIZE"}
        if len(wanted) != 1:
            raise ImportFailed(
                f"float32 input {tensor.name!r} goes through {len(wanted)} different QUANTIZE operators",
                where=self.file.name, hint="convert the model with int8 inputs",
            )  # fmt: skip
        return wanted.pop()

    def _file_tensor(self, index: int) -> FileTensor:
        if not 0 <= index < len(self.file.tensors):
            raise ImportFailed("an input or output of the model is left out", where=self.file.name)
        return self.file.tensors[index]

    # What importers ask about the tensors that an operator reads

    def quant(self, tensor: FileTensor) -> Quant:
        """Per-tensor parameters of an activation, as of int8; Rejected where there are none or they make no sense."""
        scales = tensor.scales
        if tensor.type not in BYTES:
            raise Rejected(f"tensor {tensor.name!r} is {tensor.type}; only int8 and uint8 are computed with")
        if scales is None:
            raise Rejected(f"tensor {tensor.name!r} has no quantisation parameters")
        if len(scales.scale) != 1 or len(scales.zero_point) != 1:
            raise Rejected(f"activation {tensor.name!r} has {len(scales.scale)} scales instead of one")
        return Quant(checked_scales(tensor), self._zero_point(tensor))

    def _zero_point(self, tensor: FileTensor) -> int:
        assert tensor.scales is not None
        zero = tensor.scales.zero_point[0] - (UINT8_SHIFT if tensor.type == "uint8" else 0)
        if not -128 <= zero <= 127:
            raise Rejected(f"tensor {tensor.name!r} has the zero point {tensor.scales.zero_point[0]}")
        return zero

    def is_constant(self, index: int) -> bool:
        """Whether the tensor is a constant of the file, or computed from constants alone."""
        if index in self.folded:
            return True
        return index >= 0 and index not in self._written and self.file.tensors[index].raw is not None

    def constant(self, index: int, what: str) -> Array:
        """A constant as it stands in the file; Rejected where it is computed from the model's input."""
        if index in self.folded:
            return self.folded[index]
        if not self.is_constant(index):
            raise Rejected(f"its {what} must be a constant")
        tensor = self.file.tensors[index]
        if tensor.note:
            raise Rejected(f"its {what} {tensor.name!r} is {tensor.note}")
        return tensor.constant()

    def integers(self, index: int, what: str) -> tuple[int, ...]:
        """A constant list of integers (a shape, axes, paddings)."""
        values = self.constant(index, what)
        if values.dtype.kind not in "iu" or values.size > MAX_LIST:
            raise Rejected(f"its {what} is no list of integers")
        return tuple(int(v) for v in values.ravel())

    def tensor(self, index: int) -> Tensor:
        """The graph's tensor; constants join the graph as constant activations."""
        return self.tensors[self.operand(index)]

    def operand(self, index: int) -> str:
        """The name of the graph's tensor."""
        if index in self.real_views:
            raise Rejected("computes in float32, behind a DEQUANTIZE; convert the model to int8 throughout")
        if index in self.names:
            return self.names[index]
        if index in self.spread:
            raise Rejected("reads what SPACE_TO_BATCH_ND has spread; only convolutions and changes of shape may")
        if index < 0:
            raise Rejected("an input is missing")
        tensor, values = self.file.tensors[index], self.constant(index, "input")
        if tensor.type in FLOATS and not self.quantized:
            self.names[index] = self.put(tensor.name, finite(values.astype(np.float32), tensor))
        elif tensor.type in BYTES:
            self.names[index] = self.put(tensor.name, as_int8(values), self.quant(tensor))
        else:
            raise Rejected(f"its constant input {tensor.name!r} is {tensor.type}")
        return self.names[index]

    def shape(self, index: int) -> Shape:
        """Shape of a tensor, constant or not."""
        if index in self.names:
            return self.tensors[self.names[index]].shape
        return tuple(self.constant(index, "input").shape)

    # What importers emit

    def fresh(self, hint: str) -> str:
        """A tensor name that neither file nor graph uses."""
        name, count = hint, 2
        while name in self.tensors or name in self._taken:
            name, count = f"{hint}_{count}", count + 1
        return name

    def put(self, hint: str, data: Array, quant: Quant | None = None) -> str:
        """Add a constant tensor."""
        name = hint if hint not in self.tensors else self.fresh(hint)
        self.tensors[name] = Tensor.constant(name, data, quant)
        return name

    def step(self, kind: type[Op], inputs: Sequence[str], hint: str, like: Tensor, /, **attributes: Any) -> str:
        """Append an op whose output is not in the file, with the type and quantisation of ``like``."""
        return self._append(kind, inputs, self.fresh(hint), like.dtype, like.quant, None, attributes)

    def emit(self, kind: type[Op], inputs: Sequence[str], output: int, /, **attributes: Any) -> None:
        """Append the op that writes tensor ``output`` of the file; Rejected where its declared shape differs."""
        tensor = self.file.tensors[output]
        dtype, quant = self._type(tensor, kind, inputs)
        name = tensor.name if tensor.name not in self.tensors else self.fresh(tensor.name)
        if kind.moves_data and quant != self.tensors[inputs[0]].quant:
            like = self.tensors[inputs[0]]
            inner = self.step(kind, inputs, f"{name}/moved", like, **attributes)
            kind, inputs, attributes = Unary, (inner,), {}
        declared = None if tensor.dynamic else tensor.shape
        self.names[output] = self._append(kind, inputs, name, dtype, quant, declared, attributes)

    def emit_spread(
        self, kind: type[Op], inputs: Sequence[str], output: int, block: Shape, /, **attributes: Any
    ) -> None:
        """Append the op that computes all phases of tensor ``output`` of the file at once."""
        tensor = self.file.tensors[output]
        dtype, quant = self._type(tensor, kind, inputs)
        name = self.fresh(f"{tensor.name}/spread")
        self.spread[output] = Spread(self._append(kind, inputs, name, dtype, quant, None, attributes), block)

    def bind(self, output: int, name: str) -> None:
        """From here on tensor ``output`` of the file is this tensor of the graph."""
        self.names[output] = name

    def _type(self, tensor: FileTensor, kind: type[Op], inputs: Sequence[str]) -> tuple[DType, Quant | None]:
        """Type and quantisation of an output; only labels, moved or not, are 32-bit integers."""
        if tensor.note:
            raise Rejected(f"its output {tensor.name!r} is {tensor.note}")
        labels = kind is ArgMax or (kind.moves_data and self.tensors[inputs[0]].dtype is DType.INT32)
        if labels != (tensor.type in LABELS):
            raise Rejected(f"its output {tensor.name!r} is {tensor.type}")
        if labels:
            return DType.INT32, None
        if not self.quantized and tensor.type == "float32":
            return DType.FLOAT32, None
        return DType.INT8, self.quant(tensor)

    def _append(
        self, kind: type[Op], inputs: Sequence[str], output: str, dtype: DType, quant: Quant | None,
        declared: Shape | None, attributes: Mapping[str, Any],
    ) -> str:  # fmt: skip
        op = kind(output, tuple(inputs), output, **attributes)
        shape = tuple(int(d) for d in op.infer(*(self.tensors[i] for i in inputs)))
        if any(d < 1 for d in shape) or prod(shape) > MAX_ELEMENTS:
            raise Rejected(f"makes a tensor of the shape {shape}")
        if declared is not None and declared != shape:
            raise Rejected(f"makes a tensor of the shape {shape}, but the file declares {declared}")
        self.tensors[output] = Tensor(output, shape, dtype, quant)
        self.ops.append(op)
        return output

    def reshape(self, x: str, shape: Shape, hint: str) -> str:
        """``x`` under another shape; itself where it has that shape already."""
        tensor = self.tensors[x]
        return x if tensor.shape == shape else self.step(Reshape, (x,), hint, tensor, shape=shape)

    # The walk over the operators

    def run(self) -> Graph:
        """Import every operator. Raises UnsupportedOp with all problems at once."""
        for node in self.file.nodes:
            self._visit(node)
        if self.problems:
            raise UnsupportedOp(self.problems, where=self.file.name)
        return self._graph()

    def _visit(self, node: Node) -> None:
        if not self.poisoned.isdisjoint(node.inputs) and (node.op in IMPORTERS or node.op in FOLDS):
            self.poisoned.update(node.outputs)
            return
        try:
            self._import(node)
        except Rejected as reason:
            self._refuse(node, str(reason))
        except MALFORMED as problem:
            text = problem.what if isinstance(problem, TinycompileError) else str(problem) or type(problem).__name__
            self._refuse(node, f"its inputs and options do not fit together ({text})")

    def _import(self, node: Node) -> None:
        entry = IMPORTERS.get(node.op)
        if entry is None and node.op not in FOLDS:
            raise Rejected("no such operator is supported")
        for index in node.inputs:
            if index >= 0 and index not in self.names and index not in self.spread and not self.is_constant(index):
                raise Rejected(f"reads tensor {self.file.tensors[index].name!r} before anything writes it")
        for index in node.outputs:
            if index in self.names or index in self.folded or index in self.spread:
                raise Rejected(f"tensor {self.file.tensors[index].name!r} is written a second time")
        if self._fold(node):
            return
        if entry is None:
            raise Rejected("is supported only where all its inputs are constants")
        entry.run(self, node)

    def _fold(self, node: Node) -> bool:
        """Compute a node whose inputs are constants (or SHAPE, of anything)."""
        fold = FOLDS.get(node.op)
        if fold is None or not (node.op == "SHAPE" or all(self.is_constant(i) for i in node.inputs)):
            return False
        if node.op == "SHAPE":
            values: list[Array] = [np.array(self.shape(node.input(0)), np.int64)]
        else:
            values = [self.constant(i, "input") for i in node.inputs]
        if sum(v.size for v in values) > MAX_FOLDED:
            return False
        target = self.file.tensors[node.outputs[0]]
        result = fold(node, *values)
        if target.type not in ("int32", "int64", "float32") or result.size > MAX_FOLDED:
            return False
        self.folded[node.outputs[0]] = result.astype(target.type)
        return True

    def _refuse(self, node: Node, why: str) -> None:
        entry = IMPORTERS.get(node.op)
        self.problems.append(Unsupported(node.name, node.op, why, entry.rule if entry else ""))
        self.poisoned.update(node.outputs)

    # The result

    def _graph(self) -> Graph:
        outputs = tuple(self._output(index) for index in self.file.outputs)
        inputs = tuple(self.file.tensors[i].name for i in self.file.inputs)
        if len(set(inputs)) != len(inputs):
            raise ImportFailed("lists an input twice", where=self.file.name)
        used = {name for op in self.ops for name in (*op.inputs, op.output)} | {*inputs, *outputs}
        tensors = {n: t for n, t in self.tensors.items() if n in used}
        rounding: Rounding = "tflite" if self.quantized else "native"
        graph = Graph(self.file.name, inputs, outputs, tuple(self.ops), tensors, rounding, self.ports)
        return verify(graph, "import")

    def _output(self, index: int) -> str:
        """Give an output's tensor the file's name for it, so that people find it; returns that name."""
        tensor = self._file_tensor(index)
        if index not in self.names:
            raise ImportFailed(f"output {tensor.name!r} does not depend on the model's input", where=self.file.name)
        found = self.names[index]
        if found in self.ports:
            found = self._append_copy(found)
        if found != tensor.name:
            self._rename(found, tensor.name if tensor.name not in self.tensors else self.fresh(tensor.name))
            found = self.names[index]
        self.ports[found] = Port.same(self.tensors[found].shape, tensor.type)
        return found

    def _append_copy(self, name: str) -> str:
        """An output that is an input, or another output, as well."""
        like = self.tensors[name]
        return self.step(Reshape, (name,), f"{name}/copy", like, shape=like.shape)

    def _rename(self, old: str, new: str) -> None:
        self.tensors[new] = self.tensors.pop(old).like(name=new)
        self.ops = [_renamed(op, old, new) for op in self.ops]
        self.names = {k: new if v == old else v for k, v in self.names.items()}


MAX_LIST = 1 << 12
MAX_FOLDED = 1 << 16


def as_int8(values: Array) -> Array:
    """int8 values as they are; uint8 ones less 128."""
    if values.dtype == np.uint8:
        return (values.astype(np.int16) - UINT8_SHIFT).astype(np.int8)
    return values.astype(np.int8)


def finite(values: Array, tensor: FileTensor) -> Array:
    """The values; Rejected where one is infinite or no number."""
    if not np.isfinite(values).all():
        raise Rejected(f"constant {tensor.name!r} holds values that are not finite")
    return values


def checked_scales(tensor: FileTensor) -> tuple[float, ...]:
    """The scales of a quantised tensor; Rejected where one is not a positive normal number."""
    scales = tensor.scales.scale if tensor.scales else ()
    if not scales or any(not isfinite(s) or s < SMALLEST_SCALE or s > 1 / SMALLEST_SCALE for s in scales):
        raise Rejected(f"tensor {tensor.name!r} has a scale that is not a positive number: {scales[:4]}")
    return scales


SMALLEST_SCALE = 1e-30


def _static(tensor: FileTensor, wanted: Shape | None, where: str) -> Shape:
    """The input's shape: as declared; only the batch may be open, and is then 1."""
    shape = tensor.shape
    open_axes = [a for a in tensor.dynamic if a > 0]
    if wanted is not None and tuple(wanted) != shape:
        raise ImportFailed(
            f"shape {tuple(wanted)} does not suit input {tensor.name!r}, declared {shape}",
            where=where, hint="shapes of TensorFlow Lite files are fixed by the converter",
        )  # fmt: skip
    if open_axes or not shape or any(d < 1 for d in shape) or (len(shape) == 4 and shape[0] != 1):
        shown = "x".join("?" if a in tensor.dynamic else str(d) for a, d in enumerate(shape))
        raise ImportFailed(
            f"input {tensor.name!r} has the shape {shown or 'of a scalar'}",
            where=where, hint="convert the model with a fixed input shape and batch 1",
        )  # fmt: skip
    return shape


def _renamed(op: Op, old: str, new: str) -> Op:
    if old != op.output and old not in op.inputs:
        return op
    inputs = tuple(new if name == old else name for name in op.inputs)
    return replace(op, inputs=inputs, output=new if op.output == old else op.output)
