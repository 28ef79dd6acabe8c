"""Importers of models that come quantised: QDQ pairs, and operators on integers.

Both give a float graph whose tensors carry their quantisation; weights and biases stay integer constants.
uint8 becomes int8 by moving values and zero points down by 128, which changes no real value.
"""

from __future__ import annotations

import numpy as np

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.elementwise import binary
from tinycompile.frontends.onnx.images import from_image, sliding, to_image
from tinycompile.frontends.onnx.linear import bias, convolution, matrix_product
from tinycompile.frontends.onnx.movement import normalized_axis
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.pooling import inverse, last
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ir import Array, Quant
from tinycompile.ops import AveragePool2D, Concat, Dense, Softmax, Unary
from tinycompile.ops.unary import Step

MICROSOFT = "com.microsoft"
ACTIVATION = "int8 or uint8, one scale and zero point for the whole tensor"


def quantisation(b: Builder, scale_name: str, zero_name: str, axis: int | None, dtype: str = "") -> tuple[Quant, str]:
    """The quantisation in int8 terms, and the file's integer type. Rejected unless constant and positive."""
    scale = b.constant(scale_name, "scale").astype(np.float64).ravel()
    zero = b.constant(zero_name, "zero point") if zero_name else np.zeros(1, dtype or "uint8")
    if zero.dtype.name not in ("int8", "uint8", "int32"):
        raise Rejected(f"its integer type is {zero.dtype}")
    if scale.size == 0 or zero.size == 0 or not np.all(np.isfinite(scale)) or np.any(scale <= 0):
        raise Rejected("its scale is not a positive number")
    if np.unique(zero).size != 1:
        raise Rejected("its zero points differ between channels")
    point = int(zero.ravel()[0]) - (128 if zero.dtype == np.uint8 else 0)
    if scale.size == 1:
        return Quant.per_tensor(float(scale[0]), point), zero.dtype.name
    return Quant(tuple(map(float, scale)), point, axis), zero.dtype.name


def _shifted(values: Array) -> Array:
    return (values.astype(np.int16) - 128).astype(np.int8) if values.dtype == np.uint8 else values


def constant(b: Builder, name: str, scale: str, zero: str, axis: int, output: str) -> None:
    """Bind ``output`` to an integer constant and the quantisation that gives it meaning."""
    values = b.known[name]
    if values.dtype.name not in ("int8", "uint8", "int32"):
        raise Rejected(f"its constant {name!r} is {values.dtype}")
    per_axis = b.constant(scale, "scale").size > 1
    quant, _ = quantisation(b, scale, zero, normalized_axis(axis, values.ndim) if per_axis else None, values.dtype.name)
    if quant.axis is not None and len(quant.scale) != values.shape[quant.axis]:
        raise Rejected(f"has {len(quant.scale)} scales for {values.shape[quant.axis]} channels")
    b.known[output], b.quants[output] = _shifted(values), quant


def activation(b: Builder, name: str, scale: str, zero: str) -> str:
    """The tensor of an integer ONNX value, which must have this quantisation."""
    quant, _ = quantisation(b, scale, zero, None, "uint8")
    if quant.axis is not None or len(quant.scale) > 1:
        raise Rejected("an activation has a scale per channel")
    tensor = b.operand(name)
    have = b.tensors[tensor].quant
    if have not in (None, quant):
        raise Rejected(f"reads {name!r} with other parameters than it was quantised with")
    return b.annotate(tensor, quant)


def operand(b: Builder, name: str, scale: str, zero: str, axis: int = 0) -> str:
    """An ONNX name for the real value of an integer operand, constant or not."""
    real = f"{name}/{scale}/real"
    if b.is_known(name):
        constant(b, name, scale, zero, axis, real)
    else:
        b.bind(real, activation(b, name, scale, zero))
    return real


