"""Importers of functions of one value and of two values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ir import Op, Shape
from tinycompile.ops import Add, Max, Min, Mul, PRelu, Sub, Unary
from tinycompile.ops.unary import Step

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
"""Defaults of ONNX Selu (and the constants of the paper that introduced it)."""

ANY = "any shape"
TABLE = f"{ANY}; becomes an 8-bit table, alone or merged with its neighbours"
BROADCAST = "two tensors of float32 under NumPy broadcasting; one may be constant"

PLAIN = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh", "Atan": "atan",
    "Atanh": "atanh", "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Erf": "erf", "Exp": "exp", "Floor": "floor",
    "HardSwish": "hard_swish", "Log": "log", "Mish": "mish", "Neg": "neg", "Reciprocal": "reciprocal",
    "Round": "round", "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Softsign": "softsign", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip

PARAMETRIC: dict[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "Celu": ("celu", (("alpha", 1.0),)),
    "Elu": ("elu", (("alpha", 1.0),)),
    "HardSigmoid": ("hard_sigmoid", (("alpha", 0.2), ("beta", 0.5))),
    "LeakyRelu": ("leaky_relu", (("alpha", 0.01),)),
    "Selu": ("selu", (("alpha", SELU_ALPHA), ("gamma", SELU_GAMMA))),
    "ThresholdedRelu": ("thresholded_relu", (("alpha", 1.0),)),
}


def table(b: Builder, node: Node, x: str, steps: Sequence[Step]) -> None:
    """Bind the node's output to a chain of functions of the tensor ``x``."""
    b.bind(node.output, b.add(Unary, (x,), node.output, steps=tuple(steps)))


@importer(*PLAIN, rule=TABLE)
def _plain(b: Builder, node: Node) -> None:
    table(b, node, b.operand(node.inputs[0]), [Step(PLAIN[node.op_type])])


@importer(*PARAMETRIC, rule=TABLE)
def _parametric(b: Builder, node: Node) -> None:
    function, constants = PARAMETRIC[node.op_type]
    values = tuple(node.real(name, default) for name, default in constants)
    table(b, node, b.operand(node.inputs[0]), [Step(function, values)])


@importer("Gelu", rule=f"{ANY}; approximate none or tanh; becomes an 8-bit table")
def _gelu(b: Builder, node: Node) -> None:
    kind = "gelu_tanh" if node.text("approximate", "none") == "tanh" else "gelu"
    table(b, node, b.operand(node.inputs[0]), [Step(kind)])


@importer("Swish", rule=f"{ANY}; alpha 1; becomes an 8-bit table")
def _swish(b: Builder, node: Node) -> None:
    if node.real("alpha", 1.0) != 1.0:
        raise Rejected(f"its alpha is {node.real('alpha'):g}")
    table(b, node, b.operand(node.inputs[0]), [Step("swish")])


@importer("Relu", rule=f"{ANY}; fused into the operator before it where possible")
def _relu(b: Builder, node: Node) -> None:
    table(b, node, b.operand(node.inputs[0]), [Step("clip", (0.0, math.inf))])


@importer("Clip", rule=f"{ANY}; constant bounds; fused into the operator before it where possible")
def _clip(b: Builder, node: Node) -> None:
    low, high = node.real("min", -math.inf), node.real("max", math.inf)
    if node.input(1):
        low = _scalar(b, node.input(1), "lower bound")
    if node.input(2):
        high = _scalar(b, node.input(2), "upper bound")
    table(b, node, b.operand(node.inputs[0]), [Step("clip", (min(low, high), high))])


def _scalar(b: Builder, name: str, what: str) -> float:
    values = b.constant(name, what)
    if values.size != 1:
        raise Rejected(f"its {what} has {values.size} values instead of one")
    return float(values.reshape(-1)[0])


@importer("Pow", rule=f"{ANY}; a constant exponent of one value; becomes an 8-bit table")
def _pow(b: Builder, node: Node) -> None:
    exponent = _scalar(b, node.inputs[1], "exponent")
    table(b, node, b.operand(node.inputs[0]), [Step("power", (exponent,))])


