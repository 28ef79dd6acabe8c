"""The firmware's own memory functions and number printing, compiled for this machine."""

from __future__ import annotations

import ctypes
import struct
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.deploy.toy import Toy
from tinycompile.codegen.constants import fixed_point
from tinycompile.deploy import build_host
from tinycompile.resources import folder

FIRMWARE = folder("runtime_c") / "firmware"
SIZE = 96
BYTES = st.binary(min_size=SIZE, max_size=SIZE)
SPOT = st.integers(0, 30)
COUNT = st.integers(0, 60)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """memory.c under other names, since this process needs its own memcpy; words of 32 bits as on the chip."""
    text = (FIRMWARE / "memory.c").read_text(encoding="utf-8")
    for name in ("memcpy", "memmove", "memset", "memcmp"):
        text = text.replace(f"{name}(", f"tc_{name}(")
    library = ctypes.CDLL(str(build_host(Toy({"memory.c": text}), tmp_path_factory.mktemp("memory"))))
    for name in ("tc_memcpy", "tc_memmove", "tc_memset"):
        getattr(library, name).restype = ctypes.c_void_p
    return library


def buffer(data: bytes) -> tuple[ctypes.Array[ctypes.c_char], int]:
    made = ctypes.create_string_buffer(data, SIZE)
    return made, ctypes.addressof(made)


@given(data=BYTES, source=BYTES, to=SPOT, at=SPOT, count=COUNT)
def test_memcpy(memory: ctypes.CDLL, data: bytes, source: bytes, to: int, at: int, count: int) -> None:
    (target, address), (kept, origin) = buffer(data), buffer(source)
    size = ctypes.c_size_t(count)
    result = memory.tc_memcpy(ctypes.c_void_p(address + to), ctypes.c_void_p(origin + at), size)
    assert result == address + to
    assert target.raw == data[:to] + source[at : at + count] + data[to + count :]
    assert kept.raw == source


@given(data=BYTES, to=SPOT, at=SPOT, count=COUNT)
def test_memmove_onto_itself(memory: ctypes.CDLL, data: bytes, to: int, at: int, count: int) -> None:
    target, address = buffer(data)
    size = ctypes.c_size_t(count)
    memory.tc_memmove(ctypes.c_void_p(address + to), ctypes.c_void_p(address + at), size)
    assert target.raw == data[:to] + data[at : at + count] + data[to + count :]


@given(data=BYTES, to=SPOT, value=st.integers(-128, 300), count=COUNT)
def test_memset(memory: ctypes.CDLL, data: bytes, to: int, value: int, count: int) -> None:
    target, address = buffer(data)
    memory.tc_memset(ctypes.c_void_p(address + to), value, ctypes.c_size_t(count))
    assert target.raw == data[:to] + bytes([value & 0xFF]) * count + data[to + count :]


@given(a=st.binary(max_size=20), b=st.binary(max_size=20))
def test_memcmp(memory: ctypes.CDLL, a: bytes, b: bytes) -> None:
    size = min(len(a), len(b))
    sign = memory.tc_memcmp(a, b, ctypes.c_size_t(size))
    assert sign == (a[:size] > b[:size]) - (a[:size] < b[:size])


CONSOLE = """#ifndef TC_PLATFORM_H
#define TC_PLATFORM_H
#include <stdint.h>
void tc_console_put(uint8_t byte);
#endif
"""
CAPTURE = """#include "tc_platform.h"
extern char tc_said[64];
extern int tc_length;
char tc_said[64];
int tc_length;
void tc_console_put(uint8_t byte) {
    tc_said[tc_length++] = (char)byte;
}
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """text.c with a console that remembers."""
    files = {name: (FIRMWARE / name).read_text(encoding="utf-8") for name in ("text.c", "text.h")}
    toy = Toy({**files, "tc_platform.h": CONSOLE, "capture.c": CAPTURE})
    return ctypes.CDLL(str(build_host(toy, tmp_path_factory.mktemp("text"))))


def said(library: ctypes.CDLL) -> str:
    length = ctypes.c_int.in_dll(library, "tc_length")
    spoken = (ctypes.c_char * 64).in_dll(library, "tc_said").raw[: length.value].decode()
    length.value = 0
    return spoken


class Scale(ctypes.Structure):
    """``tc_scale`` of text.h."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("whole", "high", "low")]


@given(
    value=st.integers(-(2**31), 2**31 - 1) | st.integers(-255, 255),
    scale=st.floats(0, 2.0**40, width=32) | st.floats(2.0**-30, 16, width=32),
)
@example(value=3, scale=0.33333333)
@example(value=1, scale=0.99999994)
@example(value=-1, scale=2.0**-100)
def test_scaled_values_print_with_six_decimals(text: ctypes.CDLL, value: int, scale: float) -> None:
    text.tc_put_scaled(ctypes.c_int32(value), ctypes.byref(Scale(*(int(part[:-1]) for part in fixed_point(scale)))))
    shown, exact = said(text), value * Fraction(scale)
    if abs(exact) >= 4 * 10**9:
        assert shown == ("-inf" if value < 0 else "inf")
    else:
        assert len(shown.partition(".")[2]) == 6
        assert shown.startswith("-") == (value < 0)
        assert abs(Fraction(shown) - exact) <= Fraction(1, 2 * 10**6) + Fraction(abs(value), 2**64) + Fraction(1, 2**32)


def test_only_no_scale_is_zero() -> None:
    assert fixed_point(0.0) == ("0u", "0u", "0u")
    assert fixed_point(1e-30) == ("0u", "0u", "1u")
    assert fixed_point(0.75) == ("0u", f"{3 << 30}u", "0u")


@given(value=st.integers(-(2**31), 2**31 - 1))
def test_integers_print(text: ctypes.CDLL, value: int) -> None:
    text.tc_put_signed(ctypes.c_int32(value))
    assert said(text) == str(value)
    text.tc_put_unsigned(ctypes.c_uint32(value))
    assert said(text) == str(struct.unpack("<I", struct.pack("<i", value))[0])
    text.tc_put_hex(ctypes.c_uint32(value), 8)
    assert said(text) == f"{value & 0xFFFFFFFF:08x}"