def finish(b: Builder, node: Node, tensor: str, scale: str, zero: str) -> None:
    """Bind the node's integer output: ``tensor``, quantised."""
    quant, dtype = quantisation(b, scale, zero, None)
    if len(quant.scale) > 1 or dtype == "int32":
        raise Rejected(f"its output is {dtype} with {len(quant.scale)} scales")
    b.bind(node.output, b.annotate(tensor, quant))


@importer("QuantizeLinear", rule=ACTIVATION)
def _quantize(b: Builder, node: Node) -> None:
    _no_blocks(node)
    finish(b, node, b.operand(node.inputs[0]), node.inputs[1], node.input(2))


@importer("QuantizeLinear", rule=ACTIVATION, domain=MICROSOFT)
def _quantize_microsoft(b: Builder, node: Node) -> None:
    _quantize(b, node)


@importer("DequantizeLinear", rule=f"{ACTIVATION}; constants (int8, uint8, int32) also per channel")
def _dequantize(b: Builder, node: Node) -> None:
    _no_blocks(node)
    if b.is_known(node.inputs[0]):
        constant(b, node.inputs[0], node.inputs[1], node.input(2), node.integer("axis", 1), node.output)
    else:
        b.bind(node.output, activation(b, node.inputs[0], node.inputs[1], node.input(2)))


@importer("DequantizeLinear", rule=f"{ACTIVATION}; constants (int8, uint8, int32) also per channel", domain=MICROSOFT)
def _dequantize_microsoft(b: Builder, node: Node) -> None:
    _dequantize(b, node)


def _no_blocks(node: Node) -> None:
    if node.integer("block_size"):
        raise Rejected("it has a scale per block")


@importer("QLinearConv", rule="as Conv; weights int8 or uint8, per tensor or per channel; bias int32")
def _conv(b: Builder, node: Node) -> None:
    x, xs, xz, w, ws, wz, ys, yz = node.inputs[:8]
    x, w = operand(b, x, xs, xz), operand(b, w, ws, wz)
    y = convolution(b, node, x, w, _bias(b, node.input(8), x, w))
    finish(b, node, y, ys, yz)


def _bias(b: Builder, name: str, x: str, w: str) -> str:
    """The int32 bias of a linear operator, which has the scale of its products."""
    if not name:
        return ""
    s_x, weights = b.tensor(x).q.scalar, b.quants[w]
    scales = tuple(s_x * s for s in weights.scale)
    real = f"{name}/real"
    b.known[real] = b.constant(name, "bias").astype(np.int32)
    b.quants[real] = Quant(scales, 0, 0 if len(scales) > 1 else None)
    return real


@importer("QLinearMatMul", rule="as MatMul")
def _matmul(b: Builder, node: Node) -> None:
    x, xs, xz, w, ws, wz, ys, yz = node.inputs
    right = operand(b, w, ws, wz, axis=-1)
    finish(b, node, matrix_product(b, operand(b, x, xs, xz), right, node.output), ys, yz)


@importer("QGemm", rule="as Gemm, with constant weights and alpha 1", domain=MICROSOFT)
def _gemm(b: Builder, node: Node) -> None:
    x, xs, xz, w, ws, wz, c = (node.input(i) for i in range(7))
    if node.integer("transA") or node.real("alpha", 1.0) != 1.0 or not b.is_known(w):
        raise Rejected("it has transA, alpha, or computed weights")
    from tinycompile.frontends.onnx.linear import weights

    transposed = node.integer("transB")
    left, right = operand(b, x, xs, xz), operand(b, w, ws, wz, axis=0 if transposed else 1)
    matrix = weights(b, right, None if transposed else (1, 0))
    tensors = (b.operand(left), matrix, *bias(b, _bias(b, c, left, right), b.tensors[matrix].shape[0]))
    y = b.add(Dense, tensors, node.output)
    if node.input(7):
        finish(b, node, y, node.input(7), node.input(8))
    else:
        b.bind(node.output, y)


