"""Graphs with nothing but an input: what reading samples needs to know of a model."""

from __future__ import annotations

from tinycompile.ir import DType, Graph, Port, Quant, Tensor


def nchw(channels: int, height: int, width: int) -> Graph:
    """A float image input "image" that its file has as NCHW."""
    port = Port((1, channels, height, width), (0, 2, 3, 1))
    return one("image", (1, height, width, channels), port)


def plain(*shape: int) -> Graph:
    """A float input "x" with the axes of its file."""
    return one("x", (1, *shape), Port.same((1, *shape)))


def one(name: str, shape: tuple[int, ...], port: Port) -> Graph:
    """A graph whose only tensor is its float input."""
    return Graph("g", (name,), (name,), (), {name: Tensor(name, shape)}, ports={name: port})


def integer(shape: tuple[int, ...], quant: Quant, file_dtype: str) -> Graph:
    """A graph whose input is int8 and was ``file_dtype`` in its file."""
    tensor = Tensor("x", shape, DType.INT8, quant)
    return Graph("g", ("x",), ("x",), (), {"x": tensor}, ports={"x": Port.same(shape, file_dtype)})
