"""Any function of one value: exact through a table of 256 entries, one for each int8 input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import IO, Array, Cut, OnnxWriter, Op, Quant, Shape, Tensor, Window
from tinycompile.ops import tflite_table

Real = Callable[..., Array]


@dataclass(frozen=True)
class Function:
    """A named function of one value with up to two constants: its meaning in float64 and how ONNX spells it."""

    real: Real
    onnx: Callable[[OnnxWriter, str, tuple[float, ...]], str]


@dataclass(frozen=True)
class Step:
    """One function of a chain and its constants (``Step("leaky_relu", (0.1,))``)."""

    function: str
    constants: tuple[float, ...] = ()

    def real(self, x: Array) -> Array:
        """The function in float64."""
        return np.asarray(FUNCTIONS[self.function].real(x, *self.constants))

    def onnx(self, w: OnnxWriter, x: str) -> str:
        """Write the function of tensor ``x``; returns the result's name."""
        return FUNCTIONS[self.function].onnx(w, x, self.constants)

    def __str__(self) -> str:
        return f"{self.function}({', '.join(f'{c:g}' for c in self.constants)})" if self.constants else self.function


@dataclass(frozen=True)
class Joined:
    """Several chains of functions of one and the same value, joined by ``function``, a key of ``JOINS``."""

    function: str
    chains: tuple[Steps, ...]

    @property
    def constants(self) -> tuple[float, ...]:
        """None of its own."""
        return ()

    def real(self, x: Array) -> Array:
        """The joined function in float64."""
        return np.asarray(JOINS[self.function][0](*(applied(chain, x) for chain in self.chains)))

    def onnx(self, w: OnnxWriter, x: str) -> str:
        """Write every chain of tensor ``x``, and what joins them; returns the result's name."""
        results = []
        for chain in self.chains:
            value = x
            for step in chain:
                value = step.onnx(w, value)
            results.append(value)
        if self.function == "where":
            results[0] = w.node("Cast", [results[0]], to=9)  # TensorProto.BOOL
        return w.node(JOINS[self.function][1], results)

    def __str__(self) -> str:
        return f"{self.function}({', '.join(' '.join(map(str, chain)) or 'x' for chain in self.chains)})"


Steps = tuple[Step | Joined, ...]


def _choose(condition: Array, yes: Array, no: Array) -> Array:
    return np.asarray(np.where(condition != 0, yes, no))


JOINS: Mapping[str, tuple[Real, str]] = {
    "add": (np.add, "Add"),
    "sub": (np.subtract, "Sub"),
    "mul": (np.multiply, "Mul"),
    "min": (np.minimum, "Min"),
    "max": (np.maximum, "Max"),
    "where": (_choose, "Where"),
}
"""How functions of one value join: the meaning, and the ONNX operator. Conditions are 1 (true) and 0."""


def applied(steps: Steps, x: Array) -> Array:
    """A chain of functions in float64."""
    for step in steps:
        x = step.real(x)
    return np.asarray(x)


