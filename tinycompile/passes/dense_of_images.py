"""Dense layers of a flattened image become convolutions of the image, which can take in its rows as they come."""

from __future__ import annotations

from tinycompile.ir import Graph, Op
from tinycompile.ops import Dense, ImageDense, Reshape
from tinycompile.ops.moving import is_image
from tinycompile.passes.rewrite import Sweep, rewrite


def dense_of_images(graph: Graph) -> Graph:
    """``dense(reshape(image))`` as ``reshape(image_dense(image))``; exact for integer graphs too."""
    return rewrite(graph, of_image)


def of_image(op: Op, s: Sweep) -> Op | None:
    """The same products in the same order, under other shapes."""
    flat = s.producer(op.inputs[0])
    if not isinstance(op, Dense) or not isinstance(flat, Reshape):
        return None
    image, row, out = (s.tensors[name] for name in (flat.inputs[0], flat.output, op.output))
    weights = s.tensors[op.inputs[1]]
    if not is_image(image) or image.hw[0] == 1 or row.size != row.channels or out.dtype is not image.dtype:
        return None
    if row.quant not in (None, image.quant) or weights.data is None:
        return None
    kernel = s.put(weights.name, weights.data.reshape(-1, *image.shape[1:]), weights.quant)
    inputs = (image.name, kernel, *op.inputs[2:])
    pixel = s.emit(ImageDense, inputs, f"{op.output}/pixel", out.quant, kernel=image.hw, clip=op.clip)
    return Reshape(op.name, (pixel,), op.output, shape=out.shape)
