"""The tables of kernels as a whole: names, and what is predicted from fitted cycles."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tinycompile.backends import ALL
from tinycompile.backends.kernel import Kernel
from tinycompile.boards import CORES as BOARD_CORES
from tinycompile.cost import ALIKE, CORES, TABLE

FITTED = json.loads(TABLE.read_text(encoding="utf-8"))
KEYS = {f"{kernel.key} {rounding}": kernel for kernel in ALL for rounding in ("native", "tflite")}
ABILITIES = frozenset().union(*BOARD_CORES.values()) | BOARD_CORES.keys()


def test_no_two_kernels_have_one_key() -> None:
    counts = Counter(kernel.key for kernel in ALL)
    assert [key for key, count in counts.items() if count > 1] == []


def test_fitted_cycles_are_those_of_kernels_and_cores_that_exist() -> None:
    assert set(FITTED) <= set(CORES) - set(ALIKE)
    assert {key for kernels in FITTED.values() for key in kernels} <= set(KEYS)


def test_fitted_cycles_are_positive() -> None:
    found = [w for kernels in FITTED.values() for weights in kernels.values() for w in weights.values()]
    assert found and min(found) > 0


@pytest.mark.parametrize("kernel", ALL, ids=lambda kernel: kernel.key)
def test_a_kernel_asks_for_what_boards_have(kernel: Kernel) -> None:
    assert kernel.isa - {"compact"} <= ABILITIES
    assert max(kernel.cycles.values()) > 0 <= min(kernel.cycles.values())
    assert kernel.together >= 1
