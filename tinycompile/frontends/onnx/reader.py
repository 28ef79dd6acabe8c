"""Reads an ONNX file into plain Python values, and refuses what is not a model before anything is allocated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, numpy_helper

from tinycompile.errors import ImportFailed
from tinycompile.frontends.onnx.node import Node
from tinycompile.ir import Array, Names

OPSETS = range(7, 24)
"""Versions of the default operator set that importers know."""

MAX_FILE_BYTES = 1 << 29
MAX_ELEMENTS = 1 << 28
MAX_NODES = 100_000
MAX_RANK = 8

Dims = tuple[int | None, ...]


@dataclass(frozen=True)
class Value:
    """A graph input or output as the file declares it; unknown extents are None, an unknown rank is ()."""

    name: str
    dims: Dims
    dtype: str


@dataclass(frozen=True, eq=False)
class Model:
    """An ONNX model: nodes in a valid order, constants as arrays, inputs and outputs as declared."""

    name: str
    opsets: Mapping[str, int]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return self.opsets[""]


def read(path: Path) -> Model:
    """The model in a file.

    Raises ImportFailed where the file is missing, truncated, corrupt, cyclic or too large, or no ONNX model.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImportFailed(f"the file has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}", where=str(path))
        content = path.read_bytes()
    except OSError as problem:
        raise ImportFailed(f"cannot be read: {problem.strerror}", where=str(path)) from problem
    return parse(content, path)


def parse(content: bytes, path: Path) -> Model:
    """The model in ``content``; ``path`` names it in errors, and its folder holds external data."""
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except (DecodeError, RecursionError, ValueError) as problem:
        raise ImportFailed(
            "is not an ONNX model, or is truncated or corrupt", where=path.name, hint="export the model again"
        ) from problem
    try:
        return _Reader(proto, path).model()
    except (UnicodeDecodeError, RecursionError, OverflowError) as problem:
        raise ImportFailed(f"is corrupt: {problem}", where=path.name) from problem


