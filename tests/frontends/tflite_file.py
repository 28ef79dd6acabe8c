"""Makes small TensorFlow Lite files for tests: tensors and operators as Python values, flatbuffer as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "int8": tflite.TensorType.INT8,
    "uint8": tflite.TensorType.UINT8,
    "int16": tflite.TensorType.INT16,
    "int32": tflite.TensorType.INT32,
    "int64": tflite.TensorType.INT64,
    "bool": tflite.TensorType.BOOL,
}


@dataclass(frozen=True)
class T:
    """A tensor of a file; ``data`` makes it a constant."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: Sequence[float] | float | None = None
    zero: Sequence[int] | int = 0
    axis: int = 0
    data: Any = None


@dataclass(frozen=True)
class Node:
    """An operator: its upper-case name, tensor indices, and the fields of its options table."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    version: int = 2


def constant(data: Any, dtype: str = "int32", **quant: Any) -> T:
    """A constant tensor."""
    array = np.asarray(data, dtype)
    return T(array.shape, dtype, data=array, **quant)


def build(tensors: Sequence[T], nodes: Sequence[Node], inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """The bytes of a model with one subgraph; tensors are called ``t0``, ``t1`` and so on."""
    b = flatbuffers.Builder(1024)
    buffers = [_buffer(b, None)] + [_buffer(b, t.data) for t in tensors]
    made = [_tensor(b, t, i) for i, t in enumerate(tensors)]
    codes = [(n.op, n.version) for n in nodes]
    operators = [_operator(b, n, i) for i, n in enumerate(nodes)]
    name = b.CreateString("main")
    vectors = [_offsets(b, made), _ints(b, inputs), _ints(b, outputs), _offsets(b, operators)]
    tflite.SubGraphStart(b)
    for add, vector in zip(
        (tflite.SubGraphAddTensors, tflite.SubGraphAddInputs, tflite.SubGraphAddOutputs, tflite.SubGraphAddOperators),
        vectors, strict=True,
    ):  # fmt: skip
        add(b, vector)
    tflite.SubGraphAddName(b, name)
    graph = tflite.SubGraphEnd(b)
    parts = _offsets(b, [graph]), _offsets(b, [_code(b, *c) for c in codes]), _offsets(b, buffers)
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddSubgraphs(b, parts[0])
    tflite.ModelAddOperatorCodes(b, parts[1])
    tflite.ModelAddBuffers(b, parts[2])
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


def _offsets(b: flatbuffers.Builder, items: Sequence[int]) -> int:
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def _ints(b: flatbuffers.Builder, items: Sequence[int]) -> int:
    return b.CreateNumpyVector(np.asarray(items, np.int32))


def _buffer(b: flatbuffers.Builder, data: Any) -> int:
    vector = None
    if data is not None:
        raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        b.StartVector(1, len(raw), 16)
        b.head -= len(raw)
        b.Bytes[b.head : b.head + len(raw)] = raw.tobytes()
        vector = b.EndVector()
    tflite.BufferStart(b)
    if vector is not None:
        tflite.BufferAddData(b, vector)
    return tflite.BufferEnd(b)


def _quant(b: flatbuffers.Builder, t: T) -> int | None:
    if t.scale is None:
        return None
    scales = np.atleast_1d(np.asarray(t.scale, np.float32))
    zeros = np.broadcast_to(np.asarray(t.zero, np.int64), scales.shape)
    scale, zero = b.CreateNumpyVector(scales), b.CreateNumpyVector(np.ascontiguousarray(zeros))
    tflite.QuantizationParametersStart(b)
    tflite.QuantizationParametersAddScale(b, scale)
    tflite.QuantizationParametersAddZeroPoint(b, zero)
    tflite.QuantizationParametersAddQuantizedDimension(b, t.axis)
    return tflite.QuantizationParametersEnd(b)


def _tensor(b: flatbuffers.Builder, t: T, index: int) -> int:
    shape, name, quant = _ints(b, t.shape), b.CreateString(f"t{index}"), _quant(b, t)
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, TYPES[t.dtype])
    tflite.TensorAddBuffer(b, index + 1)
    tflite.TensorAddName(b, name)
    if quant is not None:
        tflite.TensorAddQuantization(b, quant)
    return tflite.TensorEnd(b)


def _code(b: flatbuffers.Builder, op: str, version: int) -> int:
    code = getattr(tflite.BuiltinOperator, op)
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
    tflite.OperatorCodeAddVersion(b, version)
    tflite.OperatorCodeAddBuiltinCode(b, code)
    return tflite.OperatorCodeEnd(b)


def _operator(b: flatbuffers.Builder, node: Node, code: int) -> int:
    options = None
    if node.options:
        values = {k: _ints(b, v) if isinstance(v, tuple) else v for k, v in node.fields.items()}
        getattr(tflite, f"{node.options}Start")(b)
        for key, value in values.items():
            getattr(tflite, f"{node.options}Add{key}")(b, value)
        options = getattr(tflite, f"{node.options}End")(b)
    inputs, outputs = _ints(b, node.inputs), _ints(b, node.outputs)
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, code)
    tflite.OperatorAddInputs(b, inputs)
    tflite.OperatorAddOutputs(b, outputs)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, node.options))
        tflite.OperatorAddBuiltinOptions(b, options)
    return tflite.OperatorEnd(b)
