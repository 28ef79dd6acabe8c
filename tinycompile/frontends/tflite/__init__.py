"""int8 (and plain float32) TensorFlow Lite files to graphs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tinycompile.errors import ImportFailed
from tinycompile.frontends.tflite import (  # noqa: F401 - importing registers the operators
    batches,
    elementwise,
    linear,
    movement,
    pooling,
    reduction,
    selection,
    transpose_conv,
)
from tinycompile.frontends.tflite.builder import Builder
from tinycompile.frontends.tflite.node import Rejected
from tinycompile.frontends.tflite.reader import File, parse, read
from tinycompile.frontends.tflite.registry import operator_table
from tinycompile.ir import Graph, Shape

__all__ = ["File", "convert", "load", "operator_table", "parse", "read"]


def load(path: Path | str, input_shapes: Mapping[str, Shape] | None = None) -> Graph:
    """The graph of a .tflite file, in the file's own layout (NHWC).

    A quantised file gives an int8 graph with ``rounding == "tflite"``: uint8 is shifted to int8, a QUANTIZE at the
    input and a DEQUANTIZE at the output are taken away (the port keeps the file's dtype). A file without quantised
    activations gives a float32 graph. ``input_shapes`` may only repeat what the file says.

    Raises ImportFailed where the file is damaged or no model, UnsupportedOp with every operator that cannot be
    compiled.
    """
    return convert(read(Path(path)), input_shapes)


def convert(file: File, input_shapes: Mapping[str, Shape] | None = None) -> Graph:
    """``load`` for a file that has been read (``parse`` reads bytes)."""
    try:
        return Builder(file, input_shapes or {}).run()
    except Rejected as reason:
        raise ImportFailed(str(reason), where=file.name) from None
