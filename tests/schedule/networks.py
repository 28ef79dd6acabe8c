"""Small networks of the real operators with random weights: a classifier with residual blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycompile.ir import Array, DType, Graph, Op, Pad, Quant, Shape, Tensor, verify
from tinycompile.ops import Add, AveragePool2D, Conv2D, Dense, Reshape

Q = Quant.per_tensor(0.05, -3)


class Network:
    """A quantised graph under construction; every method appends an op and returns its output's name."""

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors = {"image": Tensor("image", shape, DType.INT8, Q)}
        self.ops: list[Op] = []

    def add(self, kind: type[Op], /, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.__name__.lower()}_{len(self.ops)}"
        op = kind(name, inputs, f"{name}_out", **attributes)
        shape = op.infer(*(self.tensors[n] for n in inputs))
        self.tensors[op.output] = Tensor(op.output, shape, DType.INT8, Q)
        self.ops.append(op)
        return op.output

    def conv(self, x: str, channels: int, kernel: int = 1, stride: int = 1, depthwise: bool = False) -> str:
        """A convolution with "same" padding; depthwise ones keep the channels."""
        width = self.tensors[x].channels
        rim = Pad(*4 * (kernel // 2,))
        groups = width if depthwise else 1
        w, b = self.constants((channels, kernel, kernel, width // groups))
        return self.add(Conv2D, x, w, b, kernel=(kernel,) * 2, stride=(stride,) * 2, pad=rim, groups=groups)

    def block(self, x: str, expand: int, channels: int, stride: int = 1) -> str:
        """An inverted residual block."""
        wide = self.tensors[x].channels * expand
        y = self.conv(self.conv(self.conv(x, wide), wide, 3, stride, depthwise=True), channels)
        return self.add(Add, x, y) if self.tensors[x].shape == self.tensors[y].shape else y

    def classify(self, x: str, classes: int) -> Graph:
        """Global pool and dense layer; the finished graph."""
        x = self.add(AveragePool2D, x, kernel=self.tensors[x].hw)
        x = self.add(Reshape, x, shape=(1, self.tensors[x].channels))
        x = self.add(Dense, x, *self.constants((classes, self.tensors[x].channels)))
        return verify(Graph("network", ("image",), (x,), tuple(self.ops), self.tensors))

    def constants(self, shape: Shape) -> tuple[str, str]:
        """Weights, one scale for each output channel, and a bias."""
        w, b = f"w{len(self.ops)}", f"b{len(self.ops)}"
        scales = tuple((self.rng.uniform(0.5, 1.5, shape[0]) / np.prod(shape[1:]) ** 0.5 / 60).tolist())
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        bias = self.rng.integers(-2000, 2000, shape[0]).astype(np.int32)
        self.tensors[w] = Tensor.constant(w, values, Quant(scales, 0, 0))
        self.tensors[b] = Tensor.constant(b, bias, Quant(tuple(s * Q.scalar for s in scales), 0, 0))
        return w, b

    def image(self) -> dict[str, Array]:
        """Random inputs: the image, and what else there is."""
        given = [t for t in self.tensors.values() if t.name in ("image", "other")]
        return {t.name: self.rng.integers(-128, 128, t.shape).astype(np.int8) for t in given}


def mobile(size: int = 32, width: int = 4, blocks: int = 3) -> tuple[Network, Graph]:
    """A small MobileNetV2: a strided convolution, residual blocks of which every second halves the image."""
    net = Network((1, size, size, 3))
    x = net.conv("image", width, 3, 2)
    for i in range(blocks):
        x = net.block(x, 4, width * (1 + i // 2), 1 + i % 2)
    return net, net.classify(x, 10)