@importer("PRelu", rule=f"{ANY}; a constant slope that broadcasts to the input")
def _prelu(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    slope = b.constant(node.inputs[1], "slope")
    if slope.size == 1:
        table(b, node, x.name, [Step("leaky_relu", (float(slope.reshape(-1)[0]),))])
        return
    if np.broadcast_shapes(x.shape, slope.shape) != x.shape:
        raise Rejected(f"its slope of shape {slope.shape} does not broadcast to {x.shape}")
    slope = slope.reshape((1,) * (len(x.shape) - slope.ndim) + slope.shape)
    b.bind(node.output, b.add(PRelu, (x.name, b.put(node.inputs[1], slope)), node.output))


Affine = Callable[[float], tuple[Step, ...]]

SCALAR_RIGHT: dict[str, Affine] = {
    "Add": lambda c: (Step("affine", (1.0, c)),),
    "Sub": lambda c: (Step("affine", (1.0, -c)),),
    "Mul": lambda c: (Step("affine", (c, 0.0)),),
    "Div": lambda c: (Step("affine", (1 / c, 0.0)),),
    "Min": lambda c: (Step("clip", (-math.inf, c)),),
    "Max": lambda c: (Step("clip", (c, math.inf)),),
}
"""What an operator means whose second operand is one constant number."""

SCALAR_LEFT: dict[str, Affine] = {
    **SCALAR_RIGHT,
    "Sub": lambda c: (Step("affine", (-1.0, c)),),
    "Div": lambda c: (Step("reciprocal"), Step("affine", (c, 0.0))),
}

BINARY: dict[str, type[Op]] = {"Add": Add, "Sub": Sub, "Mul": Mul, "Min": Min, "Max": Max}


@importer("Add", "Sub", "Mul", rule=BROADCAST)
def _binary(b: Builder, node: Node) -> None:
    b.bind(node.output, binary(b, node.op_type, node.inputs[0], node.inputs[1], node.output))


@importer(
    "Div", rule="by a constant, or of a constant by a tensor, or of two tensors (a table of reciprocals, then Mul)"
)
def _div(b: Builder, node: Node) -> None:
    x, y = node.inputs
    if b.is_known(y) and b.constant(y).size > 1:
        b.known[f"{y}/reciprocal"] = (1 / b.constant(y)).astype(np.float32)
        b.bind(node.output, binary(b, "Mul", x, f"{y}/reciprocal", node.output))
    elif b.is_known(y) or (b.is_known(x) and b.constant(x).size == 1):
        b.bind(node.output, binary(b, "Div", x, y, node.output))
    else:
        inverse = b.add(Unary, (b.operand(y),), f"{node.output}/reciprocal", steps=(Step("reciprocal"),))
        b.bind(f"{node.output}/reciprocal", inverse)
        b.bind(node.output, binary(b, "Mul", x, f"{node.output}/reciprocal", node.output))


@importer("Min", "Max", "Sum", "Mean", rule="one or more tensors under NumPy broadcasting; some may be constant")
def _variadic(b: Builder, node: Node) -> None:
    kind = {"Sum": "Add", "Mean": "Add"}.get(node.op_type, node.op_type)
    value = node.inputs[0]
    for index, other in enumerate(node.inputs[1:]):
        step = f"{node.output}/{index}"
        b.bind(step, binary(b, kind, value, other, step))
        value = step
    result = b.operand(value)
    if node.op_type == "Mean" and len(node.inputs) > 1:
        scale = Step("affine", (1 / len(node.inputs), 0.0))
        result = b.add(Unary, (result,), node.output, steps=(scale,))
    b.bind(node.output, result)


def binary(b: Builder, kind: str, x: str, y: str, output: str) -> str:
    """An elementwise op of two ONNX values; a single constant number makes it a function of one value."""
    shape = np.broadcast_shapes(b.shape(x), b.shape(y))
    for tensor, other, meaning in ((x, y, SCALAR_RIGHT), (y, x, SCALAR_LEFT)):
        if b.is_known(other) and not b.is_known(tensor) and b.constant(other).size == 1 and b.shape(tensor) == shape:
            steps = meaning[kind](float(b.constant(other).reshape(-1)[0]))
            return b.add(Unary, (b.operand(tensor),), output, steps=steps)
    operands = tuple(_ranked(b, name, shape) for name in (x, y))
    return b.add(BINARY[kind], operands, output)


def _ranked(b: Builder, name: str, shape: Shape) -> str:
    """The operand with as many axes as the result, so that permuting axes needs no further thought."""
    own = b.shape(name)
    wanted = (1,) * (len(shape) - len(own)) + own
    quant = b.quants.get(name)
    if quant is not None and quant.axis is None and b.known[name].dtype == np.int8:
        return b.put(name, b.known[name].reshape(wanted), quant)
    if b.is_known(name):
        return b.put(name, b.constant(name).astype(np.float32).reshape(wanted))
    return b.reshape(b.operand(name), wanted, f"{name}/ranked")