@dataclass(frozen=True)
class Unary(Op):
    """A chain of functions applied to every value; an empty chain changes only the quantisation."""

    steps: Steps = ()

    def infer(self, *inputs: Tensor) -> Shape:
        """The input's shape."""
        return inputs[0].shape

    def apply(self, x: Array) -> Array:
        """The chain in float64."""
        with np.errstate(all="ignore"):
            return applied(self.steps, x)

    def table(self, io: IO) -> Array:
        """int8[256]: the output for each input value, from -128 up.

        Values without a real result (the logarithm of a negative number) take the nearest representable bound.
        One function under TensorFlow Lite's rounding is computed as its kernel does (``tflite_table``).
        """
        if io.rounding == "tflite" and len(self.steps) <= 1:
            step = self.steps[0] if self.steps else Step("")
            return tflite_table.table(step.function, step.constants, self.apply, io.x.q, io.out.q)
        q = np.arange(-128, 128, dtype=np.float64)
        real = self.apply((q - io.x.zero_point) * io.x.q.scalar)
        real = np.nan_to_num(real, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        with np.errstate(over="ignore"):  # what is too large to divide is the largest value
            rounded = np.floor(real / io.out.q.scalar + 0.5) + io.out.zero_point
        return np.asarray(np.clip(rounded, -128, 127).astype(np.int8))

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """One ONNX node or a few for each step."""
        value = self.inputs[0]
        for step in self.steps:
            value = step.onnx(w, value)
        w.node("Identity", [value], self.output)

    def run(self, io: IO, *inputs: Array) -> Array:
        """table[x + 128]."""
        return self.table(io)[inputs[0].astype(np.int64) + 128]

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """``table``: int8[256]."""
        return {"table": self.table(io)}

    def fixed_quant(self, io: IO) -> Quant | None:
        """Known ranges: 0..1 for sigmoids, -1..1 for tanh."""
        last = self.steps[-1].function if self.steps else ""
        return FIXED.get(last)

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The same op on the same window."""
        return Cut(self, (window,))

    def lag(self, io: IO, index: int) -> int | None:
        """In place."""
        return 0


GELU_TANH = (math.sqrt(2 / math.pi), 0.044715)
"""The constants of gelu's approximation by tanh (Hendrycks and Gimpel, 2016)."""


def _clip(x: Array, low: float, high: float) -> Array:
    return np.clip(x, low, high)


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))


