"""All ops of two operands: specification against C under every kind of broadcasting; what cannot broadcast."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops.broadcasting import binary_graphs
from tests.ops.strategies import CLIPS, ROUNDINGS
from tinycompile.errors import ImportFailed
from tinycompile.ir import IO, DType, Graph, Quant, Tensor, Window
from tinycompile.ops import Add, Max, Min, Mul, PRelu, Sub

CLIPPED = [binary_graphs(op, ROUNDINGS, clip=CLIPS) for op in (Add, Sub, Mul)]
PLAIN = [binary_graphs(op, ROUNDINGS) for op in (Min, Max, PRelu)]


def graphs() -> st.SearchStrategy[Graph]:
    """One op of two operands."""
    return st.one_of(*CLIPPED, *PLAIN)


@settings(max_examples=8, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=60))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases])


def test_one_tensor_may_be_both_operands() -> None:
    x, y = image((1, 3, 4, 5)), image((1, 3, 4, 5)).like(name="y", quant=Quant.per_tensor(0.2, 7))
    ops = (Add("f", ("x", "x"), "y"), Mul("f", ("x", "x"), "y"), Max("f", ("x", "x"), "y"))
    graphs = [Graph("g", ("x",), ("y",), (op,), {"x": x, "y": y}) for op in ops]
    assert check([(g, noise(g)) for g in graphs]) >= len(ops) * 2


def image(shape: tuple[int, ...]) -> Tensor:
    return Tensor("x", shape, DType.INT8, Quant.per_tensor(0.1))


def test_shapes_that_do_not_broadcast_are_named() -> None:
    with pytest.raises(ImportFailed, match=r"Add cannot broadcast 'x' \[1, 3\] and 'x' \[1, 4\]"):
        Add("f", ("x", "x"), "y").infer(image((1, 3)), image((1, 4)))


@pytest.mark.parametrize("op", [Add, Max, Mul])
def test_a_window_of_a_repeated_row_is_that_row(op: type[Add]) -> None:
    io = IO((image((1, 6, 5, 2)), image((1, 1, 5, 2))), image((1, 6, 5, 2)))
    cut = op("f", ("a", "b"), "y").restrict(io, Window(2, 1, 3, 4))
    assert cut is not None
    assert cut.windows == (Window(2, 1, 3, 4), Window(0, 1, 1, 4))


def test_a_repeated_operand_cannot_be_overwritten() -> None:
    io = IO((image((1, 6, 5, 2)), image((1, 1, 1, 2))), image((1, 6, 5, 2)))
    op = Add("f", ("a", "b"), "y")
    assert op.lag(io, 0) == 0
    assert op.lag(io, 1) is None
