"""ONNX files to graphs: float32 of any exporter, QDQ, and operators on integers; opset 7 to 23."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tinycompile.errors import ImportFailed
from tinycompile.frontends.onnx import (  # noqa: F401 - importing registers the operators
    classical,
    elementwise,
    linear,
    logic,
    movement,
    normalization,
    pooling,
    quantized,
    repetition,
    resize,
)  # fmt: skip
from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.node import Rejected
from tinycompile.frontends.onnx.reader import Model, parse, read
from tinycompile.frontends.onnx.registry import operator_table
from tinycompile.ir import Graph, Shape

__all__ = ["Model", "convert", "load", "operator_table", "parse", "read"]


def load(path: Path | str, input_shapes: Mapping[str, Shape] | None = None) -> Graph:
    """The graph of an ONNX file, still in the file's layout, with batch 1.

    ``input_shapes`` gives the extents of inputs that are dynamic, in the file's order. Raises ImportFailed where
    the file is damaged, no model, or needs such shapes; UnsupportedOp with every node that cannot be compiled.
    """
    return convert(read(Path(path)), input_shapes)


def convert(model: Model, input_shapes: Mapping[str, Shape] | None = None) -> Graph:
    """``load`` for a model that has been read (``parse`` reads bytes)."""
    try:
        return Builder(model, input_shapes or {}).run()
    except Rejected as reason:
        raise ImportFailed(str(reason), where=model.name) from None
