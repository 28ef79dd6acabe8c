"""Functions of values move behind a reshape that makes an image: then the image is a view of what was there before.

An input that is read as an image from the start can be streamed row by row.
"""

from __future__ import annotations

from dataclasses import fields

from tinycompile.ir import Graph, Op
from tinycompile.ops import Reshape, Unary
from tinycompile.ops.moving import is_image
from tinycompile.passes.rewrite import Sweep, rewrite


def image_views(graph: Graph) -> Graph:
    """``reshape(f(x))`` as ``f(reshape(x))`` where that makes an image of what is none; exact for integers too."""
    return rewrite(graph, _of_view)


def _of_view(op: Op, s: Sweep) -> Op | None:
    function = s.sole(op.inputs[0]) if isinstance(op, Reshape) else None
    if not isinstance(function, Unary) or not isinstance(op, Reshape):
        return None
    before, out = s.tensors[function.inputs[0]], s.tensors[op.output]
    if not is_image(out) or is_image(before) or s.tensors[function.output].quant not in (None, out.quant):
        return None
    view = s.emit(Reshape, function.inputs, f"{op.output}/view", before.quant, shape=op.shape)
    own = {f.name: getattr(function, f.name) for f in fields(function) if f.name not in ("name", "inputs", "output")}
    return type(function)(op.name, (view,), op.output, **own)
