"""Sub: against ONNX Runtime; the second operand's sign."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import noise
from tests.ops.broadcasting import binary_graphs
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import CLIPS, ROUNDINGS, one_op, quants
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import Sub
from tinycompile.simulate import reference


@settings(max_examples=80, deadline=None)
@given(binary_graphs(Sub, ROUNDINGS, quants(0.02, 0.2), clip=CLIPS), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_difference(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed), steps=0.55)


def test_both_roundings_subtract_the_second_operand() -> None:
    q = Quant.per_tensor(0.25, 5)
    for rounding in ("native", "tflite"):
        graph = one_op(Sub("f", ("a", "b"), "y"), [Tensor(n, (1, 2), DType.INT8, q) for n in "ab"], q, rounding)
        values = {"a": np.array([[15, 5]], np.int8), "b": np.array([[8, 105]], np.int8)}
        assert reference(graph, values)["y"].tolist() == [[12, -95]]
