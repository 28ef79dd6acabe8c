"""Foreign files to graphs. The format is told by content, never by the file's name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tinycompile.errors import ImportFailed
from tinycompile.ir import Graph, Shape

TFLITE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every TensorFlow Lite file (the flatbuffers file identifier)."""


def load(path: Path | str, *, input_shapes: Mapping[str, Shape] | None = None) -> Graph:
    """The graph of an ONNX or TensorFlow Lite file.

    ``input_shapes`` gives the extents of dynamic inputs in the file's order. Raises ImportFailed where the file
    cannot be read or is neither, UnsupportedOp with everything in it that cannot be compiled.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as problem:
        raise ImportFailed(f"cannot be read: {problem.strerror}", where=str(path)) from problem
    if not head:
        raise ImportFailed("is empty", where=path.name, hint="export the model again")
    if head[4:8] == TFLITE_IDENTIFIER:
        from tinycompile.frontends import tflite

        return tflite.load(path, input_shapes)
    from tinycompile.frontends import onnx

    return onnx.load(path, input_shapes)