class _Reader:
    def __init__(self, proto: onnx.ModelProto, path: Path) -> None:
        self.path = path
        self.proto = proto
        self.graph = proto.graph

    def fail(self, what: str, hint: str = "") -> ImportFailed:
        return ImportFailed(what, where=self.path.name, hint=hint)

    def model(self) -> Model:
        opsets = self._opsets()
        if self.proto.functions:
            self._inline_functions()
        if not self.graph.node:
            raise self.fail("has no graph with nodes, so it is not a network", "check that this is the right file")
        if len(self.graph.node) > MAX_NODES:
            raise self.fail(f"has {len(self.graph.node):,} nodes; the limit is {MAX_NODES:,}")
        constants = self._constants()
        inputs = tuple(self._value(v) for v in self.graph.input if v.name not in constants)
        if not self.graph.output:
            raise self.fail("declares no outputs")
        outputs = tuple(self._value(v) for v in self.graph.output)
        _unique("input", [v.name for v in inputs], self.path)
        _unique("output", [v.name for v in outputs], self.path)
        nodes = self._sorted(self._nodes(), [*constants, *(v.name for v in inputs)])
        # Exporters name their graphs after themselves, so the file's name says more.
        return Model(self.path.stem, opsets, nodes, constants, inputs, outputs)

    def _opsets(self) -> dict[str, int]:
        opsets = {"" if o.domain == "ai.onnx" else o.domain: int(o.version) for o in self.proto.opset_import}
        if not opsets and not self.proto.ir_version:
            raise self.fail("is not an ONNX model", "check that this is the right file")
        version = opsets.setdefault("", OPSETS[-1])
        if version not in OPSETS:
            raise self.fail(
                f"uses opset {version}; {OPSETS.start} to {OPSETS.stop - 1} are supported",
                "convert it with onnx.version_converter, or export it again",
            )
        return opsets

    def _inline_functions(self) -> None:
        from onnx import inliner

        try:
            self.proto = inliner.inline_local_functions(self.proto)
        except Exception as problem:  # onnx raises bare RuntimeError and its own kinds here
            raise self.fail(f"has local functions that cannot be inlined: {problem}") from problem
        self.graph = self.proto.graph

    def _constants(self) -> dict[str, Array]:
        if self.graph.sparse_initializer:
            raise self.fail("has sparse initializers", "store them as dense tensors")
        return {t.name: self._array(t) for t in self.graph.initializer}

    def _array(self, tensor: TensorProto) -> Array:
        """The values of a tensor, checked against what it declares before memory is reserved."""
        label = f"tensor {tensor.name!r}" if tensor.name else "a tensor attribute"
        if any(d < 0 for d in tensor.dims) or len(tensor.dims) > MAX_RANK or prod(tensor.dims) > MAX_ELEMENTS:
            raise self.fail(f"{label} has the impossible shape {tuple(tensor.dims)}")
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor = self._external(tensor, label)
        try:
            stored = _stored_elements(tensor)
            if stored is not None and stored < prod(tensor.dims):
                raise self.fail(f"{label} of shape {tuple(tensor.dims)} holds only {stored} values")
            values = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise self.fail(f"{label} is corrupt: {problem}") from problem
        if values.dtype == object:
            return np.array([v if isinstance(v, str) else bytes(v).decode("utf-8", "replace") for v in values.flat])
        if values.dtype in (np.float64, np.float16):
            with np.errstate(over="ignore"):
                return values.astype(np.float32)
        return np.array(values)

    def _external(self, tensor: TensorProto, label: str) -> TensorProto:
        """The tensor with its data read from a file beside the model, never from outside the model's folder."""
        info = {entry.key: entry.value for entry in tensor.external_data}
        folder = self.path.parent.resolve()
        location = info.get("location", "")
        try:
            target = (folder / location).resolve()
            if not location or not target.is_relative_to(folder):
                raise self.fail(f"{label} wants external data from {location!r}, outside the model's folder")
            offset, length = int(info.get("offset") or 0), int(info.get("length") or -1)
            if offset < 0 or not target.is_file() or target.stat().st_size > MAX_FILE_BYTES:
                raise self.fail(f"{label} wants external data from {location!r}, which is missing or too large")
            with target.open("rb") as file:
                file.seek(offset)
                data = file.read(length if length >= 0 else -1)
        except (ValueError, OSError) as problem:
            raise self.fail(f"{label}: external data {location!r} cannot be read: {problem}") from problem
        inline = TensorProto()
        inline.CopyFrom(tensor)
        inline.data_location = TensorProto.DEFAULT
        del inline.external_data[:]
        inline.raw_data = data
        return inline

    def _value(self, info: onnx.ValueInfoProto) -> Value:
        if not info.type.HasField("tensor_type"):
            return Value(info.name, (), info.type.WhichOneof("value") or "unknown")
        tensor = info.type.tensor_type
        dims: Dims = tuple(
            int(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim
        )
        if len(dims) > MAX_RANK:
            raise self.fail(f"{info.name!r} has {len(dims)} dimensions; the limit is {MAX_RANK}")
        try:
            dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        except KeyError as problem:
            raise self.fail(f"{info.name!r} has the unknown element type {tensor.elem_type}") from problem
        return Value(info.name, dims, dtype)

    def _nodes(self) -> list[Node]:
        nodes = []
        taken: set[str] = set()
        for index, proto in enumerate(self.graph.node):
            name = proto.name or next((o for o in proto.output if o), "") or f"{proto.op_type}_{index}"
            while name in taken:
                name += f"_{index}"
            taken.add(name)
            domain = "" if proto.domain == "ai.onnx" else proto.domain
            attributes = {a.name: self._attribute(a, name) for a in proto.attribute}
            nodes.append(Node(name, domain, proto.op_type, tuple(proto.input), tuple(proto.output), attributes))
        return nodes

    def _attribute(self, a: AttributeProto, node: str) -> Any:
        """The attribute as a Python value; graphs and other exotic kinds are None, which no importer takes."""
        if a.type == AttributeProto.FLOAT:
            return float(a.f)
        if a.type == AttributeProto.INT:
            return int(a.i)
        if a.type == AttributeProto.STRING:
            return a.s.decode("utf-8", "replace")
        if a.type == AttributeProto.TENSOR:
            return self._array(a.t)
        if a.type == AttributeProto.FLOATS:
            return tuple(float(f) for f in a.floats)
        if a.type == AttributeProto.INTS:
            return tuple(int(i) for i in a.ints)
        if a.type == AttributeProto.STRINGS:
            return tuple(s.decode("utf-8", "replace") for s in a.strings)
        return None

    def _sorted(self, nodes: list[Node], known: Iterable[str]) -> tuple[Node, ...]:
        """A valid order (the file's own where it is one); a cycle or a missing tensor is an error."""
        ready = {*known, ""}
        ordered: list[Node] = []
        waiting = nodes
        written = {name: node for node in nodes for name in node.outputs if name}
        count = sum(1 for node in nodes for name in node.outputs if name)
        if count != len(written) or not ready.isdisjoint(written):
            raise self.fail("has a tensor that is written twice")
        while waiting:
            blocked = []
            for node in waiting:
                if ready.issuperset(node.inputs):
                    ordered.append(node)
                    ready.update(node.outputs)
                else:
                    blocked.append(node)
            if len(blocked) == len(waiting):
                raise self._stuck(blocked, ready, written)
            waiting = blocked
        return tuple(ordered)

    def _stuck(self, blocked: list[Node], ready: set[str], written: Mapping[str, Node]) -> ImportFailed:
        for node in blocked:
            for name in node.inputs:
                if name not in ready and name not in written:
                    return self.fail(f"node {node.name!r} reads {name!r}, which nothing writes")
        return self.fail(f"the graph has a cycle through node {blocked[0].name!r}")


def _stored_elements(tensor: TensorProto) -> int | None:
    """Elements that the data fields can hold; None for types whose packing onnx itself checks."""
    if tensor.data_type == TensorProto.STRING:
        return len(tensor.string_data)
    if tensor.HasField("raw_data"):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return None if tensor.data_type > TensorProto.BFLOAT16 else len(tensor.raw_data) // dtype.itemsize
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    return None if tensor.data_type > TensorProto.BFLOAT16 else max(len(f) for f in fields)


def _unique(kind: str, names: Names | list[str], path: Path) -> None:
    if len(set(names)) != len(names) or "" in names:
        raise ImportFailed(f"has an {kind} without a name, or two of one name", where=path.name)
