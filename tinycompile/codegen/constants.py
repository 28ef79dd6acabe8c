"""Constant arrays as C text."""

from __future__ import annotations

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import Array

C_TYPES = {
    "int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "uint16": "uint16_t",
    "int32": "int32_t", "uint32": "uint32_t", "float32": "float",
}  # fmt: skip
LINE = 24


def c_type(array: Array) -> str:
    """The C type of the array's elements; InternalError for dtypes that have no place in flash."""
    try:
        return C_TYPES[str(array.dtype)]
    except KeyError:
        raise InternalError(f"constants of dtype {array.dtype} cannot be written as C") from None


def declaration(name: str, array: Array) -> str:
    """``const int8_t name[12]``, aligned for word loads.

    Declaration and definition must agree on the alignment: on x86-64 compilers take 16 bytes for granted where an
    ``extern`` array of that size says nothing.
    """
    return f"const {c_type(array)} {name}[{max(array.size, 1)}] TC_ALIGNED(4)"


def definition(name: str, array: Array) -> str:
    """The array with its values, in row-major order."""
    values = _texts(np.ascontiguousarray(array).reshape(-1)) or ["0"]
    lines = (", ".join(values[i : i + LINE]) for i in range(0, len(values), LINE))
    body = ",\n    ".join(lines)
    return f"{declaration(name, array)} = {{\n    {body}\n}};\n"


def number(value: float) -> str:
    """A float32 literal that reads back to the same bits."""
    text = f"{float(np.float32(value)):.9g}"
    return f"{text}f" if any(mark in text for mark in ".en") else f"{text}.0f"


def fixed_point(scale: float) -> tuple[str, str, str]:
    """uint32 literals: a float32 scale's integer part and 64 bits of its fraction; all zero only where it is.

    More than 2**32 - 1 counts as that: no product of it is a number that the firmware prints.
    """
    bits = round(float(np.float32(scale)) * 2.0**64)
    value = min(max(bits, int(scale > 0)), (1 << 96) - 1)
    return f"{value >> 64}u", f"{value >> 32 & 0xFFFFFFFF}u", f"{value & 0xFFFFFFFF}u"


def _texts(flat: Array) -> list[str]:
    if flat.dtype == np.float32:
        return [number(v) for v in flat.tolist()]
    if flat.dtype == np.uint32:
        return [f"{v}u" for v in flat.tolist()]
    if flat.dtype == np.int32:
        return ["(-2147483647 - 1)" if v == -(2**31) else str(v) for v in flat.tolist()]
    return list(map(str, flat.tolist()))
