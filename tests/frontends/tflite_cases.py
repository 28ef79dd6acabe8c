"""Files of one TensorFlow Lite operator, with random shapes, scales and options."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.frontends.tflite_file import Node, T, build, constant

Rng = np.random.Generator
Case = Callable[[Rng], bytes]


def one(op: str, operands: list[T], outputs: list[T], options: str = "", version: int = 2, **fields: object) -> bytes:
    """A file with one operator, whose operands that are not constants are the model's inputs."""
    tensors = [*operands, *outputs]
    inputs = [i for i, t in enumerate(operands) if t.data is None]
    written = tuple(range(len(operands), len(tensors)))
    node = Node(op, tuple(range(len(operands))), written, options, fields, version)
    return build(tensors, [node], inputs, written)


def scale(rng: Rng) -> float:
    """A scale; every second one has few bits, so that ties occur."""
    return (
        float(2.0 ** -rng.integers(2, 8) * rng.integers(1, 6)) if rng.random() < 0.5 else float(rng.uniform(0.001, 0.2))
    )


def act(rng: Rng, *shape: int, like: T | None = None) -> T:
    """An int8 activation with random parameters, or those of another."""
    if like is not None:
        return T(shape, "int8", like.scale, like.zero)
    return T(shape, "int8", scale(rng), int(rng.integers(-128, 128)))


def weights(rng: Rng, shape: tuple[int, ...], axis: int, per_channel: bool = True) -> T:
    count = shape[axis] if per_channel else 1
    return constant(rng.integers(-127, 128, shape), "int8", scale=rng.uniform(0.002, 0.02, count), axis=axis)


def bias(rng: Rng, x: T, w: T, count: int) -> T:
    return constant(
        rng.integers(-3000, 3000, count), "int32", scale=np.float32(x.scale) * np.asarray(w.scale, np.float32)
    )


def out(rng: Rng, shape: tuple[int, ...], x: T, terms: int) -> T:
    """The output of a sum of ``terms`` products with weights, with a scale that fits."""
    spread = float(np.float32(x.scale)) * 0.01 * 74 * 60 * math.sqrt(terms)
    return T(shape, "int8", spread / rng.uniform(40, 120), int(rng.integers(-100, 100)))


