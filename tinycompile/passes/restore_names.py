"""Tensors get back the names they have in the file, once the tensors that had those names are gone."""

from __future__ import annotations

import re
from dataclasses import replace

from tinycompile.ir import Graph

SUFFIX = re.compile(r"(/(inner|nchw|nhwc|ncw|nwc|image|row|signal|pooled|shape|view|clipped)(_\d+)?)+$")
"""What front ends and passes append to the names of tensors that they put beside the file's own."""


def restore_names(graph: Graph) -> Graph:
    """``x/inner`` becomes ``x`` where no tensor is called ``x`` any more; ops are called as their outputs."""
    names = {name: name for name in graph.tensors}
    taken = set(names)
    for op in graph.ops:
        plain = SUFFIX.sub("", op.output)
        if plain and plain not in taken and op.output not in graph.outputs:
            names[op.output] = plain
            taken.add(plain)
    ops = [
        replace(op, name=names[op.output], inputs=tuple(names[n] for n in op.inputs), output=names[op.output])
        for op in graph.ops
    ]
    tensors = {names[n]: t.like(name=names[n]) for n, t in graph.tensors.items()}
    return graph.with_ops(ops, tensors)