def _op(kind: str, *names: str) -> Callable[[OnnxWriter, str, tuple[float, ...]], str]:
    """An ONNX operator whose attributes ``names`` are the step's constants."""

    def write(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
        attributes: dict[str, Any] = dict(zip(names, c, strict=True))
        return w.node(kind, [x], **attributes)

    return write


def _onnx_clip(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
    return w.node("Clip", [x, w.constant(np.float32(c[0])), w.constant(np.float32(c[1]))])


def _onnx_affine(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
    return w.node("Add", [w.node("Mul", [x, w.constant(np.float32(c[0]))]), w.constant(np.float32(c[1]))])


def _onnx_power(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
    return w.node("Pow", [x, w.constant(np.float32(c[0]))])


def _onnx_swish(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
    return w.node("Mul", [x, w.node("Sigmoid", [x])])


def _onnx_mish(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
    return w.node("Mul", [x, w.node("Tanh", [w.node("Softplus", [x])])])


def _onnx_hard_swish(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
    return w.node("Mul", [x, w.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)])


def _onnx_gelu(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
    erf = w.node("Erf", [w.node("Mul", [x, w.constant(np.float32(math.sqrt(0.5)))])])
    half = w.node("Mul", [x, w.constant(np.float32(0.5))])
    return w.node("Mul", [half, w.node("Add", [erf, w.constant(np.float32(1))])])


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(GELU_TANH[0] * (x + GELU_TANH[1] * x**3))))


def _onnx_gelu_tanh(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
    cube = w.node("Mul", [w.node("Mul", [x, x]), w.node("Mul", [x, w.constant(np.float32(GELU_TANH[1]))])])
    inner = w.node("Mul", [w.node("Add", [x, cube]), w.constant(np.float32(GELU_TANH[0]))])
    half = w.node("Mul", [x, w.constant(np.float32(0.5))])
    return w.node("Mul", [half, w.node("Add", [w.node("Tanh", [inner]), w.constant(np.float32(1))])])


def _comparison(kind: str, negated: bool = False) -> Callable[[OnnxWriter, str, tuple[float, ...]], str]:
    """A comparison with a constant, as 1 or 0."""

    def write(w: OnnxWriter, x: str, c: tuple[float, ...]) -> str:
        truth = w.node(kind, [x, w.constant(np.float32(c[0]))])
        return w.node("Cast", [w.node("Not", [truth]) if negated else truth], to=1)  # TensorProto.FLOAT

    return write


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


FUNCTIONS: Mapping[str, Function] = {
    "clip": Function(_clip, _onnx_clip),
    "affine": Function(lambda x, a, b: a * x + b, _onnx_affine),
    "power": Function(lambda x, p: np.power(x, p), _onnx_power),
    "leaky_relu": Function(lambda x, a: np.where(x < 0, a * x, x), _op("LeakyRelu", "alpha")),
    "elu": Function(lambda x, a: np.where(x < 0, a * np.expm1(x), x), _op("Elu", "alpha")),
    "selu": Function(lambda x, a, g: g * np.where(x < 0, a * np.expm1(x), x), _op("Selu", "alpha", "gamma")),
    "celu": Function(lambda x, a: np.where(x < 0, a * np.expm1(x / a), x), _op("Celu", "alpha")),
    "thresholded_relu": Function(lambda x, a: np.where(x > a, x, 0), _op("ThresholdedRelu", "alpha")),
    "hard_sigmoid": Function(lambda x, a, b: np.clip(a * x + b, 0, 1), _op("HardSigmoid", "alpha", "beta")),
    "greater": Function(lambda x, c: (x > c) * 1.0, _comparison("Greater")),
    "greater_equal": Function(lambda x, c: (x >= c) * 1.0, _comparison("Less", negated=True)),
    "less": Function(lambda x, c: (x < c) * 1.0, _comparison("Less")),
    "less_equal": Function(lambda x, c: (x <= c) * 1.0, _comparison("Greater", negated=True)),
    "equal": Function(lambda x, c: (x == c) * 1.0, _comparison("Equal")),
    "not_equal": Function(lambda x, c: (x != c) * 1.0, _comparison("Equal", negated=True)),
    "sigmoid": Function(_sigmoid, _op("Sigmoid")),
    "tanh": Function(np.tanh, _op("Tanh")),
    "swish": Function(lambda x: x * _sigmoid(x), _onnx_swish),
    "hard_swish": Function(lambda x: x * np.clip(x / 6 + 0.5, 0, 1), _onnx_hard_swish),
    "mish": Function(lambda x: x * np.tanh(_softplus(x)), _onnx_mish),
    "gelu": Function(lambda x: 0.5 * x * (1 + _erf(x * math.sqrt(0.5))), _onnx_gelu),
    "gelu_tanh": Function(_gelu_tanh, _onnx_gelu_tanh),
    "softplus": Function(_softplus, _op("Softplus")),
    "softsign": Function(lambda x: x / (1 + np.abs(x)), _op("Softsign")),
    "erf": Function(_erf, _op("Erf")),
    "exp": Function(np.exp, _op("Exp")),
    "log": Function(np.log, _op("Log")),
    "sqrt": Function(np.sqrt, _op("Sqrt")),
    "reciprocal": Function(lambda x: 1 / x, _op("Reciprocal")),
    "abs": Function(np.abs, _op("Abs")),
    "neg": Function(np.negative, _op("Neg")),
    "sign": Function(np.sign, _op("Sign")),
    "floor": Function(np.floor, _op("Floor")),
    "ceil": Function(np.ceil, _op("Ceil")),
    "round": Function(np.rint, _op("Round")),
    "sin": Function(np.sin, _op("Sin")),
    "cos": Function(np.cos, _op("Cos")),
    "tan": Function(np.tan, _op("Tan")),
    "atan": Function(np.arctan, _op("Atan")),
    "asin": Function(np.arcsin, _op("Asin")),
    "acos": Function(np.arccos, _op("Acos")),
    "sinh": Function(np.sinh, _op("Sinh")),
    "cosh": Function(np.cosh, _op("Cosh")),
    "asinh": Function(np.arcsinh, _op("Asinh")),
    "acosh": Function(np.arccosh, _op("Acosh")),
    "atanh": Function(np.arctanh, _op("Atanh")),
}

FIXED: Mapping[str, Quant] = {
    "sigmoid": Quant.per_tensor(1 / 256, -128),
    "hard_sigmoid": Quant.per_tensor(1 / 255, -128),
    "tanh": Quant.per_tensor(1 / 128, 0),
}


def relu(name: str, x: str, output: str) -> Unary:
    """max(x, 0)."""
    return Unary(name, (x,), output, (Step("clip", (0.0, math.inf)),))


def checked(step: Step) -> Step:
    """The step, or InternalError where no such function exists."""
    if step.function not in FUNCTIONS:
        raise InternalError(f"no function of one value is called {step.function!r}")
    return step
