"""Importers of convolutions and matrix products."""

from __future__ import annotations

import numpy as np

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.images import Sliding, from_image, sliding, to_image
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ir import Array, Pad, Quant, Shape
from tinycompile.ops import Add, Conv2D, ConvTranspose2D, Dense, MatMul, Mul, Unary
from tinycompile.ops.unary import Step

CONV = (
    "1-D and 2-D with constant weights; any kernel, stride, dilation, groups (also depthwise with a multiplier) "
    "and padding, auto_pad included"
)


def weights(b: Builder, name: str, perm: tuple[int, ...] | None = None, hint: str = "") -> str:
    """Add constant weights in our order; integer weights keep their values and quantisation."""
    values = b.known.get(name)
    if values is None:
        raise Rejected(f"its weights {name!r} must be constant")
    quant = b.quants.get(name)
    if quant is None:
        values = values.astype(np.float32)
    if perm is not None:
        values = values.transpose(perm)
        if quant is not None and quant.axis is not None:
            quant = Quant(quant.scale, quant.zero_point, perm.index(quant.axis))
    return b.put(hint or name, values, quant)


def bias(b: Builder, name: str, count: int) -> tuple[str, ...]:
    """The constant bias as an operand, or none where the name is empty."""
    if not name:
        return ()
    if name not in b.known or b.known[name].size != count:
        raise Rejected(f"its bias must be a constant of {count} values")
    quant = b.quants.get(name)
    values = b.known[name].reshape(-1)
    return (b.put(name, values if quant else values.astype(np.float32), quant),)


@importer("Conv", rule=CONV)
def _conv(b: Builder, node: Node) -> None:
    b.bind(node.output, convolution(b, node, node.inputs[0], node.inputs[1], node.input(2)))


def convolution(b: Builder, node: Node, x: str, w: str, bias_name: str) -> str:
    """The convolution of ONNX value ``x``; returns the result in ONNX layout."""
    shape, filters = b.shape(x), b.shape(w)
    if len(filters) != len(shape):
        raise Rejected(f"weights {filters} do not fit input {shape}")
    kernel = node.integers("kernel_shape", filters[2:]) or ()
    if kernel != filters[2:]:
        raise Rejected(f"kernel_shape {kernel} differs from its weights {filters}")
    window = sliding(node, shape, kernel)
    image = to_image(b, b.operand(x), window.signal)
    operands = (image, _filters(b, w, window), *bias(b, bias_name, filters[0]))
    y = b.add(
        Conv2D, operands, node.output, kernel=window.kernel, stride=window.stride, dilation=window.dilation,
        pad=window.pad, groups=node.integer("group", 1),
    )  # fmt: skip
    return from_image(b, y, len(shape), node.output, window.signal)


def _filters(b: Builder, name: str, window: Sliding) -> str:
    """(O, I, kh, kw) or (O, I, k) as (O, kh, kw, I)."""
    values = b.known.get(name)
    if values is None:
        raise Rejected(f"its weights {name!r} must be constant")
    quant = b.quants.get(name)
    if quant is not None and quant.axis not in (None, 0):
        raise Rejected(f"its weights are quantised along axis {quant.axis} instead of output channels")
    order = values.reshape(*values.shape[:2], *window.kernel).transpose(0, 2, 3, 1)
    return b.put(name, order if quant else order.astype(np.float32), quant)


@importer("ConvTranspose", rule="1-D and 2-D with constant weights; any stride, padding, output_padding and groups")
def _conv_transpose(b: Builder, node: Node) -> None:
    x, w = b.shape(node.inputs[0]), b.constant(node.inputs[1], "weights")
    axes = len(x) - 2
    window = sliding(node, x, w.shape[2:])
    groups, extra = node.integer("group", 1), node.integers("output_padding", (0,) * axes) or ()
    per_out = w.shape[1]
    if window.signal and axes == 2:
        raise Rejected("a transposed convolution of an image with one row")
    pairs, extra = _transposed_pads(node, x[2:], w.shape[2:], extra)
    if axes == 1:
        pairs, extra, w = [*pairs, (0, 0)], (*extra, 0), w.reshape(*w.shape, 1)
    pad = Pad(pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1])
    # (I, O/groups, kh, kw) to (O, kh, kw, I/groups)
    grouped = w.reshape(groups, -1, per_out, *w.shape[2:]).transpose(0, 2, 3, 4, 1)
    filters = b.put(node.inputs[1], grouped.reshape(groups * per_out, *w.shape[2:], -1).astype(np.float32))
    image = to_image(b, b.operand(node.inputs[0]), window.signal)
    operands = (image, filters, *bias(b, node.input(2), groups * per_out))
    y = b.add(
        ConvTranspose2D, operands, node.output, kernel=window.kernel, stride=window.stride,
        dilation=window.dilation, pad=pad, output_pad=extra, groups=groups,
    )  # fmt: skip
    b.bind(node.output, from_image(b, y, len(x), node.output, window.signal))


