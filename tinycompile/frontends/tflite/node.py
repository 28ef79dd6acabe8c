"""A TensorFlow Lite file as plain values: tensors, operators, and the refusal of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tinycompile.errors import ImportFailed
from tinycompile.ir import Array, Shape

MAX_ELEMENTS = 1 << 28
"""No tensor for a microcontroller is larger; more is a corrupt shape."""
NUMPY_TYPES = {
    "FLOAT32": "float32", "FLOAT16": "float16", "FLOAT64": "float64", "INT8": "int8", "UINT8": "uint8",
    "INT16": "int16", "INT32": "int32", "INT64": "int64", "BOOL": "bool",
}  # fmt: skip


class Rejected(Exception):
    """An operator cannot be imported, for the reason in the text; collected into UnsupportedOp."""


@dataclass(frozen=True)
class Scales:
    """Quantisation parameters as the file states them: one pair, or one for each index along ``axis``."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor of the file. ``raw`` holds the bytes of a constant, little-endian."""

    index: int
    name: str
    shape: Shape
    type: str
    """NumPy's name of the element type, or TensorFlow Lite's where NumPy has none."""
    scales: Scales | None = None
    raw: Array | None = None
    dynamic: tuple[int, ...] = ()
    """Axes whose extent the file leaves open."""
    note: str = ""
    """What keeps the tensor from being used: sparse, or a variable."""

    @property
    def size(self) -> int:
        """Elements."""
        return prod(self.shape)

    def constant(self) -> Array:
        """The values of a constant; ImportFailed where bytes and shape disagree."""
        if self.type not in NUMPY_TYPES.values():
            raise Rejected(f"constant {self.name!r} has element type {self.type}")
        if self.raw is None:
            raise ImportFailed(f"tensor {self.name!r} is no constant and nothing writes it before it is read")
        dtype = np.dtype(self.type).newbyteorder("<")
        if self.raw.size != self.size * dtype.itemsize:
            raise ImportFailed(
                f"constant {self.name!r} of shape {self.shape} and type {self.type} needs"
                f" {self.size * dtype.itemsize} bytes, the file holds {self.raw.size}",
                hint="the file is damaged: export or download it again",
            )
        return self.raw.view(dtype).reshape(self.shape).astype(self.type)


@dataclass(frozen=True)
class Node:
    """An operator of the file; tensors by index, -1 for one that is left out."""

    op: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the operator's options table: numbers, and tuples of integers."""

    def input(self, index: int) -> int:
        """Index of an input's tensor, -1 where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else -1

    def integer(self, key: str, default: int = 0) -> int:
        """An integer option."""
        return int(self.options.get(key, default))

    def real(self, key: str, default: float = 0.0) -> float:
        """A floating-point option; Rejected where it is not finite."""
        value = float(self.options.get(key, default))
        if not np.isfinite(value):
            raise Rejected(f"its option {key} is {value}")
        return value
