"""Reads a TensorFlow Lite flatbuffer into plain values, distrusting every length in it.

The generated reader of the ``tflite`` package follows offsets blindly: a damaged file makes it raise whatever
``struct`` or NumPy raise, or loop over a length of two thousand million. Here every vector is bounded by the file
first, and every failure becomes an ImportFailed that names the part of the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from tinycompile.errors import ImportFailed, TinycompileError
from tinycompile.frontends.tflite.node import MAX_ELEMENTS, NUMPY_TYPES, FileTensor, Node, Scales
from tinycompile.ir import Array

MAGIC = b"TFL3"
MAX_ITEMS = 1 << 16
"""Operators, tensors or buffers of one file, and inputs of one operator."""
MAX_RANK = 8
MAX_NAME = 1000
DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)
"""What the generated reader raises on corrupt offsets (UnicodeDecodeError is a ValueError)."""
DAMAGED = "the file is damaged: export or download it again"

OPERATORS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
TYPES = {code: name for name, code in vars(tflite.TensorType).items() if isinstance(code, int)}
OPTIONS = {code: name for name, code in vars(tflite.BuiltinOptions).items() if isinstance(code, int) and code}


@dataclass(frozen=True)
class File:
    """The main subgraph of a file."""

    name: str
    tensors: tuple[FileTensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read(path: Path) -> File:
    """Read a file. Raises ImportFailed where it is not TensorFlow Lite, is damaged, or cannot be opened."""
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise ImportFailed(f"cannot be read: {problem.strerror}", where=str(path)) from None
    return parse(data, path.stem)


def parse(data: bytes, name: str) -> File:
    """Read the bytes of a file; ``name`` becomes the graph's."""
    if len(data) < 8 or data[4:8] != MAGIC:
        raise ImportFailed(
            "is not a TensorFlow Lite model: the identifier TFL3 is missing",
            where=name, hint="give a .tflite file made by the TensorFlow Lite converter",
        )  # fmt: skip
    return _Reader(data, name).file()


