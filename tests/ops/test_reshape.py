"""Reshape: an alias that costs nothing; other numbers of elements are refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.equality import noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import one_op
from tinycompile.errors import ImportFailed
from tinycompile.ir import DType, Features, Quant, Tensor
from tinycompile.ops import Reshape
from tinycompile.simulate import reference

X = Tensor("x", (1, 2, 3, 4), DType.INT8, Quant.per_tensor(0.5, -3))


def test_the_values_keep_their_order() -> None:
    graph = one_op(Reshape("f", ("x",), "y", (1, 6, 4)), [X], X.q)
    values = {"x": np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)}
    assert np.array_equal(reference(graph, values)["y"].ravel(), np.arange(24))
    assert_close_to_float(graph, noise(graph), steps=0.01)


def test_it_is_an_alias_without_cost() -> None:
    graph = one_op(Reshape("f", ("x",), "y", (24,)), [X], X.q)
    assert Reshape.alias
    assert graph.ops[0].features(graph.io(graph.ops[0])) == Features()


def test_another_number_of_elements_is_refused() -> None:
    with pytest.raises(ImportFailed, match="from 24 to 25"):
        Reshape("f", ("x",), "y", (25,)).infer(X)
