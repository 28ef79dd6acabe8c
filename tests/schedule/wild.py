"""Random networks of the real operators: what a planner must cope with, and hypothesis can make smaller."""

from __future__ import annotations

from random import Random

import numpy as np

from tests.schedule.networks import Network, Q
from tinycompile.ir import DType, Graph, Op, Pad, Tensor, verify
from tinycompile.ops import (
    Add,
    AveragePool2D,
    Concat,
    Conv2D,
    Dense,
    DepthToSpace,
    Max,
    MaxPool2D,
    Mul,
    PadOp,
    Reduce,
    Reshape,
    Resize2D,
    Sub,
    Unary,
)
from tinycompile.ops.unary import Step

LARGEST = 1600
"""Elements of an image, at most: wider ones are not grown further."""
SIGMOID = (Step("sigmoid"),)


class Wild(Network):
    """A network that grows at random; ``images`` are what it can grow from."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        extents = self.extents()
        super().__init__(extents, dice.randrange(1 << 16))
        self.images = ["image"]
        if dice.random() < 0.12:
            self.images.append(self.given("other", extents if dice.random() < 0.5 else self.extents()))
        if dice.random() < 0.12:
            self.flat_input()

    def extents(self) -> tuple[int, ...]:
        """Of an image: mostly small and odd, sometimes a row, a column or a pixel."""
        dice = self.dice
        shape = dice.choice(["image", "image", "image", "image", "steps", "row", "column"])
        height = 1 if shape == "row" else dice.randint(2, 40 if shape == "steps" else 18)
        width = 1 if shape in ("column", "steps") else dice.randint(1, 11)
        return (1, height, width, dice.randint(1, 6))

    def given(self, name: str, shape: tuple[int, ...]) -> str:
        """One more input."""
        self.tensors[name] = Tensor(name, shape, DType.INT8, Q)
        return name

    def flat_input(self) -> None:
        """The image comes as a list of numbers, or as one with other extents."""
        shape = self.tensors["image"].shape
        flat = (1, shape[1], shape[2] * shape[3]) if self.dice.random() < 0.5 else (1, int(np.prod(shape)))
        self.tensors["image"] = Tensor("image", flat, DType.INT8, Q)
        self.images[0] = self.add(Reshape, "image", shape=shape)

    def some(self) -> str:
        """An image, one of the last ones more often than not."""
        dice = self.dice
        near = self.images[-3:] if dice.random() < 0.8 else self.images
        return dice.choice(near[::-1])

    def like(self, x: str, axes: tuple[int, ...]) -> list[str]:
        """``x``, and the images that have its extents along some axes, the last ones first."""
        shape = self.tensors[x].shape
        names = [x, *(n for n in reversed(self.images) if n != x)]
        return [n for n in names if all(self.tensors[n].shape[a] == shape[a] for a in axes)]

    def grow(self) -> None:
        """One more op or block."""
        dice, x = self.dice, self.some()
        kinds = ["slide", "slide", "slide", "slide", "table", "join", "join", "concat", "concat", "excite", "excite"]
        kind = dice.choice([*kinds, "residual", "resize", "pad", "global", "shape"])
        if kind == "table":
            made = self.add(Unary, x, steps=SIGMOID)
        elif kind == "join":
            made = self.add(dice.choice([Add, Add, Sub, Mul, Max]), *self.pair(x, (1, 2, 3)))
        elif kind == "concat":
            made = self.concat(x)
        elif kind == "residual":
            made = self.residual(x)
        elif kind == "excite":
            made = self.excite(x)
        elif kind == "resize":
            made = self.resize(x)
        elif kind == "pad":
            made = self.pad(x)
        elif kind == "global":
            made = self.pool(x)
        elif kind == "shape":
            made = self.reshape(x)
        else:
            made = self.slide(x, dice.choice(["conv", "conv", "depthwise", "depthwise", "max", "mean"]))
        self.images.append(made)

    def pair(self, x: str, axes: tuple[int, ...]) -> tuple[str, str]:
        """``x`` and one that it can be joined with, in any order."""
        two = [x, self.dice.choice(self.like(x, axes))]
        self.dice.shuffle(two)
        return two[0], two[1]

    def concat(self, x: str) -> str:
        """Channels, mostly, or columns or rows of up to three images."""
        axis = self.dice.choice([3, 3, 3, 3, 2, 1])
        others = self.like(x, tuple(a for a in (1, 2, 3) if a != axis))
        names = [x, *(self.dice.choice(others) for _ in range(self.dice.randint(1, 2)))]
        self.dice.shuffle(names)
        return self.add(Concat, *names, axis=axis)

    def residual(self, x: str) -> str:
        """An inverted bottleneck, perhaps with a gate in it, and the sum where it fits."""
        dice = self.dice
        wide = self.tensors[x].channels * dice.randint(1, 3)
        y = self.conv(x, wide)
        y = self.conv(y, wide, dice.choice([3, 5]), 1 if dice.random() < 0.7 else 2, depthwise=True)
        if dice.random() < 0.4:
            y = self.excite(y)
        y = self.conv(y, self.tensors[x].channels if dice.random() < 0.8 else dice.randint(1, 8))
        return self.add(Add, x, y) if self.tensors[x].shape == self.tensors[y].shape else y

    def excite(self, x: str) -> str:
        """Squeeze-and-excite: an image times what was computed from its mean, or from that of another image; perhaps
        with two gates on one mean, or the image added again."""
        dice = self.dice
        source = dice.choice(self.like(x, (3,))) if dice.random() < 0.2 else x
        mean = self.pool(source)
        made = self.gated(x, mean)
        if dice.random() < 0.2:
            other = self.gated(made if dice.random() < 0.5 else x, mean)
            made = self.add(Add, made, other)
        return self.add(Add, made, x) if dice.random() < 0.2 else made

    def gated(self, x: str, mean: str) -> str:
        """The product of an image and a gate for each of its channels."""
        dice, channels = self.dice, self.tensors[x].channels
        if dice.random() < 0.3:
            z = self.add(Reshape, mean, shape=(1, channels))
            z = self.add(Dense, z, *self.constants((dice.randint(1, 4), channels)))
            z = self.add(Unary, z, steps=SIGMOID) if dice.random() < 0.5 else z
            z = self.add(Dense, z, *self.constants((channels, self.tensors[z].channels)))
            z = self.add(Reshape, self.add(Unary, z, steps=SIGMOID), shape=(1, 1, 1, channels))
        elif dice.random() < 0.2:
            z = self.add(Unary, mean, steps=SIGMOID)
        else:
            z = self.conv(mean, dice.randint(1, 4))
            z = self.add(Unary, z, steps=SIGMOID) if dice.random() < 0.5 else z
            z = self.add(Unary, self.conv(z, channels), steps=SIGMOID)
        return self.add(Mul, x, z) if dice.random() < 0.7 else self.add(Mul, z, x)

    def pool(self, x: str) -> str:
        """One pixel for a whole image."""
        tensor, kind = self.tensors[x], self.dice.choice(["mean", "mean", "mean", "max", "reduce", "conv"])
        if kind == "max":
            return self.add(MaxPool2D, x, kernel=tensor.hw)
        if kind == "reduce":
            return self.add(Reduce, x, kind="mean", axes=(1, 2), keepdims=True)
        if kind == "conv":
            w, b = self.constants((tensor.channels, *tensor.hw, 1))
            return self.add(Conv2D, x, w, b, kernel=tensor.hw, stride=(1, 1), groups=tensor.channels)
        return self.add(AveragePool2D, x, kernel=tensor.hw)

    def resize(self, x: str) -> str:
        """Larger or smaller, by any ratio, or channels to rows and columns."""
        dice, tensor = self.dice, self.tensors[x]
        if tensor.channels % 4 == 0 and dice.random() < 0.5:
            return self.add(DepthToSpace, x, block=2)
        if tensor.size > LARGEST // 4:
            return self.slide(x, "max")
        factors = (2, 2) if dice.random() < 0.5 else (dice.randint(1, 3), dice.randint(1, 3))
        size = tensor.hw[0] * factors[0], tensor.hw[1] * factors[1]
        if dice.random() < 0.3:
            size = dice.randint(1, 2 * tensor.hw[0]), dice.randint(1, 2 * tensor.hw[1])
        return self.add(Resize2D, x, size=size, mode=dice.choice(["nearest", "bilinear"]))

    def pad(self, x: str) -> str:
        """Some rows, columns and channels more."""
        dice, hw = self.dice, self.tensors[x].hw
        mode = dice.choice(["constant", "constant", "edge", "reflect"])
        most = [min(2, size - 1) if mode == "reflect" else 2 for size in hw]
        more = dice.randint(0, 1) if mode == "constant" else 0
        before, after = ((0, dice.randint(0, most[0]), dice.randint(0, most[1]), c) for c in (0, more))
        return self.add(PadOp, x, before=before, after=after, mode=mode)

    def reshape(self, x: str) -> str:
        """The same bytes as an image of other extents."""
        _, height, width, channels = self.tensors[x].shape
        shapes = [(1, height, width, channels), (1, width, height, channels), (1, height * width, 1, channels)]
        return self.add(Reshape, x, shape=self.dice.choice(shapes))

    def slide(self, x: str, kind: str) -> str:
        """A convolution or a pool of random extent, stride, dilation and padding."""
        dice, tensor = self.dice, self.tensors[x]
        kernel = tuple(dice.randint(1, min(4, size)) for size in tensor.hw)
        stride = dice.choice([1, 1, 1, 2, 3]), dice.choice([1, 1, 1, 2, 3])
        pad = Pad(*(dice.randint(0, kernel[i % 2] - 1) for i in range(4)))
        if dice.random() < 0.4:
            pad, stride = Pad(*((k - 1) // 2 for k in kernel), *(k // 2 for k in kernel)), (1, 1)
        if kind == "mean":
            return self.add(AveragePool2D, x, kernel=kernel, stride=stride, pad=pad)
        room = zip(tensor.hw, kernel, (pad.top + pad.bottom, pad.left + pad.right), strict=True)
        dilation = tuple(2 if size + rim > 2 * (k - 1) and dice.random() < 0.3 else 1 for size, k, rim in room)
        if kind == "max":
            return self.add(MaxPool2D, x, kernel=kernel, stride=stride, pad=pad, dilation=dilation)
        groups = tensor.channels if kind == "depthwise" else 1
        channels = groups if groups > 1 else dice.randint(1, 9)
        w, b = self.constants((channels, *kernel, tensor.channels // groups))
        return self.add(
            Conv2D, x, w, b, kernel=kernel, stride=stride, pad=pad, dilation=dilation, groups=groups
        )  # fmt: skip

    def finished(self) -> Graph:
        """The graph: what the last image needs, perhaps with a classifier behind it, and other outputs; or all."""
        dice = self.dice
        if dice.random() < 0.3:
            self.images.append(self.head(self.images[-1]))
        used = {name for op in self.ops for name in op.inputs}
        outputs = [self.ops[-1].output]
        if dice.random() < 0.2:
            outputs += [op.output for op in self.ops if op.output not in used]
        if dice.random() < 0.3:
            outputs.append(dice.choice(self.ops).output)
        if dice.random() < 0.2:
            outputs[0] = self.add(Reshape, outputs[0], shape=(1, self.tensors[outputs[0]].size))
        inputs = tuple(n for n in ("image", "other") if n in self.tensors)
        return verify(Graph("wild", inputs, tuple(dict.fromkeys(outputs)), self.needed(outputs), self.tensors))

    def needed(self, outputs: list[str]) -> tuple[Op, ...]:
        """The ops without which an output could not be made."""
        found, names = [], set(outputs)
        for op in reversed(self.ops):
            if op.output in names:
                found.append(op)
                names.update(op.inputs)
        return tuple(reversed(found))

    def head(self, x: str) -> str:
        """Global pool and dense layer."""
        mean = self.pool(x)
        flat = self.add(Reshape, mean, shape=(1, self.tensors[mean].channels))
        return self.add(Dense, flat, *self.constants((3, self.tensors[flat].channels)))


def wild(seed: int | Random) -> tuple[Network, Graph]:
    """A random network: branches, gates, strides, dilations, odd extents, several inputs and outputs."""
    dice = Random(seed) if isinstance(seed, int) else seed
    net = Wild(dice)
    for _ in range(dice.randint(1, 7)):
        if net.tensors[net.images[-1]].size <= LARGEST:
            net.grow()
    return net, net.finished()
