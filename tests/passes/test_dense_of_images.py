"""Dense layers of flattened images."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.small import GraphBuilder, applied, kinds
from tinycompile.ir import DType, Graph, Quant, Rounding, Tensor, verify
from tinycompile.ops import Dense, Reshape, Softmax, Unary
from tinycompile.ops.unary import Step
from tinycompile.passes import dense_of_images, optimize
from tinycompile.simulate import reference


def test_a_dense_layer_of_a_flattened_image_becomes_a_convolution() -> None:
    b = GraphBuilder((1, 3, 4, 5))
    flat = b.add(Reshape, "x0", shape=(1, 60))
    dense = b.add(Dense, flat, b.constant(7, 60), b.constant(7), clip=(0.0, 6.0))
    graph = b.build(b.add(Softmax, dense))
    after = applied(dense_of_images, graph)
    assert kinds(after) == ["ImageDense", "Reshape", "Softmax"]
    assert after.outputs == graph.outputs
    assert after.tensors[dense].shape == (1, 7)


def test_the_flattened_image_stays_where_others_read_it() -> None:
    b = GraphBuilder((1, 3, 4, 2))
    flat = b.add(Reshape, "x0", shape=(1, 24))
    graph = b.build(b.add(Dense, flat, b.constant(2, 24)), b.add(Unary, flat, steps=(Step("tanh"),)))
    assert sorted(kinds(applied(dense_of_images, graph))) == ["ImageDense", "Reshape", "Reshape", "Unary"]


@pytest.mark.parametrize(("image", "flat"), [((1, 1, 6, 4), (1, 24)), ((1, 4, 1, 6), (4, 6)), ((2, 3, 4), (1, 24))])
def test_other_dense_layers_stay(image: tuple[int, ...], flat: tuple[int, ...]) -> None:
    b = GraphBuilder(image)
    graph = b.build(b.add(Dense, b.add(Reshape, "x0", shape=flat), b.constant(3, flat[1])))
    assert kinds(applied(dense_of_images, graph)) == ["Reshape", "Dense"]


@pytest.mark.parametrize("rounding", ["native", "tflite"])
def test_integers_are_kept_to_the_last_bit(rounding: Rounding) -> None:
    rng = np.random.default_rng(0)
    q, scales = Quant.per_tensor(0.1, 7), rng.uniform(1e-4, 1e-2, 9)
    weights, bias = Quant(tuple(scales.tolist()), 0, 0), Quant(tuple((scales * 0.1).tolist()), 0, 0)
    tensors = {
        "x": Tensor("x", (1, 5, 2, 3), DType.INT8, q),
        "flat": Tensor("flat", (1, 30), DType.INT8, q),
        "w": Tensor.constant("w", rng.integers(-127, 128, (9, 30)).astype(np.int8), weights),
        "b": Tensor.constant("b", rng.integers(-99, 99, 9).astype(np.int32), bias),
        "y": Tensor("y", (1, 9), DType.INT8, Quant.per_tensor(0.07, -5)),
    }
    ops = (Reshape("flat", ("x",), "flat", shape=(1, 30)), Dense("y", ("flat", "w", "b"), "y"))
    before = verify(Graph("g", ("x",), ("y",), ops, tensors, rounding))
    after = optimize(before)
    assert kinds(after) == ["ImageDense", "Reshape"] and after.outputs == ("y",)
    for _ in range(20):
        x = {"x": rng.integers(-128, 128, (1, 5, 2, 3)).astype(np.int8)}
        np.testing.assert_array_equal(reference(after, x)["y"], reference(before, x)["y"])
