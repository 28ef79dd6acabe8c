"""Small ONNX models, made here: one for each thing the front end and the passes must cope with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinycompile.ir import Array

FLOAT, INT8, INT64 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.INT64
Value = tuple[str, Sequence[int | str | None]]


class ModelBuilder:
    """Collects nodes and constants; ``build`` makes the model."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.rng = np.random.default_rng(seed)

    def node(
        self, op_type: str, *inputs: str, output: str = "", domain: str = "", count: int = 1, **fields: Any
    ) -> str:
        """Append a node; returns its first output."""
        output = output or f"{op_type.lower()}_{len(self.nodes)}"
        outputs = [output, *(f"{output}_{i}" for i in range(1, count))]
        name = f"node_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), outputs, name, domain=domain, **fields))
        return output

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Add an initializer."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values, dtype)
        return name

    def random(self, *shape: int, scale: float = 0.5) -> str:
        """Add an initializer of random values."""
        return self.constant(self.rng.normal(0, scale, shape))

    def integers(self, *values: int) -> str:
        """Add an int64 list: a shape, axes, pads."""
        return self.constant(values, np.int64)

    def build(
        self,
        inputs: Mapping[str, Sequence[Any]],
        outputs: Sequence[str],
        opset: int = 13,
        dtype: int = FLOAT,
        out: int = FLOAT,
    ) -> onnx.ModelProto:  # fmt: skip
        """The model; output shapes are left open."""
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info(n, dtype, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, out, None) for n in outputs],
            [numpy_helper.from_array(x, n) for n, x in self.constants.items()],
        )
        opsets = [
            helper.make_opsetid("", opset),
            helper.make_opsetid("ai.onnx.ml", 2),
            helper.make_opsetid("com.microsoft", 1),
        ]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def conv_net() -> onnx.ModelProto:
    """Conv, batch norm, relu, depthwise conv, max pool, flatten of NCHW, dense, softmax."""
    m = ModelBuilder(1)
    x = m.node("Conv", "x", m.random(8, 3, 3, 3), m.random(8), pads=[1, 1, 1, 1], strides=[2, 2])
    parameters = [m.constant(np.abs(m.rng.normal(1, 0.2, 8))) for _ in range(1)] + [m.random(8), m.random(8)]
    x = m.node("BatchNormalization", x, *parameters, m.constant(np.abs(m.rng.normal(1, 0.2, 8))))
    x = m.node("Relu", x)
    x = m.node("Conv", x, m.random(8, 1, 3, 3), group=8, auto_pad="SAME_UPPER")
    x = m.node("Clip", x, m.constant(0), m.constant(6))
    x = m.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = m.node("Flatten", x)
    x = m.node("Gemm", x, m.random(10, 8 * 4 * 4), m.random(10), transB=1)
    m.node("Softmax", x, output="y", axis=-1)
    return m.build({"x": [1, 3, 16, 16]}, ["y"])


def residual_net() -> onnx.ModelProto:
    """A residual block with squeeze and excite, written as exporters do, and a concatenation."""
    m = ModelBuilder(2)
    x = m.node("Conv", "x", m.random(8, 4, 1, 1), m.random(8))
    shifted = m.node("Add", x, m.constant(3))
    swish = m.node("Div", m.node("Mul", x, m.node("Clip", shifted, m.constant(0), m.constant(6))), m.constant(6))
    s = m.node("GlobalAveragePool", swish)
    s = m.node("Relu", m.node("Conv", s, m.random(2, 8, 1, 1), m.random(2)))
    s = m.node("HardSigmoid", m.node("Conv", s, m.random(8, 2, 1, 1), m.random(8)), alpha=1 / 6, beta=0.5)
    x = m.node("Add", m.node("Mul", swish, s), x)
    x = m.node("Concat", x, m.node("Sigmoid", x), axis=1)
    x = m.node("ReduceMean", x, axes=[2, 3], keepdims=0)
    m.node("Gemm", x, m.random(16, 5), output="y")
    return m.build({"x": [1, 4, 6, 6]}, ["y"])


def shapes_net() -> onnx.ModelProto:
    """A reshape whose target is computed from the input's shape."""
    m = ModelBuilder(3)
    x = m.node("Conv", "x", m.random(4, 2, 3, 3), pads=[1, 1, 1, 1])
    shape = m.node("Shape", x)
    batch = m.node("Gather", shape, m.integers(0), axis=0)
    target = m.node("Concat", m.node("Cast", batch, to=INT64), m.integers(-1), axis=0)
    x = m.node("Reshape", x, target)
    m.node("MatMul", x, m.random(4 * 5 * 5, 3), output="y")
    return m.build({"x": ["batch", 2, 5, 5]}, ["y"])


def signal_net() -> onnx.ModelProto:
    """1-D convolutions with a residual, channels first."""
    m = ModelBuilder(4)
    x = m.node("Conv", "x", m.random(6, 3, 5), m.random(6), pads=[2, 2], strides=[2])
    x = m.node("Relu", x)
    z = m.node("Conv", x, m.random(6, 1, 3), group=6, pads=[1, 1])
    x = m.node("Add", m.node("LeakyRelu", z, alpha=0.1), x)
    x = m.node("AveragePool", x, kernel_shape=[2], strides=[2])
    x = m.node("Flatten", x)
    m.node("Gemm", x, m.random(4, 6 * 8), m.random(4), output="y", transB=1)
    return m.build({"x": [1, 3, 32]}, ["y"])


def moving_net() -> onnx.ModelProto:
    """Slices, pads, splits, resizing, transposed convolution, space to depth."""
    m = ModelBuilder(5)
    x = m.node("Pad", "x", m.integers(0, 0, 1, 1, 0, 0, 0, 0), m.constant(0.0))
    x = m.node("Conv", x, m.random(8, 2, 3, 3))
    x = m.node("Split", x, output="half", count=2, axis=1)
    x = m.node("Mul", "half", m.node("Tanh", "half_1"))
    x = m.node("Slice", x, m.integers(0, 1), m.integers(6, 7), m.integers(2, 3))
    x = m.node("Resize", x, "", m.constant([1, 1, 2, 2]), mode="nearest", coordinate_transformation_mode="asymmetric")
    x = m.node("ConvTranspose", x, m.random(4, 3, 2, 2), strides=[2, 2])
    m.node("SpaceToDepth", x, output="y", blocksize=2)
    return m.build({"x": [1, 2, 9, 9]}, ["y"])


def quantised_net() -> onnx.ModelProto:
    """QDQ: a convolution with per-channel weights, a relu, and an int8 input and output."""
    m = ModelBuilder(6)
    x = m.node("DequantizeLinear", "x", m.constant(0.02), m.constant(3, np.int8))
    w = m.constant(m.rng.integers(-127, 128, (4, 2, 3, 3)), np.int8)
    zeros = m.constant(np.zeros(4), np.int8)
    w = m.node("DequantizeLinear", w, m.constant([0.01, 0.02, 0.03, 0.01]), zeros, axis=0)
    x = m.node("Relu", m.node("Conv", x, w))
    q = [m.constant(0.05), m.constant(-128, np.int8)]
    x = m.node("DequantizeLinear", m.node("QuantizeLinear", x, *q), *q)
    x = m.node("GlobalAveragePool", x)
    m.node("QuantizeLinear", x, *q, output="y")
    return m.build({"x": [1, 2, 6, 6]}, ["y"], dtype=INT8, out=INT8)


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    f.__name__: f for f in (conv_net, residual_net, shapes_net, signal_net, moving_net, quantised_net)
}
