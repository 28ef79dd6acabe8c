"""Unary: the table against the real function, and specification against C."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float, float_outputs
from tests.ops.strategies import one_op
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops.unary import FUNCTIONS, JOINS, Joined, Step, Steps, Unary

QUANTS = st.builds(Quant.per_tensor, st.floats(1e-4, 10), st.integers(-128, 127))
SHAPES = st.one_of(
    st.tuples(st.just(1), st.integers(1, 7), st.integers(1, 7), st.integers(1, 9)),
    st.tuples(st.just(1), st.integers(1, 33)),
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """One Unary op with one or two steps."""
    shape = draw(SHAPES)
    x = Tensor("x", shape, DType.INT8, draw(QUANTS))
    y = Tensor("y", shape, DType.INT8, draw(QUANTS))
    names = draw(st.lists(st.sampled_from(["sigmoid", "exp", "log", "hard_swish", "abs"]), max_size=2))
    op = Unary("f", ("x",), "y", tuple(Step(n) for n in names))
    return Graph("g", ("x",), ("y",), (op,), {"x": x, "y": y})


@settings(max_examples=10, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=40))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


CONSTANTS = {
    "clip": (-1.0, 2.0), "affine": (2.0, 1.0), "power": (2.0,), "selu": (1.67, 1.05), "hard_sigmoid": (0.2, 0.5),
    "leaky_relu": (0.5,), "elu": (0.5,), "celu": (0.5,), "thresholded_relu": (0.5,),
    "greater": (0.31,), "greater_equal": (0.31,), "less": (0.31,), "less_equal": (0.31,),
    "equal": (0.31,), "not_equal": (0.31,),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(JOINS))
def test_joined_functions_mean_the_same_in_onnx(name: str) -> None:
    chains = ((Step("greater", (0.4,)),), (Step("tanh"), Step("neg")), ())
    assert_same_meaning((Joined(name, chains if name == "where" else chains[1:]),))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_onnx_spelling_means_the_same(name: str) -> None:
    assert_same_meaning((Step(name, CONSTANTS.get(name, ())),))


def assert_same_meaning(steps: Steps) -> None:
    """In NumPy and in ONNX Runtime, on all values of an int8 input."""
    x = Tensor("x", (1, 256), DType.INT8, Quant.per_tensor(0.03, 7))
    op = Unary("f", ("x",), "y", steps)
    graph = one_op(op, [x], x.q)
    values = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)
    expected = float_outputs(graph, {"x": values})["y"]
    actual = op.apply(x.q.decode(values).astype(np.float64))
    finite = np.isfinite(expected)
    assert finite.sum() > 50
    assert np.isfinite(actual[finite]).all()
    assert actual[finite] == pytest.approx(expected[finite], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("bounds", [(0.0, np.inf), (-np.inf, 1.0), (0.0, 6.0)])
def test_a_clip_may_be_open_on_one_side(bounds: tuple[float, float]) -> None:
    x = Tensor("x", (1, 256), DType.INT8, Quant.per_tensor(0.06, -7))
    graph = one_op(Unary("f", ("x",), "y", (Step("clip", bounds),)), [x], x.q)
    assert_close_to_float(graph, [{"x": np.arange(-128, 128, dtype=np.int8).reshape(1, 256)}])


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_table_is_the_nearest_value(name: str) -> None:
    step = Step(name, CONSTANTS.get(name, ()))
    x = Tensor("x", (1, 4), DType.INT8, Quant.per_tensor(0.03, 7))
    y = Tensor("y", (1, 4), DType.INT8, Quant.per_tensor(0.05, -3))
    op = Unary("f", ("x",), "y", (step,))
    graph = Graph("g", ("x",), ("y",), (op,), {"x": x, "y": y})
    real = op.apply((np.arange(-128, 128) - 7) * 0.03)
    back = (op.table(graph.io(op)).astype(float) + 3) * 0.05
    inside = np.isfinite(real) & (np.abs(real) < 6)
    assert inside.any()
    assert np.abs(back - real)[inside].max() <= 0.025 + 1e-9
