"""numerics.py against its twin in C, in both forms of the long multiply, and against real arithmetic."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import FLAGS, compiler
from tinycompile import numerics, resources
from tinycompile.errors import InternalError
from tinycompile.numerics import INT32_MAX, INT32_MIN, Requantizer

TWINS = {
    "high_mul_round": (2, "tc_high_mul_round(a, b, 0)"),
    "shift_left_saturating": (2, "tc_shift_left_saturating(a, (int)(b & 15))"),
    "doubling_high_mul": (2, "tc_doubling_high_mul(a, b)"),
    "rounding_divide_by_pot": (2, "tc_rounding_divide_by_pot(a, (int)(b & 31))"),
    "requantize_double": (3, "tc_requantize_double(a, b, (int)c)"),
    "requantize_single": (3, "tc_requantize_single(a, b, (int)c)"),
}
EDGES = [INT32_MIN, INT32_MIN + 1, -(1 << 30), -65536, -32768, -1, 0, 1, 32767, 65535, 65536, 1 << 30, INT32_MAX]


@pytest.fixture(scope="module", params=["", "-D__ARM_ARCH_6M__"], ids=["long multiply", "16-bit limbs"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ctypes.CDLL]:
    """Every function of the C twin, applied to arrays; once as it is, once as the M0+ compiles it."""
    folder = tmp_path_factory.mktemp("numerics")
    body = "".join(
        f"void {name}(const int32_t *x, const int32_t *y, const int32_t *z, int32_t *r, int n)\n"
        f"{{ for (int i = 0; i < n; i++) {{ int32_t a = x[i], b = y[i], c = z[i]; (void)c; r[i] = {call}; }} }}\n"
        for name, (_, call) in TWINS.items()
    )
    (folder / "twin.c").write_text(f'#include "tc_numerics.h"\n{body}')
    include = f"-I{resources.folder('runtime_c') / 'include'}"
    flags = [*FLAGS, "-shared", "-fPIC", include, *filter(None, [request.param])]
    command = [*compiler(), *flags, "-o", str(folder / "twin.so"), str(folder / "twin.c")]
    subprocess.run(command, check=True)
    yield ctypes.CDLL(str(folder / "twin.so"))


def in_c(library: ctypes.CDLL, name: str, *values: np.ndarray) -> np.ndarray:
    """One of the C functions on arrays of int32."""
    given = [np.ascontiguousarray(v, np.int32) for v in values]
    given += [given[0]] * (3 - len(given))
    result = np.empty_like(given[0])
    getattr(library, name)(*(ctypes.c_void_p(a.ctypes.data) for a in (*given, result)), len(result))
    return result.astype(np.int64)


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Every pair of edges, and random numbers of all magnitudes."""
    rng = np.random.default_rng(0)
    wild = rng.integers(INT32_MIN, INT32_MAX + 1, (2, 20000)) >> rng.integers(0, 31, (2, 20000))
    edges = np.array(np.meshgrid(EDGES, EDGES)).reshape(2, -1)
    a, b = np.concatenate([edges, wild], axis=1)
    return a, b


@pytest.mark.parametrize("name", ["high_mul_round", "doubling_high_mul"])
def test_products_equal_c(library: ctypes.CDLL, name: str) -> None:
    a, b = pairs()
    assert np.array_equal(in_c(library, name, a, b), getattr(numerics, name)(a, b))


def test_shifts_equal_c(library: ctypes.CDLL) -> None:
    a, _ = pairs()
    for bits in range(16):
        shift = np.full_like(a, bits)
        wanted = numerics.shift_left_saturating(a, bits)
        assert np.array_equal(in_c(library, "shift_left_saturating", a, shift), wanted)
        assert np.array_equal(
            in_c(library, "rounding_divide_by_pot", a, shift * 2), numerics.rounding_divide_by_pot(a, shift * 2)
        )


@pytest.mark.parametrize("name", ["requantize_double", "requantize_single"])
def test_tflite_requantisation_equals_c(library: ctypes.CDLL, name: str) -> None:
    rng = np.random.default_rng(1)
    a, _ = pairs()
    multiplier = rng.integers(1 << 30, 1 << 31, a.size)
    shift = rng.integers(-31, 9, a.size)
    a = np.where(shift > 0, a >> 9, a)
    wanted = getattr(numerics, name)(a, multiplier, shift)
    assert np.array_equal(in_c(library, name, a, multiplier, shift), wanted)


@settings(deadline=None)
@given(st.floats(1e-8, 0.49), st.integers(-128, 127), st.integers(INT32_MIN, INT32_MAX))
def test_native_requantisation_is_nearest(scale: float, zero: int, acc: int) -> None:
    real = acc * scale + zero
    actual = int(Requantizer.make("native", scale, zero)(np.array([acc]))[0])
    multiplier_error = abs(acc) * 2.0**-33
    assert abs(actual - min(max(real, -128), 127)) <= 0.5 + multiplier_error + 1e-6


@given(st.floats(1e-8, 1e5))
def test_tflite_multipliers_have_31_bits(scale: float) -> None:
    multiplier, shift = numerics.tflite_multiplier(scale)
    assert 1 << 30 <= int(multiplier[0]) < 1 << 31
    assert int(multiplier[0]) * 2.0 ** (int(shift[0]) - 31) == pytest.approx(scale, rel=2.0**-30)


@given(st.lists(st.floats(1e-8, 1e5), min_size=1, max_size=5))
def test_native_multipliers_share_the_least_shift_that_fits(scales: list[float]) -> None:
    multiplier, left = numerics.native_multiplier(scales)
    assert np.abs(multiplier).max() <= INT32_MAX
    assert np.abs(multiplier * 2.0 ** (left - 32) - scales).max() <= 2.0 ** (left - 33)
    assert left == 0 or max(scales) * 2.0 ** (33 - left) > INT32_MAX


def test_a_scale_beyond_fixed_point_is_refused() -> None:
    with pytest.raises(InternalError, match="too large"):
        numerics.native_multiplier([1.0, 2.0**20])
    with pytest.raises(InternalError, match="too large"):
        Requantizer.make("double", [1.0, 2.0**30], 0)


def test_results_beyond_int32_wrap_as_on_the_chip() -> None:
    edge = np.array([INT32_MAX])
    assert numerics.requantize_single(edge, np.array([1 << 30]), np.array([2])).tolist() == [-2]
    assert Requantizer("double", np.array([INT32_MAX]), np.array([0]), 127)(edge).tolist() == [-128]


def test_channels_come_last() -> None:
    rq = Requantizer.make("native", [0.25, 0.125], 1)
    assert rq(np.array([[8, 8], [-8, -8]])).tolist() == [[3, 2], [-1, 0]]