def extent(size: int, kernel: int, stride: int, dilation: int, same: bool) -> int:
    return -(-size // stride) if same else -(-(size - (kernel - 1) * dilation) // stride)


def convolution(depthwise: bool) -> Case:
    def make(rng: Rng) -> bytes:
        kh, kw, s, d, padding, activation = (int(v) for v in rng.integers((1, 1, 1, 1, 0, 0), (4, 4, 3, 3, 2, 4)))
        d = 1 if s > 1 else d
        c, o = int(rng.integers(1, 9)), int(rng.integers(1, 9))
        x = act(rng, 1, 11, 9, c)
        o = c * o if depthwise else o
        w = weights(rng, (1, kh, kw, o) if depthwise else (o, kh, kw, c), 3 if depthwise else 0, rng.random() < 0.7)
        hw = [extent(n, k, s, d, padding == 0) for n, k in zip((11, 9), (kh, kw), strict=True)]
        y = out(rng, (1, *hw, o), x, kh * kw * (1 if depthwise else c))
        fields = {"StrideW": s, "StrideH": s, "DilationWFactor": d, "DilationHFactor": d, "Padding": padding}
        fields["FusedActivationFunction"] = activation
        if depthwise:
            fields["DepthMultiplier"] = o // c
        options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        return one(name, [x, w, bias(rng, x, w, o)], [y], options, 3, **fields)

    return make


def grouped_conv(rng: Rng) -> bytes:
    x, w = act(rng, 1, 6, 6, 8), weights(rng, (6, 3, 3, 4), 0)
    fields = {"StrideW": 1, "StrideH": 1, "DilationWFactor": 1, "DilationHFactor": 1}
    return one("CONV_2D", [x, w, bias(rng, x, w, 6)], [out(rng, (1, 6, 6, 6), x, 36)], "Conv2DOptions", 3, **fields)


def fully_connected(rng: Rng) -> bytes:
    per_channel, keep = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    x, w = act(rng, 1, 4, 5, 24), weights(rng, (10, 24), 0, per_channel)
    y = out(rng, (1, 4, 5, 10) if keep else (20, 10), x, 24)
    fields = {"KeepNumDims": keep, "FusedActivationFunction": int(rng.integers(0, 4))}
    return one("FULLY_CONNECTED", [x, w, bias(rng, x, w, 10)], [y], "FullyConnectedOptions", 5, **fields)


def binary(op: str) -> Case:
    def make(rng: Rng) -> bytes:
        a, b = act(rng, 1, 7, 6, 5), act(rng, *((1, 7, 6, 5) if rng.random() < 0.5 else (1, 1, 1, 5)))
        if rng.random() < 0.3:
            b = replace(b, data=rng.integers(-128, 128, b.shape).astype(np.int8))
        y = act(rng, 1, 7, 6, 5)
        if op == "MUL":
            y = replace(y, scale=float(a.scale) * float(b.scale) * rng.uniform(30, 300))
        return one(op, [a, b], [y], f"{op.title()}Options", 2, FusedActivationFunction=int(rng.integers(0, 4)))

    return make


def min_max(op: str) -> Case:
    def make(rng: Rng) -> bytes:
        a = act(rng, 1, 7, 6, 5)
        return one(op, [a, act(rng, 1, 7, 6, 5, like=a)], [a], "MaximumMinimumOptions")

    return make


def unary(
    op: str, version: int = 1, options: str = "", fixed: tuple[float, int] | None = None, **fields: object
) -> Case:
    def make(rng: Rng) -> bytes:
        x = T((1, 3000), "int8", scale(rng), int(rng.integers(-128, 128)))
        y = T((1, 3000), "int8", *(fixed or (scale(rng), int(rng.integers(-128, 128)))))
        return one(op, [x], [y], options, version, **fields)

    return make


def hard_swish(rng: Rng) -> bytes:
    x = T((1, 3000), "int8", scale(rng), int(rng.integers(-128, 128)))
    y = T((1, 3000), "int8", float(x.scale) * rng.uniform(0.3, 1.2), int(rng.integers(-128, 0)))
    return one("HARD_SWISH", [x], [y], "HardSwishOptions", 1)


def log(rng: Rng) -> bytes:
    x = T((1, 3000), "int8", scale(rng), -128)
    return one("LOG", [x], [act(rng, 1, 3000)], version=2)


def prelu(rng: Rng) -> bytes:
    x = act(rng, 1, 20, 20, 4)
    slope = constant(rng.integers(-128, 128, (1, 1, 4)), "int8", scale=scale(rng), zero=int(rng.integers(-9, 9)))
    return one("PRELU", [x, slope], [act(rng, 1, 20, 20, 4)], version=1)


def softmax(rng: Rng) -> bytes:
    n = int(rng.integers(2, 200))
    x = act(rng, 40, n)
    return one(
        "SOFTMAX",
        [x],
        [T(x.shape, "int8", 1 / 256, -128)],
        "SoftmaxOptions",
        Beta=float(rng.choice([1, 0.7])),
    )


def pool(op: str) -> Case:
    def make(rng: Rng) -> bytes:
        kh, kw, s, padding, activation = (int(v) for v in rng.integers((1, 1, 1, 0, 0), (5, 5, 4, 2, 4)))
        x = act(rng, 1, 13, 12, 3)
        hw = [extent(n, k, s, 1, padding == 0) for n, k in zip((13, 12), (kh, kw), strict=True)]
        fields = {"FilterWidth": kw, "FilterHeight": kh, "StrideW": s, "StrideH": s, "Padding": padding}
        fields["FusedActivationFunction"] = activation
        return one(op, [x], [act(rng, 1, *hw, 3, like=x)], "Pool2DOptions", **fields)

    return make


def reduce(op: str) -> Case:
    def make(rng: Rng) -> bytes:
        axes = [(1, 2), (2, 1), (3,), (-1, 1), (1,)][int(rng.integers(0, 5))]
        keep = bool(rng.random() < 0.5)
        x = act(rng, 1, 7, 5, 24)
        shape = np.zeros(x.shape).sum(axis=tuple(axes), keepdims=keep).shape
        y = act(rng, *shape, like=x if op != "MEAN" or rng.random() < 0.5 else None)
        return one(op, [x, constant(list(axes))], [y], "ReducerOptions", KeepDims=keep)

    return make


def transpose_conv(rng: Rng) -> bytes:
    kh, kw, s, padding = (int(v) for v in rng.integers((1, 1, 1, 0), (5, 5, 4, 2)))
    c, o = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    x, w = act(rng, 1, 4, 5, c), weights(rng, (o, kh, kw, c), 0)
    hw = [n * s if padding == 0 else (n - 1) * s + max(k, s) for n, k in ((4, kh), (5, kw))]
    y = out(rng, (1, *hw, o), x, c * (1 + kh * kw // s))
    node = Node("TRANSPOSE_CONV", (0, 1, 2, 3), (4,), "TransposeConvOptions", {}, 3)
    node = replace(node, fields={"StrideW": s, "StrideH": s, "Padding": padding})
    return build([constant([1, *hw, o]), w, x, bias(rng, x, w, o), y], [node], [2], [4])


def batch_matmul(rng: Rng) -> bytes:
    swap_x, swap_y = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    a = act(rng, 1, *((6, 5) if swap_x else (5, 6)))
    b = act(rng, 1, *((7, 6) if swap_y else (6, 7)))
    y = T((1, 5, 7), "int8", float(a.scale) * float(b.scale) * 200, 3)
    return one("BATCH_MATMUL", [a, b], [y], "BatchMatMulOptions", AdjX=swap_x, AdjY=swap_y)


def arg_max(rng: Rng) -> bytes:
    x = act(rng, 1, 6, 20)
    return one("ARG_MAX", [x, constant([2])], [T((1, 6), "int32")], "ArgMaxOptions", OutputType=2)


def concatenation(rng: Rng) -> bytes:
    a = act(rng, 1, 4, 5, 3)
    b, axis = act(rng, 1, 4, 5, 2, like=a), int(rng.choice([3, -1]))
    return one("CONCATENATION", [a, b], [act(rng, 1, 4, 5, 5, like=a)], "ConcatenationOptions", Axis=axis)


def pack(rng: Rng) -> bytes:
    a = act(rng, 1, 6)
    b = act(rng, 1, 6, like=a)
    return one("PACK", [a, b], [act(rng, 1, 2, 6, like=a)], "PackOptions", ValuesCount=2, Axis=1)


def unpack(rng: Rng) -> bytes:
    x = act(rng, 1, 3, 6)
    return one("UNPACK", [x], [act(rng, 1, 6, like=x)] * 3, "UnpackOptions", Num=3, Axis=1)


def split(rng: Rng) -> bytes:
    x = act(rng, 1, 4, 5, 6)
    return one("SPLIT", [constant(3), x], [act(rng, 1, 4, 5, 2, like=x)] * 3, "SplitOptions", NumSplits=3)


def split_v(rng: Rng) -> bytes:
    x = act(rng, 1, 4, 5, 6)
    parts = [act(rng, 1, n, 5, 6, like=x) for n in (1, 3)]
    return one("SPLIT_V", [x, constant([1, -1]), constant(1)], parts, "SplitVOptions", NumSplits=2)


def slice_(rng: Rng) -> bytes:
    x = act(rng, 1, 4, 5, 6)
    y = act(rng, 1, 2, 4, 6, like=x)
    return one("SLICE", [x, constant([0, 1, 1, 0]), constant([1, 2, -1, 6])], [y], "SliceOptions")


def strided_slice(rng: Rng) -> bytes:
    x = act(rng, 1, 8, 5, 6)
    bounds = [constant(v) for v in ([0, 1, 4, 0], [1, 8, 0, 0], [1, 3, -2, 2])]
    fields = {"EndMask": 8, "ShrinkAxisMask": 1}
    return one("STRIDED_SLICE", [x, *bounds], [act(rng, 3, 2, 3, like=x)], "StridedSliceOptions", **fields)


def gather(rng: Rng) -> bytes:
    x = act(rng, 1, 4, 5, 6)
    y = act(rng, 1, 4, 3, 6, like=x)
    return one("GATHER", [x, constant([4, 0, 4])], [y], "GatherOptions", Axis=2)


def pad(op: str) -> Case:
    def make(rng: Rng) -> bytes:
        x = act(rng, 1, 4, 5, 3)
        operands = [x, constant([[0, 0], [1, 2], [0, 3], [1, 0]])]
        if op == "PADV2":
            operands.append(constant([-7], "int8", scale=x.scale, zero=x.zero))
        return one(op, operands, [act(rng, 1, 7, 8, 4, like=x)], f"{'PadV2' if op == 'PADV2' else 'Pad'}Options")

    return make


def mirror_pad(mode: int) -> Case:
    def make(rng: Rng) -> bytes:
        x = act(rng, 1, 4, 5, 3)
        amounts = [[0, 0], [1, 0], [1, 1], [0, 0]]
        return one(
            "MIRROR_PAD",
            [x, constant(amounts)],
            [act(rng, 1, 5, 7, 3, like=x)],
            "MirrorPadOptions",
            Mode=mode,
        )

    return make


def reshape(rng: Rng) -> bytes:
    x = act(rng, 1, 4, 5, 6)
    return one("RESHAPE", [x, constant([1, -1])], [act(rng, 1, 120, like=x)], "ReshapeOptions", 1, NewShape=(1, -1))


def squeeze(rng: Rng) -> bytes:
    x = act(rng, 1, 4, 1, 6)
    return one("SQUEEZE", [x], [act(rng, 1, 4, 6, like=x)], "SqueezeOptions", 1, SqueezeDims=(2,))


def expand_dims(rng: Rng) -> bytes:
    x = act(rng, 1, 4, 6)
    return one("EXPAND_DIMS", [x, constant(2)], [act(rng, 1, 4, 1, 6, like=x)], "ExpandDimsOptions", 1)


def transpose(rng: Rng) -> bytes:
    x = act(rng, 1, 4, 5, 6)
    return one("TRANSPOSE", [x, constant([0, 3, 1, 2])], [act(rng, 1, 6, 4, 5, like=x)], "TransposeOptions")


def resize(op: str, **fields: bool) -> Case:
    def make(rng: Rng) -> bytes:
        size = [int(n) for n in rng.integers(1, 14, 2)]
        x = act(rng, 1, 5, 6, 3)
        options = "ResizeBilinearOptions" if op == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
        return one(op, [x, constant(size)], [act(rng, 1, *size, 3, like=x)], options, 3, **fields)

    return make


def depth_to_space(rng: Rng) -> bytes:
    x = act(rng, 1, 3, 4, 12)
    return one("DEPTH_TO_SPACE", [x], [act(rng, 1, 6, 8, 3, like=x)], "DepthToSpaceOptions", 1, BlockSize=2)


def space_to_depth(rng: Rng) -> bytes:
    x = act(rng, 1, 6, 8, 3)
    return one("SPACE_TO_DEPTH", [x], [act(rng, 1, 3, 4, 12, like=x)], "SpaceToDepthOptions", 1, BlockSize=2)


def dilated(flat: bool) -> Case:
    """A dilated convolution as the converter writes it: of an image, or of a signal that is one row of an image."""

    def make(rng: Rng) -> bytes:
        block, kernel = int(rng.integers(2, 4)), int(rng.integers(1, 4))
        before = int(rng.integers(0, 3))
        size = block * (kernel + int(rng.integers(0, 4)))
        crop = int(rng.integers(0, block))
        x = act(rng, 1, size - before, 6) if flat else act(rng, 1, size - before, 5, 6)
        w = weights(rng, (3, 1, kernel, 6) if flat else (3, kernel, 1, 6), 0)
        axes = 1 if flat else 2
        blocks = [block, 1][:axes]
        phases, made = size // block, size // block - kernel + 1
        width = () if flat else (5,)
        y = out(rng, (1,), x, 6 * kernel)
        tensors = [
            x, constant(blocks), constant([[before, 0], [0, 0]][:axes]),
            T((block, phases, *width, 6), "int8", x.scale, x.zero),
            constant(1), T((block, 1, phases, 6), "int8", x.scale, x.zero), w, bias(rng, x, w, 3),
            T((block, 1, made, 3) if flat else (block, made, 5, 3), "int8", y.scale, y.zero),
            constant([block, made, 3]),
            T((block, made, 3), "int8", y.scale, y.zero), constant([[0, crop], [0, 0]][:axes]),
            T((1, made * block - crop, *width, 3), "int8", y.scale, y.zero),
        ]  # fmt: skip
        conv = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
        around = (
            [Node("EXPAND_DIMS", (3, 4), (5,), "ExpandDimsOptions", version=1)],
            [Node("RESHAPE", (8, 9), (10,), "ReshapeOptions", version=1)],
        )
        nodes = [
            Node("SPACE_TO_BATCH_ND", (0, 1, 2), (3,)), *(around[0] if flat else []),
            Node("CONV_2D", (5 if flat else 3, 6, 7), (8,), "Conv2DOptions", conv, 3), *(around[1] if flat else []),
            Node("BATCH_TO_SPACE_ND", (10 if flat else 8, 1, 11), (12,)),
        ]  # fmt: skip
        return build(tensors, nodes, [0], [12])

    return make


def tile(rng: Rng) -> bytes:
    x = act(rng, 1, 3, 1, 4)
    repeats = rng.integers(1, 4, 4)
    repeats[0] = 1
    shape = tuple(int(n) for n in repeats * np.array(x.shape))
    return one("TILE", [x, constant(repeats)], [act(rng, *shape, like=x)], "TileOptions", 1)


CASES: dict[str, Case] = {
    "conv": convolution(False),
    "depthwise": convolution(True),
    "grouped_conv": grouped_conv,
    "fully_connected": fully_connected,
    "add": binary("ADD"),
    "sub": binary("SUB"),
    "mul": binary("MUL"),
    "maximum": min_max("MAXIMUM"),
    "minimum": min_max("MINIMUM"),
    "relu": unary("RELU"),
    "relu6": unary("RELU6"),
    "relu_n1_to_1": unary("RELU_N1_TO_1"),
    "leaky_relu": unary("LEAKY_RELU", 2, "LeakyReluOptions", Alpha=0.3),
    "logistic": unary("LOGISTIC", 2, fixed=(1 / 256, -128)),
    "tanh": unary("TANH", 2, fixed=(1 / 128, 0)),
    "abs": unary("ABS", 1, "AbsOptions"),
    "exp": unary("EXP", 2, "ExpOptions"),
    "gelu": unary("GELU", 2, "GeluOptions"),
    "log": log,
    "quantize": unary("QUANTIZE", 2, "QuantizeOptions"),
    "hard_swish": hard_swish,
    "prelu": prelu,
    "softmax": softmax,
    "average_pool": pool("AVERAGE_POOL_2D"),
    "max_pool": pool("MAX_POOL_2D"),
    "mean": reduce("MEAN"),
    "reduce_max": reduce("REDUCE_MAX"),
    "reduce_min": reduce("REDUCE_MIN"),
    "transpose_conv": transpose_conv,
    "batch_matmul": batch_matmul,
    "arg_max": arg_max,
    "concatenation": concatenation,
    "pack": pack,
    "unpack": unpack,
    "split": split,
    "split_v": split_v,
    "slice": slice_,
    "strided_slice": strided_slice,
    "gather": gather,
    "pad": pad("PAD"),
    "pad_v2": pad("PADV2"),
    "reflect": mirror_pad(0),
    "symmetric": mirror_pad(1),
    "reshape": reshape,
    "squeeze": squeeze,
    "expand_dims": expand_dims,
    "transpose": transpose,
    "bilinear": resize("RESIZE_BILINEAR"),
    "bilinear_half_pixel": resize("RESIZE_BILINEAR", HalfPixelCenters=True),
    "bilinear_align_corners": resize("RESIZE_BILINEAR", AlignCorners=True),
    "nearest": resize("RESIZE_NEAREST_NEIGHBOR"),
    "nearest_half_pixel": resize("RESIZE_NEAREST_NEIGHBOR", HalfPixelCenters=True),
    "nearest_align_corners": resize("RESIZE_NEAREST_NEIGHBOR", AlignCorners=True),
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "dilated_image": dilated(False),
    "dilated_signal": dilated(True),
    "tile": tile,
}
