"""Tensors and their quantisation: the values that an op reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinycompile.errors import InternalError

Shape = tuple[int, ...]
Names = tuple[str, ...]
Array = NDArray[Any]


class DType(str, Enum):
    """Element types of tensors. Activations are float32 before quantisation and int8 after it."""

    FLOAT32 = "float32"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.value).itemsize

    @property
    def c_type(self) -> str:
        """The C99 type of one element."""
        return "float" if self is DType.FLOAT32 else f"{self.value}_t"


@dataclass(frozen=True)
class Quant:
    """real = scale * (q - zero_point). One scale: per tensor; more: one for each index along ``axis``."""

    scale: tuple[float, ...]
    zero_point: int = 0
    axis: int | None = None

    @staticmethod
    def per_tensor(scale: float, zero_point: int = 0) -> Quant:
        """One scale for the whole tensor."""
        return Quant((float(scale),), int(zero_point))

    @property
    def scalar(self) -> float:
        """The scale of a per-tensor quantisation; InternalError where there are several."""
        if len(self.scale) != 1:
            raise InternalError(f"expected one scale, found {len(self.scale)}")
        return self.scale[0]

    def scales(self, shape: Shape) -> Array:
        """float64 scales, shaped to broadcast against an array of this ``shape``."""
        if self.axis is None:
            return np.asarray(self.scale[0], np.float64)
        return np.asarray(self.scale, np.float64).reshape([-1 if i == self.axis else 1 for i in range(len(shape))])

    def encode(self, real: Array, dtype: DType) -> Array:
        """Real values to the nearest integers (ties to even, as ONNX QuantizeLinear), saturated to ``dtype``."""
        info = np.iinfo(dtype.value)
        q = np.rint(np.asarray(real, np.float64) / self.scales(np.shape(real))) + self.zero_point
        return np.asarray(np.clip(q, info.min, info.max).astype(dtype.value))

    def decode(self, q: Array) -> Array:
        """Integers back to float32 real values."""
        return ((q.astype(np.float64) - self.zero_point) * self.scales(q.shape)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named array type; ``data`` makes it a constant.

    Activations have batch 1 first. Images are NHWC, signals (1, time, 1, channels) or (1, time, channels).
    A float32 tensor may carry a ``quant`` already: the parameters it arrived with, which the quantizer keeps.
    A constant of integer dtype with a ``quant`` means the real values it decodes to.
    """

    name: str
    shape: Shape
    dtype: DType = DType.FLOAT32
    quant: Quant | None = None
    data: Array | None = None

    def __post_init__(self) -> None:
        if self.data is not None:
            if self.data.shape != self.shape or self.data.dtype != np.dtype(self.dtype.value):
                raise InternalError(
                    f"constant {self.name!r} is {self.data.dtype}{self.data.shape}, "
                    f"declared {self.dtype.value}{self.shape}"
                )
            self.data.setflags(write=False)

    @staticmethod
    def constant(name: str, data: Array, quant: Quant | None = None) -> Tensor:
        """A constant with the shape and dtype of ``data`` (copied, read-only)."""
        data = np.array(data, order="C")
        return Tensor(name, tuple(int(d) for d in data.shape), DType(str(data.dtype)), quant, data)

    @property
    def size(self) -> int:
        """Elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes."""
        return self.size * self.dtype.size

    @property
    def channels(self) -> int:
        """Extent of the last axis."""
        return self.shape[-1]

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of an NHWC tensor."""
        if len(self.shape) != 4:
            raise InternalError(f"{self.name!r} of shape {self.shape} is not NHWC")
        return self.shape[1], self.shape[2]

    @property
    def values(self) -> Array:
        """The data of a constant as stored."""
        if self.data is None:
            raise InternalError(f"{self.name!r} is not a constant")
        return self.data

    @property
    def real(self) -> Array:
        """The float32 (or plain integer) values that a constant means."""
        return self.quant.decode(self.values) if self.quant and self.dtype is not DType.FLOAT32 else self.values

    @property
    def q(self) -> Quant:
        """The quantisation; InternalError where there is none."""
        if self.quant is None:
            raise InternalError(f"{self.name!r} is not quantised")
        return self.quant

    @property
    def zero_point(self) -> int:
        """The zero point; 0 for tensors that have no quantisation (labels)."""
        return self.quant.zero_point if self.quant else 0

    def like(self, **changes: Any) -> Tensor:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def _key(self) -> tuple[object, ...]:
        return self.name, self.shape, self.dtype, self.quant

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tensor) or self._key() != other._key():
            return False
        if self.data is None or other.data is None:
            return self.data is other.data
        return self.data is other.data or bool(np.array_equal(self.data, other.data))

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        text = f"{self.dtype.value}[{'x'.join(map(str, self.shape))}]"
        if self.quant:
            many = f" .. {len(self.quant.scale)} scales" if len(self.quant.scale) > 1 else ""
            text += f" *{self.quant.scale[0]:.6g}{many} {-self.quant.zero_point:+d}"
        return text
