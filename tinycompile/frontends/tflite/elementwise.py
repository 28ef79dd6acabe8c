"""Operators that treat every value alike, and softmax."""

from __future__ import annotations

import math

from tinycompile.frontends.tflite.builder import Builder
from tinycompile.frontends.tflite.linear import fused_clip
from tinycompile.frontends.tflite.node import Node, Rejected
from tinycompile.frontends.tflite.registry import importer
from tinycompile.ir import Op
from tinycompile.ops.add import Add
from tinycompile.ops.min_max import Max, Min
from tinycompile.ops.mul import Mul
from tinycompile.ops.prelu import PRelu
from tinycompile.ops.softmax import LogSoftmax, Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.unary import Step, Unary

BINARY: dict[str, type[Op]] = {"ADD": Add, "SUB": Sub, "MUL": Mul}
UNARY: dict[str, Step] = {
    "RELU": Step("clip", (0.0, math.inf)),
    "RELU6": Step("clip", (0.0, 6.0)),
    "RELU_N1_TO_1": Step("clip", (-1.0, 1.0)),
    "RELU_0_TO_1": Step("clip", (0.0, 1.0)),
    "ELU": Step("elu", (1.0,)),
    "HARD_SWISH": Step("hard_swish"),
    "LOGISTIC": Step("sigmoid"),
    "TANH": Step("tanh"),
    "ABS": Step("abs"),
    "NEG": Step("neg"),
    "EXP": Step("exp"),
    "LOG": Step("log"),
    "SQRT": Step("sqrt"),
    "RSQRT": Step("power", (-0.5,)),
    "SQUARE": Step("power", (2.0,)),
    "SIN": Step("sin"),
    "COS": Step("cos"),
    "SIGN": Step("sign"),
    "FLOOR": Step("floor"),
    "CEIL": Step("ceil"),
    "ROUND": Step("round"),
}


@importer(*BINARY, rule="two int8 tensors (one may be constant), broadcasting, fused Relu")
def _binary(b: Builder, node: Node) -> None:
    inputs = _operands(b, node)
    b.emit(BINARY[node.op], inputs, node.outputs[0], clip=fused_clip(node))


@importer("MAXIMUM", "MINIMUM", rule="two int8 tensors (one may be constant), broadcasting")
def _min_max(b: Builder, node: Node) -> None:
    b.emit(Max if node.op == "MAXIMUM" else Min, _operands(b, node), node.outputs[0])


def _operands(b: Builder, node: Node) -> tuple[str, str]:
    if len(node.inputs) != 2:
        raise Rejected(f"has {len(node.inputs)} inputs instead of two")
    return b.operand(node.input(0)), b.operand(node.input(1))


@importer("PRELU", rule="constant slope that broadcasts against the input")
def _prelu(b: Builder, node: Node) -> None:
    if not b.is_constant(node.input(1)):
        raise Rejected("its slope must be a constant")
    b.emit(PRelu, _operands(b, node), node.outputs[0])


@importer(*UNARY, rule="int8, any scales: a table of 256 entries")
def _unary(b: Builder, node: Node) -> None:
    b.emit(Unary, (b.operand(node.input(0)),), node.outputs[0], steps=(UNARY[node.op],))


@importer("LEAKY_RELU", rule="int8, any slope: a table of 256 entries")
def _leaky_relu(b: Builder, node: Node) -> None:
    step = Step("leaky_relu", (node.real("Alpha"),))
    b.emit(Unary, (b.operand(node.input(0)),), node.outputs[0], steps=(step,))


@importer("GELU", rule="int8, the exact form, not its tanh approximation: a table of 256 entries")
def _gelu(b: Builder, node: Node) -> None:
    if node.integer("Approximate"):
        raise Rejected("is the tanh approximation")
    b.emit(Unary, (b.operand(node.input(0)),), node.outputs[0], steps=(Step("gelu"),))


@importer("QUANTIZE", rule="from the float32 input of the model, or between int8 and uint8 tensors of any scales")
def _quantize(b: Builder, node: Node) -> None:
    source, output = node.input(0), node.outputs[0]
    name = b.names.get(source) if source in b.real_views else b.operand(source)
    if name is None:
        raise Rejected("quantises a float32 tensor that nothing dequantised")
    wanted = b.quant(b.file.tensors[output])
    if b.tensors[name].quant == wanted:
        b.bind(output, name)
    else:
        b.emit(Unary, (name,), output)


@importer("DEQUANTIZE", rule="at an output of the model, or in front of a QUANTIZE")
def _dequantize(b: Builder, node: Node) -> None:
    b.bind(node.outputs[0], b.operand(node.input(0)))
    if b.quantized:
        b.real_views.add(node.outputs[0])


@importer("SOFTMAX", rule="int8, over the last axis, any beta")
def _softmax(b: Builder, node: Node) -> None:
    beta = node.real("Beta", 1.0)
    if not 1e-6 <= beta <= 1e6:
        raise Rejected(f"has beta {beta}")
    b.emit(Softmax, (b.operand(node.input(0)),), node.outputs[0], beta=beta)


@importer("LOG_SOFTMAX", rule="int8, over the last axis")
def _log_softmax(b: Builder, node: Node) -> None:
    b.emit(LogSoftmax, (b.operand(node.input(0)),), node.outputs[0])
