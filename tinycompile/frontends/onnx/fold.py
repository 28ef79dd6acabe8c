"""Evaluates a node whose inputs are all known: shape arithmetic, reshaped weights, constants of every kind.

The arithmetic is onnx's own reference evaluator, one node at a time. Only operators of the table below are
evaluated, each after its output's size was predicted, so that a small file cannot ask for a large array.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.ir import Array

MAX_FOLDED = 1 << 24
"""Elements that one folded value may have."""

MAX_FOLDED_IN_ALL = 1 << 26
"""Elements of all folded values together."""

Inputs = Sequence["Array | None"]
Size = Callable[[Node, Inputs], int]


def _known(inputs: Inputs) -> list[Array]:
    return [x for x in inputs if x is not None]


def _broadcast(node: Node, inputs: Inputs) -> int:
    return prod(np.broadcast_shapes(*(x.shape for x in _known(inputs))))


def _total(node: Node, inputs: Inputs) -> int:
    return sum(x.size for x in _known(inputs))


def _product(node: Node, inputs: Inputs) -> int:
    return prod(max(x.size, 1) for x in _known(inputs)[:2])


def _filled(node: Node, inputs: Inputs) -> int:
    return prod(int(d) for d in _known(inputs)[0].ravel())


def _expanded(node: Node, inputs: Inputs) -> int:
    x, shape = _known(inputs)[:2]
    return prod(np.broadcast_shapes(x.shape, tuple(int(d) for d in shape.ravel())))


def _tiled(node: Node, inputs: Inputs) -> int:
    x, repeats = _known(inputs)[:2]
    return x.size * prod(int(r) for r in repeats.ravel())


def _ranged(node: Node, inputs: Inputs) -> int:
    start, limit, delta = (float(x.reshape(-1)[0]) for x in _known(inputs)[:3])
    return 0 if delta == 0 else max(0, int(np.ceil((limit - start) / delta)))


def _padded(node: Node, inputs: Inputs) -> int:
    pads = [int(p) for p in (_known(inputs)[1].ravel() if len(_known(inputs)) > 1 else node.integers("pads") or ())]
    shape = _known(inputs)[0].shape
    if len(pads) != 2 * len(shape):
        raise Rejected("its pads do not match the rank of its input")
    return prod(d + pads[i] + pads[i + len(shape)] for i, d in enumerate(shape))


def _one_hot(node: Node, inputs: Inputs) -> int:
    indices, depth = _known(inputs)[:2]
    return indices.size * int(depth.reshape(-1)[0])


_ELEMENTWISE = (
    "Abs Add And BitShift Ceil Clip Cos Div Equal Erf Exp Floor Greater GreaterOrEqual IsInf IsNaN LeakyRelu Less "
    "LessOrEqual Log Max Mean Min Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Sigmoid Sign Sin Softplus Sqrt "
    "Sub Sum Tanh Where Xor HardSigmoid"
)
_RESHAPING = (
    "ArgMax ArgMin Cast CastLike Compress Concat CumSum DepthToSpace Flatten Gather GatherElements GatherND Identity "
    "NonZero ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape ScatterElements ScatterND Shape Size Slice "
    "Softmax SpaceToDepth Split Squeeze Transpose Trilu Unsqueeze QuantizeLinear Dropout BatchNormalization"
)

SLOW = ("GatherElements", "GatherND", "ScatterElements", "ScatterND", "Compress", "OneHot", "Trilu", "CumSum")
"""Operators that the reference evaluator computes element by element in Python: a fraction of the limit."""
SLOWER = 64


SIZES: dict[str, Size] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _broadcast),
    **dict.fromkeys(_RESHAPING.split(), _total),
    "Gather": _product,
    "GatherND": _product,
    "MatMul": _product,
    "Gemm": _product,
    "ConstantOfShape": _filled,
    "Expand": _expanded,
    "Tile": _tiled,
    "Range": _ranged,
    "Pad": _padded,
    "OneHot": _one_hot,
}


def foldable(node: Node) -> bool:
    """Whether the node can be evaluated once its inputs are known."""
    return node.domain == "" and node.op_type in SIZES


def fold(node: Node, inputs: Inputs, opset: int) -> list[Array]:
    """The node's outputs; ``inputs`` are in order, None where absent. Rejected where it makes no sense."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            size = SIZES[node.op_type](node, inputs)
            if node.op_type in SLOW:
                size *= SLOWER
            if not 0 <= size <= MAX_FOLDED:
                raise Rejected(f"would make a constant of {size:,} elements; the limit is {MAX_FOLDED:,}")
            return _evaluate(node, inputs, opset)
    except Rejected:
        raise
    except Exception as problem:  # numpy and onnx raise a dozen kinds for senseless operands
        raise Rejected(
            f"cannot be evaluated: {str(problem).splitlines()[0] if str(problem) else problem!r}"
        ) from problem


def _evaluate(node: Node, inputs: Inputs, opset: int) -> list[Array]:
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    outputs = [f"y{i}" if name else "" for i, name in enumerate(node.outputs)]
    attributes: dict[str, Any] = {k: _attribute(v) for k, v in node.attributes.items() if v is not None}
    proto = helper.make_node(node.op_type, names, outputs, **attributes)
    feeds = {n: x for n, x in zip(names, inputs, strict=True) if x is not None}
    values = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in feeds.items()
    ]
    wanted = [onnx.ValueInfoProto(name=n) for n in outputs if n]
    graph = helper.make_graph([proto], "fold", values, wanted)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    results = ReferenceEvaluator(model).run(None, feeds)
    return [_float32(np.asarray(r)) for r in results]


def _attribute(value: object) -> Any:
    return onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value


def _float32(x: Array) -> Array:
    return x.astype(np.float32) if x.dtype in (np.float64, np.float16) else x
