"""Float graphs made by hand, and by hypothesis."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from tinycompile.data import Samples
from tinycompile.ir import Graph, Op, Pad, Tensor, verify
from tinycompile.ops import Add, AveragePool2D, Concat, Conv2D, Dense, MaxPool2D, Mul, Reshape, Softmax, Unary
from tinycompile.ops.unary import Step

Clip = tuple[float, float]
RELU: Clip = (0.0, math.inf)


class Net:
    """A float graph under construction; every method returns the name of what it added."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors = {"x": Tensor("x", (1, *shape))}
        self.ops: list[Op] = []

    def put(self, op: Op) -> str:
        """Append an op, with its output of the inferred shape."""
        shape = op.infer(*(self.tensors[n] for n in op.inputs))
        self.tensors[op.output] = Tensor(op.output, tuple(shape))
        self.ops.append(op)
        return op.output

    def constant(self, name: str, values: np.ndarray) -> str:
        """Add a float32 constant."""
        self.tensors[name] = Tensor.constant(name, np.asarray(values, np.float32))
        return name

    def name(self) -> str:
        """A name that is still free."""
        return f"t{len(self.ops)}"

    def conv(
        self, x: str, channels: int, kernel: int = 3, *, bias: bool = True, clip: tuple[float, float] = RELU
    ) -> str:
        """A convolution with padding that keeps the image's size."""
        name, wide = self.name(), self.tensors[x].channels
        weights = self.rng.normal(0, 1 / math.sqrt(kernel * kernel * wide), (channels, kernel, kernel, wide))
        inputs = [x, self.constant(f"{name}.w", weights)]
        if bias:
            inputs.append(self.constant(f"{name}.b", self.rng.normal(0, 0.3, channels)))
        pad = Pad(*(kernel // 2,) * 4)
        return self.put(Conv2D(name, tuple(inputs), name, kernel=(kernel, kernel), pad=pad, clip=clip))

    def dense(self, x: str, channels: int) -> str:
        """A dense layer."""
        name, wide = self.name(), self.tensors[x].channels
        weights = self.rng.normal(0, 1 / math.sqrt(wide), (channels, wide))
        bias = self.rng.normal(0, 0.3, channels)
        return self.put(Dense(name, (x, self.constant(f"{name}.w", weights), self.constant(f"{name}.b", bias)), name))

    def flat(self, x: str) -> str:
        """All values in one row."""
        name = self.name()
        return self.put(Reshape(name, (x,), name, shape=(1, self.tensors[x].size)))

    def unary(self, x: str, function: str, *constants: float) -> str:
        """A function of one value."""
        name = self.name()
        return self.put(Unary(name, (x,), name, (Step(function, constants),)))

    def two(self, kind: type[Op], a: str, b: str) -> str:
        """An op of two tensors."""
        name = self.name()
        return self.put(kind(name, (a, b), name))

    def concat(self, *inputs: str, axis: int = -1) -> str:
        """Join along an axis."""
        name = self.name()
        return self.put(Concat(name, inputs, name, axis=len(self.tensors[inputs[0]].shape) + axis))

    def max_pool(self, x: str) -> str:
        """Halve the image."""
        name = self.name()
        return self.put(MaxPool2D(name, (x,), name, kernel=(2, 2), stride=(2, 2)))

    def average(self, x: str) -> str:
        """The mean of the whole image."""
        name = self.name()
        return self.put(AveragePool2D(name, (x,), name, kernel=self.tensors[x].hw, stride=(1, 1)))

    def softmax(self, x: str) -> str:
        """Softmax over the last axis."""
        name = self.name()
        return self.put(Softmax(name, (x,), name))

    def graph(self, *outputs: str) -> Graph:
        """The finished graph; its output is the last op's unless named."""
        wanted = outputs or (self.ops[-1].output,)
        return verify(Graph("net", ("x",), wanted, tuple(self.ops), self.tensors))


def annotated(graph: Graph, **quants: object) -> Graph:
    """``graph`` with quantisations on some of its tensors."""
    return graph.with_tensors(*(replace(graph.tensors[n], quant=q) for n, q in quants.items()))  # type: ignore[arg-type]


def classifier(seed: int = 0) -> Graph:
    """Two convolutions, a residual sum, pools and a dense layer with softmax."""
    net = Net(8, 8, 3, seed=seed)
    a = net.conv("x", 8)
    b = net.conv(a, 8, clip=(-math.inf, math.inf))
    pooled = net.max_pool(net.two(Add, a, b))
    net.softmax(net.dense(net.flat(net.average(net.conv(pooled, 12, 1))), 5))
    return net.graph()


def noise(graph: Graph, count: int = 24, *, low: float = -1.0, high: float = 1.0, seed: int = 1) -> Samples:
    """Uniform samples for the input "x"."""
    shape = (count, *graph.tensors["x"].shape)
    return Samples({"x": np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)})


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Random small graphs: branches and joins of convolutions, tables, sums, products."""
    net = Net(
        draw(st.integers(2, 5)),
        draw(st.integers(2, 5)),
        draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 999)),
    )
    open_ends = ["x"]
    for _ in range(draw(st.integers(1, 7))):
        x = draw(st.sampled_from(open_ends))
        kind = draw(st.sampled_from(["conv", "conv", "table", "add", "mul", "concat", "softmax"]))
        alike = [n for n in open_ends if net.tensors[n].shape == net.tensors[x].shape]
        other = draw(st.sampled_from(alike))
        if kind == "conv":
            clip = draw(st.sampled_from([RELU, (0.0, 6.0), (-math.inf, math.inf)]))
            channels, kernel = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3]))
            y = net.conv(x, channels, kernel, bias=draw(st.booleans()), clip=clip)
        elif kind == "table":
            y = net.unary(x, draw(st.sampled_from(["sigmoid", "tanh", "abs", "hard_swish"])))
        elif kind == "concat":
            y = net.concat(x, other)
        elif kind == "softmax":
            y = net.softmax(x)
        else:
            y = net.two(Add if kind == "add" else Mul, x, other)
        open_ends.append(y)
    return net.graph(*dict.fromkeys([open_ends[-1], draw(st.sampled_from(open_ends[1:]))]))
