"""MatMul: specification against ONNX Runtime and against C; depths that int32 cannot hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.meaning import assert_close_to_float
from tests.ops.strategies import CLIPS, ROUNDINGS, SEEDS, one_op, quants
from tinycompile.errors import QuantizationFailed
from tinycompile.ir import DType, Graph, Quant, Tensor
from tinycompile.ops import MatMul
from tinycompile.simulate import reference


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Leading axes that broadcast, a transposed second operand, either operand constant."""
    m, k, n = (draw(st.integers(1, 9)) for _ in range(3))
    transposed = draw(st.booleans())
    lead = draw(
        st.sampled_from([((1,), (1,)), ((1, 3), (1, 3)), ((1, 3), (1, 1)), ((1, 1, 2), (1, 4, 2)), ((1, 2), ())])
    )
    a = Tensor("a", (*lead[0], m, k), DType.INT8, draw(quants()))
    b = Tensor("b", (*lead[1], n, k) if transposed else (*lead[1], k, n), DType.INT8, draw(quants()))
    constant = draw(st.sampled_from(["", "", "a", "b"]))
    data = np.random.default_rng(draw(SEEDS))
    a, b = (
        Tensor.constant(t.name, data.integers(-128, 128, t.shape).astype(np.int8), t.q) if t.name == constant else t
        for t in (a, b)
    )
    return one_op(MatMul("f", ("a", "b"), "y", transposed, draw(CLIPS)), [a, b], draw(quants(0.1, 20)), draw(ROUNDINGS))


@settings(max_examples=10, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=40))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 2**31))
def test_specification_is_the_rounded_float_product(graph: Graph, seed: int) -> None:
    assert_close_to_float(graph, noise(graph, seed))


def test_a_product_too_deep_for_int32_is_refused() -> None:
    a = Tensor("a", (1, 1, 33026), DType.INT8, Quant.per_tensor(1.0, 127))
    b = Tensor("b", (1, 33026, 1), DType.INT8, Quant.per_tensor(1.0, 127))
    graph = one_op(MatMul("f", ("a", "b"), "y"), [a, b], Quant.per_tensor(1.0))
    with pytest.raises(QuantizationFailed, match="33,026"):
        reference(graph, noise(graph)[0])