@importer("QLinearAdd", "QLinearMul", rule="as Add and Mul", domain=MICROSOFT)
def _binary(b: Builder, node: Node) -> None:
    x, xs, xz, y, ys, yz, zs = node.inputs[:7]
    kind = node.op_type.removeprefix("QLinear")
    z = binary(b, kind, operand(b, x, xs, xz), operand(b, y, ys, yz), node.output)
    finish(b, node, z, zs, node.input(7))


FUNCTIONS = {"QLinearSigmoid": "sigmoid", "QLinearLeakyRelu": "leaky_relu"}


@importer(*FUNCTIONS, rule="as the float operator", domain=MICROSOFT)
def _function(b: Builder, node: Node) -> None:
    x = activation(b, node.inputs[0], node.inputs[1], node.inputs[2])
    constants = (node.real("alpha", 0.01),) if node.op_type == "QLinearLeakyRelu" else ()
    step = Step(FUNCTIONS[node.op_type], constants)
    finish(b, node, b.add(Unary, (x,), node.output, steps=(step,)), node.inputs[3], node.input(4))


@importer("QLinearGlobalAveragePool", "QLinearAveragePool", rule="as the float operator", domain=MICROSOFT)
def _pool(b: Builder, node: Node) -> None:
    x = activation(b, node.inputs[0], node.inputs[1], node.inputs[2])
    rank = len(b.tensors[x].shape)
    channels_last = node.integer("channels_last") == 1
    if channels_last:
        x = b.transpose(x, (0, rank - 1, *range(1, rank - 1)), f"{x}/nchw")
    y = _pooled(b, node, x)
    if channels_last:
        y = b.transpose(y, (0, *range(2, rank), 1), f"{node.output}/nhwc")
    finish(b, node, y, node.inputs[3], node.input(4))


def _pooled(b: Builder, node: Node, x: str) -> str:
    """The average pooling of a tensor in ONNX's layout."""
    shape = b.tensors[x].shape
    if node.op_type == "QLinearGlobalAveragePool":
        image = to_image(b, x)
        y = b.add(AveragePool2D, (image,), node.output, kernel=b.tensors[image].hw)
        return from_image(b, y, len(shape), node.output)
    if node.integer("ceil_mode"):
        raise Rejected("it has ceil_mode")
    window = sliding(node, shape, node.integers("kernel_shape") or ())
    y = b.add(
        AveragePool2D, (to_image(b, x, window.signal),), node.output, kernel=window.kernel, stride=window.stride,
        pad=window.pad, count_include_pad=node.integer("count_include_pad") == 1,
    )  # fmt: skip
    return from_image(b, y, len(shape), node.output, window.signal)


@importer("QLinearConcat", rule="as Concat", domain=MICROSOFT)
def _concat(b: Builder, node: Node) -> None:
    triples = [node.inputs[i : i + 3] for i in range(2, len(node.inputs), 3)]
    names = [b.operand(operand(b, x, scale, zero)) for x, scale, zero in triples]
    axis = normalized_axis(node.integer("axis"), len(b.tensors[names[0]].shape))
    finish(b, node, b.add(Concat, names, node.output, axis=axis), node.inputs[0], node.inputs[1])


@importer("QLinearSoftmax", rule="as Softmax", domain=MICROSOFT)
def _softmax(b: Builder, node: Node) -> None:
    x = activation(b, node.inputs[0], node.inputs[1], node.inputs[2])
    rank = len(b.tensors[x].shape)
    axis = normalized_axis(node.integer("axis", -1), rank)
    if node.integer("opset", 13) < 13 and axis != rank - 1:
        raise Rejected("it runs over several axes")
    perm = last(axis, rank)
    y = b.add(Softmax, (b.transpose(x, perm, f"{x}/last"),), node.output)
    finish(b, node, b.transpose(y, inverse(perm), f"{node.output}/back"), node.inputs[3], node.input(4))