class _Reader:
    """Walks over one flatbuffer; ``_part`` says where it is, for errors."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name, self._part = data, name, "header"

    def file(self) -> File:
        try:
            return self._file()
        except TinycompileError:
            raise
        except DAMAGE as problem:
            raise self._damaged(str(problem) or type(problem).__name__) from None

    def _damaged(self, what: str) -> ImportFailed:
        return ImportFailed(f"damaged flatbuffer in the {self._part}: {what}", where=self._name, hint=DAMAGED)

    def _file(self) -> File:
        model = tflite.Model.GetRootAs(self._data, 0)
        if not self._count(model.SubgraphsLength(), "subgraphs") >= 1:
            raise self._damaged("there is no subgraph")
        count = self._range(model.OperatorCodesLength(), "operator codes")
        codes = [self._code(model.OperatorCodes(i)) for i in count]
        self._count(model.BuffersLength(), "buffers")
        graph = model.Subgraphs(0)
        tensors = [self._tensor(model, graph, i) for i in self._range(graph.TensorsLength(), "tensors")]
        nodes = []
        for i in self._range(graph.OperatorsLength(), "operators"):
            nodes.append(self._node(graph.Operators(i), i, codes, tensors))
        self._part = "subgraph"
        inputs = self._indices(graph.InputsAsNumpy(), len(tensors), "input")
        outputs = self._indices(graph.OutputsAsNumpy(), len(tensors), "output")
        if not inputs or not outputs:
            raise self._damaged("it has no input or no output")
        return File(self._name, tuple(tensors), tuple(nodes), inputs, outputs)

    def _count(self, count: int, what: str) -> int:
        self._part = f"list of {what}"
        if count * 4 > len(self._data) or count > MAX_ITEMS:
            raise self._damaged(f"it claims {count:,} entries in a file of {len(self._data):,} bytes")
        return count

    def _range(self, count: int, what: str) -> range:
        return range(self._count(count, what))

    def _indices(self, vector: Any, limit: int, what: str) -> tuple[int, ...]:
        """A vector of tensor indices, each -1 (left out) or below ``limit``."""
        values = _integers(vector)
        if any(not -1 <= v < limit for v in values) or len(values) > MAX_ITEMS:
            raise self._damaged(f"an {what} refers to a tensor that does not exist")
        return values

    def _code(self, code: Any) -> str:
        number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        if OPERATORS.get(number) == "CUSTOM" and code.CustomCode():
            return f"CUSTOM {_text(code.CustomCode())}"
        return str(OPERATORS.get(number, f"operator {number}"))

    def _tensor(self, model: Any, graph: Any, index: int) -> FileTensor:
        self._part = f"tensor {index}"
        tensor = graph.Tensors(index)
        name = _text(tensor.Name()) or f"tensor_{index}"
        self._part = f"tensor {index} {name!r}"
        shape = _integers(tensor.ShapeAsNumpy())
        if len(shape) > MAX_RANK or any(d < 0 for d in shape) or prod(shape) > MAX_ELEMENTS:
            raise self._damaged(f"its shape {list(shape)[:MAX_RANK]} is absurd")
        kind = TYPES.get(tensor.Type(), f"type {tensor.Type()}")
        signature = _integers(tensor.ShapeSignatureAsNumpy())
        note = "sparse" if tensor.Sparsity() else "a variable" if tensor.IsVariable() else ""
        return FileTensor(
            index, name, shape, NUMPY_TYPES.get(kind, kind), _scales(tensor.Quantization()),
            self._buffer(model, tensor.Buffer()), tuple(i for i, d in enumerate(signature) if d < 0), note,
        )  # fmt: skip

    def _buffer(self, model: Any, index: int) -> Array | None:
        if index == 0:
            return None
        if not 0 < index < model.BuffersLength():
            raise self._damaged(f"it refers to buffer {index}, which does not exist")
        buffer = model.Buffers(index)
        if buffer.Offset() > 1:
            return np.frombuffer(self._data, np.uint8, int(buffer.Size()), int(buffer.Offset()))
        return np.asarray(buffer.DataAsNumpy()) if buffer.DataLength() else None

    def _node(self, operator: Any, index: int, codes: list[str], tensors: list[FileTensor]) -> Node:
        self._part = f"operator {index}"
        opcode = operator.OpcodeIndex()
        if opcode >= len(codes):
            raise self._damaged(f"it refers to operator code {opcode}, which does not exist")
        op = codes[opcode]
        self._part = f"operator {index} ({op})"
        inputs = self._indices(operator.InputsAsNumpy(), len(tensors), "input")
        outputs = self._indices(operator.OutputsAsNumpy(), len(tensors), "output")
        if not outputs or min(outputs) < 0:
            raise self._damaged("it writes nothing")
        return Node(op, tensors[outputs[0]].name, inputs, outputs, _options(operator))


def _text(value: bytes | None) -> str:
    """A name as text; what cannot be printed becomes an underscore."""
    decoded = value.decode("utf-8", "replace")[:MAX_NAME] if value else ""
    return "".join(c if c.isprintable() else "_" for c in decoded)


def _integers(vector: Any) -> tuple[int, ...]:
    """A vector of the generated reader, which gives the number 0 for one that is absent."""
    return tuple(int(v) for v in vector[: MAX_ITEMS + 1]) if isinstance(vector, np.ndarray) else ()


def _scales(quant: Any) -> Scales | None:
    if quant is None or not quant.ScaleLength():
        return None
    scale = tuple(float(s) for s in quant.ScaleAsNumpy()[:MAX_ITEMS])
    zero = _integers(quant.ZeroPointAsNumpy()) or (0,)
    return Scales(scale, zero, int(quant.QuantizedDimension()))


def _fields(table: type) -> Mapping[str, Callable[[Any], Any]]:
    """The accessors of a generated options class: scalars by name, integer vectors as NumPy arrays."""
    methods = {n: m for n, m in vars(table).items() if re.fullmatch("[A-Z][A-Za-z0-9]*", n) and n != "Init"}
    vectors = {n.removesuffix("AsNumpy") for n in methods if n.endswith("AsNumpy")}
    lists = {n.removesuffix("Length") for n in methods if n.endswith("Length")} - vectors
    return {
        n: methods[f"{n}AsNumpy"] if n in vectors else m
        for n, m in methods.items()
        if not n.endswith(("AsNumpy", "Length", "IsNone", "BufferHasIdentifier"))
        and not n.startswith("GetRootAs")
        and n not in lists
    }


def _options(operator: Any) -> dict[str, Any]:
    """The fields of an operator's options; none where it has no options of a known kind."""
    table, kind = operator.BuiltinOptions(), OPTIONS.get(operator.BuiltinOptionsType())
    if table is None or kind is None:
        return {}
    options = getattr(tflite, kind)()
    options.Init(table.Bytes, table.Pos)
    values = {name: read_field(options) for name, read_field in _fields(type(options)).items()}
    return {n: _integers(v) if isinstance(v, np.ndarray) else v for n, v in values.items()}
