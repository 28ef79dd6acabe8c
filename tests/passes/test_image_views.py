"""Functions of values before a reshape to an image."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.small import GraphBuilder, applied, kinds
from tinycompile.ir import DType, Graph, Quant, Tensor, verify
from tinycompile.ops import MaxPool2D, Reshape, Unary
from tinycompile.ops.unary import Step
from tinycompile.passes import image_views, optimize
from tinycompile.simulate import reference

TANH = (Step("tanh"),)


def test_the_reshape_comes_first_and_the_image_is_a_view_of_the_input() -> None:
    b = GraphBuilder((1, 60))
    image = b.add(Reshape, b.add(Unary, b.add(Unary, "x0", steps=TANH), steps=TANH), shape=(1, 5, 4, 3))
    graph = b.build(b.add(MaxPool2D, image, kernel=(2, 2), stride=(2, 2)))
    after = applied(image_views, graph)
    assert kinds(after) == ["Reshape", "Unary", "Unary", "MaxPool2D"]
    assert after.ops[0].inputs == ("x0",) and after.outputs == graph.outputs


@pytest.mark.parametrize("shape", [(1, 60), (2, 5, 2, 3), (1, 3, 4, 5)])
def test_other_reshapes_stay(shape: tuple[int, ...]) -> None:
    b = GraphBuilder((1, 5, 4, 3) if len(shape) == 4 and shape[0] == 1 else (1, 60))
    graph = b.build(b.add(Reshape, b.add(Unary, "x0", steps=TANH), shape=shape))
    assert kinds(applied(image_views, graph)) == ["Unary", "Reshape"]


def test_a_function_with_other_readers_stays() -> None:
    b = GraphBuilder((1, 60))
    flat = b.add(Unary, "x0", steps=TANH)
    graph = b.build(b.add(Reshape, flat, shape=(1, 5, 4, 3)), b.add(Unary, flat, steps=TANH))
    assert kinds(applied(image_views, graph))[0] == "Unary"


def test_integers_are_kept_to_the_last_bit() -> None:
    q, out = Quant.per_tensor(0.1, 7), Quant.per_tensor(1 / 128, 3)
    tensors = {
        "x": Tensor("x", (1, 30), DType.INT8, q),
        "f": Tensor("f", (1, 30), DType.INT8, out),
        "y": Tensor("y", (1, 5, 2, 3), DType.INT8, out),
    }
    ops = (Unary("f", ("x",), "f", steps=TANH), Reshape("y", ("f",), "y", shape=(1, 5, 2, 3)))
    before = verify(Graph("g", ("x",), ("y",), ops, tensors))
    after = optimize(before)
    assert kinds(after) == ["Reshape", "Unary"]
    x = {"x": np.random.default_rng(0).integers(-128, 128, (1, 30)).astype(np.int8)}
    np.testing.assert_array_equal(reference(after, x)["y"], reference(before, x)["y"])