def _transposed_pads(
    node: Node, spatial: Shape, kernel: Shape, extra: Shape
) -> tuple[list[tuple[int, int]], tuple[int, ...]]:
    """Padding of every axis and output_padding, where output_shape or auto_pad may determine both."""
    axes = len(spatial)
    stride = node.integers("strides", (1,) * axes) or ()
    dilation = node.integers("dilations", (1,) * axes) or ()
    wanted = node.integers("output_shape")
    mode = node.text("auto_pad", "NOTSET")
    if wanted is None and mode.startswith("SAME"):
        wanted = tuple(n * s for n, s in zip(spatial, stride, strict=True))
    pads = node.integers("pads", (0,) * (2 * axes)) or ()
    pairs = [(pads[i], pads[i + axes]) for i in range(axes)]
    if wanted is not None:
        totals = [
            s * (n - 1) + e + (k - 1) * d + 1 - o
            for s, n, e, k, d, o in zip(stride, spatial, extra, kernel, dilation, wanted[-axes:], strict=True)
        ]
        extra = tuple(e + max(0, -t) for e, t in zip(extra, totals, strict=True))
        totals = [max(0, t) for t in totals]
        pairs = [(t // 2, t - t // 2) if mode == "SAME_UPPER" else (t - t // 2, t // 2) for t in totals]
    if any(p < 0 for pair in pairs for p in pair):
        raise Rejected(f"its pads {pads} are negative")
    return pairs, extra


@importer("Gemm", rule="one operand constant (a dense layer), or both computed; any transA, transB, alpha and beta")
def _gemm(b: Builder, node: Node) -> None:
    a, w, c = node.inputs[0], node.inputs[1], node.input(2)
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    x = b.operand(a)
    if len(b.shape(a)) != 2 or len(b.shape(w)) != 2:
        raise Rejected(f"its operands {b.shape(a)} and {b.shape(w)} are not matrices")
    if node.integer("transA"):
        x = b.transpose(x, (1, 0), f"{a}/transposed")
    if not b.is_known(w):
        _gemm_of_two(b, node, x, alpha, beta)
        return
    if alpha != 1.0:
        b.known[f"{w}/scaled"], w = (b.constant(w) * np.float32(alpha)).astype(np.float32), f"{w}/scaled"
    matrix = weights(b, w, None if node.integer("transB") else (1, 0))
    outputs = b.tensors[matrix].shape[0]
    known_bias = bool(c) and b.is_known(c)
    operands: tuple[str, ...] = (x, matrix)
    if known_bias and b.known[c].size == outputs and b.shape(c)[-1:] == (outputs,) and beta == 1.0:
        operands = (*operands, *bias(b, c, outputs))
    elif known_bias and (b.known[c].ndim < 2 or b.known[c].shape[0] == 1):
        full = np.broadcast_to(b.constant(c).astype(np.float32) * np.float32(beta), (1, outputs)).reshape(-1)
        operands = (*operands, b.put(c, full))
    if len(operands) == 3 or not c:
        b.bind(node.output, b.add(Dense, operands, node.output))
    else:
        product = b.add(Dense, operands, f"{node.output}/product")
        b.bind(node.output, _plus(b, product, c, beta, node.output))


def _gemm_of_two(b: Builder, node: Node, x: str, alpha: float, beta: float) -> None:
    c = node.input(2)
    transposed = bool(node.integer("transB"))
    y = b.add(MatMul, (x, b.operand(node.inputs[1])), f"{node.output}/product", transpose_b=transposed)
    if alpha != 1.0:
        y = b.add(Unary, (y,), f"{node.output}/scaled", steps=(Step("affine", (alpha, 0.0)),))
    b.bind(node.output, _plus(b, y, c, beta, node.output) if c else y)


def _plus(b: Builder, y: str, c: str, beta: float, output: str) -> str:
    """y + beta * c."""
    addend = b.operand(c)
    if beta != 1.0:
        if b.is_known(c):
            addend = b.put(f"{c}/scaled", (b.constant(c) * np.float32(beta)).astype(np.float32))
        else:
            addend = b.add(Unary, (addend,), f"{c}/scaled", steps=(Step("affine", (beta, 0.0)),))
    shape = b.tensors[addend].shape
    rank = len(b.tensors[y].shape)
    if len(shape) < rank:
        addend = _widened(b, addend, rank)
    return b.add(Add, (y, addend), output)


def _widened(b: Builder, name: str, rank: int) -> str:
    tensor = b.tensors[name]
    shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
    if tensor.data is not None:
        return b.put(name, tensor.data.reshape(shape))
    return b.reshape(name, shape, f"{name}/ranked")


@importer("MatMul", rule="by a constant matrix (a dense layer), of a constant matrix, or of two computed tensors")
def _matmul(b: Builder, node: Node) -> None:
    b.bind(node.output, matrix_product(b, node.inputs[0], node.inputs[1], node.output))


def matrix_product(b: Builder, x: str, w: str, output: str) -> str:
    """x @ w, where one of them may be a constant."""
    w, x = _as_matrix(b, w, b.shape(x)), _as_matrix(b, x, b.shape(w))
    if b.is_known(w):
        values = b.known[w]
        if values.ndim == 2:
            return b.add(Dense, (b.operand(x), weights(b, w, (1, 0))), output)
        if values.ndim == 1:
            column = b.put(w, b.constant(w).astype(np.float32).reshape(1, -1))
            y = b.add(Dense, (b.operand(x), column), f"{output}/column")
            return b.reshape(y, b.tensors[y].shape[:-1] or (1,), output)
    elif b.is_known(x) and b.known[x].ndim == 2:
        # A x = (xT AT)T: the constant becomes the weights of a dense layer
        rank = len(b.shape(w))
        if rank < 2:
            raise Rejected(f"multiplies a matrix and a vector of shape {b.shape(w)}")
        swap = (*range(rank - 2), rank - 1, rank - 2)
        turned = b.transpose(b.operand(w), swap, f"{w}/transposed")
        y = b.add(Dense, (turned, weights(b, x)), f"{output}/turned")
        return b.transpose(y, swap, output)
    return _product_of_two(b, b.operand(x), b.operand(w), output)


def _product_of_two(b: Builder, x: str, w: str, output: str) -> str:
    """x @ w of two computed tensors; vectors become matrices of one row or column."""
    left, right = b.tensors[x].shape, b.tensors[w].shape
    if len(left) > 1 and len(right) > 1:
        return b.add(MatMul, (x, w), output, transpose_b=False)
    rows = x if len(left) > 1 else b.reshape(x, (1, *left), f"{x}/row")
    columns = w if len(right) > 1 else b.reshape(w, (*right, 1), f"{w}/column")
    y = b.add(MatMul, (rows, columns), f"{output}/matrix", transpose_b=False)
    shape = b.tensors[y].shape
    kept = shape[: len(shape) - 1 - (len(left) == 1)] + (shape[-1:] if len(right) > 1 else ())
    return b.reshape(y, kept or (1,), output)


def _as_matrix(b: Builder, name: str, other: Shape) -> str:
    """A constant factor without leading axes of extent 1, where the other factor has as many axes."""
    values = b.known.get(name)
    if values is None or values.ndim < 3 or values.ndim > len(other) or any(d != 1 for d in values.shape[:-2]):
        return name
    flat, quant = f"{name}/matrix", b.quants.get(name)
    b.known[flat] = values.reshape(values.shape[-2:])
    if quant is not None:
        axis = None if quant.axis is None else quant.axis - (values.ndim - 2)
        b.quants[flat] = Quant(quant.scale, quant.zero_point, axis)
    return flat


def channel_constant(values: Array, rank: int) -> Array:
    """A per-channel constant shaped to broadcast against an ONNX tensor whose axis 1 is the channel."""
    return values.astype(np.float32).reshape((1, -1) + (1,) * (rank - 2))


@importer("BatchNormalization", rule="at inference; folded into a neighbouring linear operator where possible")
def _batch_norm(b: Builder, node: Node) -> None:
    if node.integer("training_mode") or not node.integer("spatial", 1):
        raise Rejected("it is in training mode, or not per channel")
    gamma, beta, mean, variance = (b.constant(n, "parameter").astype(np.float64) for n in node.inputs[1:5])
    if np.any(variance + node.real("epsilon", 1e-5) <= 0):
        raise Rejected("its variance is not positive")
    factor = gamma / np.sqrt(variance + node.real("epsilon", 1e-5))
    x = b.tensor(node.inputs[0])
    rank = len(x.shape)
    if rank < 2 or any(p.size != x.shape[1] for p in (gamma, beta, mean, variance)):
        raise Rejected(f"its parameters do not fit {x.shape}")
    scale = b.put(f"{node.output}/scale", channel_constant(factor, rank))
    shift = b.put(f"{node.output}/shift", channel_constant(beta - mean * factor, rank))
    product = b.add(Mul, (x.name, scale), f"{node.output}/scaled")
    b.bind(node.output, b.add(Add, (product, shift), node.output))
