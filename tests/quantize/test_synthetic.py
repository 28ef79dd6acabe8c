"""Made-up inputs: deterministic, smooth, within their range."""

from __future__ import annotations

import numpy as np

from tests.quantize.graphs import Net, annotated
from tinycompile.ir import Graph, Quant, Tensor
from tinycompile.quantize import Recipe
from tinycompile.quantize.synthetic import assumed_range, synthetic_samples


def image() -> Graph:
    net = Net(20, 30, 3)
    net.conv("x", 1)
    return net.graph()


def test_deterministic_and_in_range() -> None:
    one, two = (synthetic_samples(image(), Recipe()).inputs["x"] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.float32 and one.shape[1:] == (1, 20, 30, 3)
    assert one.min() == 0 and one.max() == 1 and one.std() > 0.1


def test_neighbours_are_alike() -> None:
    x = synthetic_samples(image(), Recipe()).inputs["x"][:, 0]
    assert np.abs(np.diff(x, axis=1)).mean() < 0.5 * np.abs(x - np.roll(x, 10, axis=1)).mean()


def test_ranges() -> None:
    recipe = Recipe()
    assert assumed_range(Tensor("x", (1, 20, 30, 3)), recipe) == (0.0, 1.0)
    assert assumed_range(Tensor("x", (1, 20)), recipe) == (-1.0, 1.0)
    assert assumed_range(Tensor("x", (1, 128, 1, 3)), recipe) == (-1.0, 1.0)
    known = annotated(image(), x=Quant.per_tensor(1.0, -128)).tensors["x"]
    assert assumed_range(known, recipe) == (0.0, 255.0)
    assert assumed_range(known, Recipe(input_range=(-2.0, 2.0))) == (-2.0, 2.0)
