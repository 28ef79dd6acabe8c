"""Affine ops, clips, pads and functions move into their neighbours; what the graph computes stays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.passes.small import GraphBuilder, applied, kinds
from tinycompile.ir import Graph, Pad, Quant
from tinycompile.ops import (
    Add,
    AveragePool2D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    MaxPool2D,
    Min,
    Mul,
    PadOp,
    Reduce,
    Reshape,
    Sub,
    Unary,
)  # fmt: skip
from tinycompile.ops.unary import FUNCTIONS, Step
from tinycompile.passes import (
    fold_affine,
    fuse_clip,
    fuse_pad,
    match_functions,
    merge_reductions,
    merge_unary,
    optimize,
    share_quantisation,
    without_dead,
)  # fmt: skip

RELU = (Step("clip", (0.0, math.inf)),)
Q = Quant.per_tensor(0.1, 3)


def conv(g: GraphBuilder, x: str = "x0", out: int = 4, bias: bool = True, **fields: object) -> str:
    """A 3x3 convolution with random weights."""
    channels = g.tensors[x].shape[3] // int(str(fields.get("groups", 1)))
    operands = [g.constant(out, 3, 3, channels), *([g.constant(out)] if bias else [])]
    return g.add(Conv2D, x, *operands, kernel=(3, 3), **fields)


@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_after_a_convolution(bias: bool) -> None:
    g = GraphBuilder((1, 6, 6, 3))
    x = g.add(Mul, conv(g, bias=bias), g.constant(1, 1, 1, 4))
    x = g.add(Add, g.constant(4), x)
    x = g.add(Sub, g.constant(1, 1, 1, 4), x)
    assert kinds(applied(fold_affine, g.build(x))) == ["Conv2D"]


def test_batch_norm_after_transposed_convolution_and_dense() -> None:
    g = GraphBuilder((1, 4, 4, 3), (1, 5))
    x = g.add(ConvTranspose2D, "x0", g.constant(4, 2, 2, 3), kernel=(2, 2), stride=(2, 2))
    y = g.add(Dense, "x1", g.constant(6, 5))
    after = applied(fold_affine, g.build(g.add(Mul, x, g.constant(4)), g.add(Add, y, g.constant(1, 6))))
    assert kinds(after) == ["ConvTranspose2D", "Dense"]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_factors_before_a_convolution(groups: int) -> None:
    g = GraphBuilder((1, 6, 6, 4))
    x = g.add(Add, g.add(Mul, "x0", g.constant(1, 1, 1, 4)), g.constant(4))
    assert kinds(applied(fold_affine, g.build(conv(g, x, out=8, groups=groups)))) == ["Conv2D"]


def test_what_is_added_before_padding_stays_in_front_of_it() -> None:
    """The padding is zero after the addition, not before it; the rest becomes a depthwise convolution."""
    g = GraphBuilder((1, 6, 6, 4))
    x = g.add(Add, g.add(Mul, "x0", g.constant(1, 1, 1, 4)), g.constant(4))
    after = applied(fold_affine, g.build(conv(g, x, pad=Pad(1, 1, 1, 1))))
    assert kinds(after) == ["Conv2D", "Conv2D"] and after.ops[0].groups == 4  # type: ignore[attr-defined]


def test_factors_of_a_shared_result_are_not_folded() -> None:
    g = GraphBuilder((1, 6, 6, 3))
    x = conv(g)
    y = g.add(Unary, x, steps=(Step("affine", (2.0, 1.0)),))
    assert kinds(applied(fold_affine, g.build(g.add(Mul, x, y)))) == ["Conv2D", "Unary", "Mul"]


@pytest.mark.parametrize("factor", [0.5, -0.5])
def test_affine_after_a_clip_moves_the_bounds(factor: float) -> None:
    g = GraphBuilder((1, 6, 6, 3))
    x = g.add(Unary, conv(g, clip=(0.0, 6.0)), steps=(Step("affine", (factor, 1.0)),))
    after = applied(fold_affine, g.build(x))
    assert kinds(after) == ["Conv2D"]
    assert after.ops[0].clip == tuple(sorted((1.0, 1.0 + 6 * factor)))  # type: ignore[attr-defined]


def test_hard_sigmoid_is_a_clip() -> None:
    g = GraphBuilder((1, 6, 6, 3))
    x = g.add(Unary, conv(g), steps=(Step("hard_sigmoid", (0.2, 0.5)),))
    after = applied(fold_affine, g.build(x))
    assert kinds(after) == ["Conv2D"] and after.ops[0].clip == (0.0, 1.0)  # type: ignore[attr-defined]


def test_relu_goes_into_linear_sum_and_pool() -> None:
    g = GraphBuilder((1, 6, 6, 3))
    a = g.add(Unary, conv(g), steps=RELU)
    b = g.add(Unary, g.add(Add, a, g.add(Unary, a, steps=(Step("tanh"),))), steps=(Step("clip", (0.0, 6.0)),))
    c = g.add(Unary, g.add(AveragePool2D, b, kernel=(2, 2)), steps=(Step("clip", (-1.0, 1.0)),))
    assert kinds(applied(fuse_clip, g.build(c))) == ["Conv2D", "Unary", "Add", "AveragePool2D"]


def test_relu_goes_through_max_pooling() -> None:
    g = GraphBuilder((1, 6, 6, 3))
    x = g.add(Unary, g.add(MaxPool2D, conv(g), kernel=(2, 2)), steps=RELU)
    assert kinds(applied(fuse_clip, g.build(x))) == ["Conv2D", "MaxPool2D"]


def test_relu_behind_a_rounding_stays() -> None:
    """The file rounds before the relu with other parameters than after it, so both roundings count."""
    g = GraphBuilder((1, 6, 6, 3))
    quantised = g.add(Conv2D, "x0", g.constant(4, 1, 1, 3), kernel=(1, 1), quant=Q)
    x = g.add(Unary, quantised, steps=RELU, quant=Quant.per_tensor(0.05, -128))
    assert kinds(applied(fuse_clip, g.build(x))) == ["Conv2D", "Unary"]


def test_zero_padding_goes_into_convolution_and_pooling() -> None:
    g = GraphBuilder((1, 6, 6, 3))
    pads = {"before": (0, 1, 0, 0), "after": (0, 2, 1, 0)}
    x = conv(g, g.add(PadOp, "x0", **pads), pad=Pad(0, 1, 0, 0), clip=(0.0, math.inf))
    x = g.add(AveragePool2D, g.add(PadOp, x, **pads), kernel=(3, 3))
    x = g.add(MaxPool2D, g.add(PadOp, conv(g, x, clip=(0.0, 1.0)), **pads), kernel=(3, 3))
    after = applied(fuse_pad, g.build(x))
    assert kinds(after) == ["Conv2D", "AveragePool2D", "Conv2D", "MaxPool2D"]


@pytest.mark.parametrize("fields", [{"value": 1.0}, {"mode": "edge"}, {"after": (0, 0, 0, 1)}])
def test_other_padding_stays(fields: dict[str, object]) -> None:
    g = GraphBuilder((1, 6, 6, 3))
    x = g.add(PadOp, "x0", **{"before": (0, 1, 0, 0), "after": (0, 1, 0, 0), **fields})
    assert kinds(applied(fuse_pad, g.build(conv(g, x)))) == ["PadOp", "Conv2D"]


def test_zero_padding_of_signed_values_stays_before_max_pooling() -> None:
    g = GraphBuilder((1, 6, 6, 3))
    x = g.add(PadOp, conv(g), before=(0, 1, 1, 0), after=(0, 1, 1, 0))
    assert kinds(applied(fuse_pad, g.build(g.add(MaxPool2D, x, kernel=(2, 2))))) == ["Conv2D", "PadOp", "MaxPool2D"]


def test_chains_of_functions_become_one() -> None:
    g = GraphBuilder((1, 40))
    x = g.add(Unary, "x0", steps=(Step("affine", (2.0, 1.0)),))
    x = g.add(Unary, x, steps=(Step("neg"),))
    x = g.add(Unary, g.add(Unary, x, steps=(Step("tanh"),)), steps=(Step("clip", (0.0, 0.5)),))
    x = g.add(Unary, x, steps=(Step("clip", (0.1, 0.9)),))
    after = applied(merge_unary, g.build(x))
    assert [op.steps for op in after.ops if isinstance(op, Unary)] == [
        (Step("affine", (-2.0, -1.0)), Step("tanh"), Step("clip", (0.1, 0.5)))
    ]


def hard_swish(g: GraphBuilder) -> str:
    shifted = g.add(Unary, "x0", steps=(Step("affine", (1.0, 3.0)), Step("clip", (0.0, 6.0))))
    return g.add(Unary, g.add(Mul, "x0", shifted), steps=(Step("affine", (1 / 6, 0.0)),))


def swish(g: GraphBuilder) -> str:
    return g.add(Mul, g.add(Unary, "x0", steps=(Step("sigmoid"),)), "x0")


def mish(g: GraphBuilder) -> str:
    return g.add(Mul, "x0", g.add(Unary, g.add(Unary, "x0", steps=(Step("softplus"),)), steps=(Step("tanh"),)))


def gelu(g: GraphBuilder) -> str:
    inner = g.add(Unary, "x0", steps=(Step("affine", (math.sqrt(0.5), 0.0)), Step("erf"), Step("affine", (1.0, 1.0))))
    return g.add(Unary, g.add(Mul, "x0", inner), steps=(Step("affine", (0.5, 0.0)),))


def gelu_tanh(g: GraphBuilder) -> str:
    cube = g.add(Unary, "x0", steps=(Step("power", (3.0,)), Step("affine", (0.044715, 0.0))))
    inner = g.add(Unary, g.add(Add, "x0", cube), steps=(Step("affine", (math.sqrt(2 / math.pi), 0.0)), Step("tanh")))
    half = g.add(Unary, "x0", steps=(Step("affine", (0.5, 0.0)),))
    return g.add(Mul, half, g.add(Unary, inner, steps=(Step("affine", (1.0, 1.0)),)))


def relu6(g: GraphBuilder) -> str:
    return g.add(Min, g.add(Unary, "x0", steps=RELU), g.values([[6.0]]))


@pytest.mark.parametrize("spell", [hard_swish, swish, mish, gelu, gelu_tanh])
def test_spelled_out_functions_are_recognised(spell: object) -> None:
    g = GraphBuilder((1, 500))
    after = applied(match_functions, g.build(spell(g)))  # type: ignore[operator]
    assert kinds(after) == ["Unary"]
    assert after.ops[0].steps[0].function == spell.__name__  # type: ignore[attr-defined]


def test_multiples_of_functions_keep_their_factor() -> None:
    g = GraphBuilder((1, 500))
    x = g.add(Unary, swish(g), steps=(Step("affine", (3.0, 0.0)),))
    assert applied(match_functions, g.build(x)).ops[0].steps == (  # type: ignore[attr-defined]
        Step("swish"), Step("affine", (pytest.approx(3.0), 0.0)),
    )  # fmt: skip


def test_other_functions_of_one_tensor_become_one_table() -> None:
    g = GraphBuilder((1, 500))
    y = g.add(Add, g.add(Mul, "x0", g.add(Unary, "x0", steps=(Step("tanh"),))), "x0")
    assert kinds(applied(match_functions, g.build(y))) == ["Unary"]


def test_products_of_two_tensors_are_left_alone() -> None:
    g = GraphBuilder((1, 500), (1, 500))
    y = g.add(Mul, "x1", g.add(Unary, "x0", steps=(Step("sigmoid"),)))
    assert kinds(applied(match_functions, g.build(y))) == ["Unary", "Mul"]


def test_a_factor_for_each_feature_of_a_row_is_one_depthwise_op() -> None:
    g = GraphBuilder((1, 12))
    x = g.add(Mul, g.add(Unary, "x0", steps=(Step("tanh"),)), g.constant(1, 12))
    y = g.add(Unary, g.add(Add, x, g.constant(1, 12)), steps=(Step("tanh"),))
    after = applied(optimize, g.build(y))
    assert [k for k in kinds(after) if k != "Reshape"] == ["Unary", "Conv2D", "Unary"]


def test_named_functions_differ_on_the_grid() -> None:
    """No two candidates can be taken for each other."""
    from tinycompile.passes.match_functions import CANDIDATES, GRID, recognised

    for step in CANDIDATES:
        assert recognised(np.asarray(FUNCTIONS[step.function].real(GRID, *step.constants))) == (step,)


def test_means_of_means_become_pooling() -> None:
    g = GraphBuilder((1, 6, 5, 3))
    x = g.add(Reduce, g.add(Reduce, "x0", kind="mean", axes=(2,)), kind="mean", axes=(1,))
    assert kinds(applied(merge_reductions, g.build(x))) == ["AveragePool2D"]


def test_dead_ops_go() -> None:
    g = GraphBuilder((1, 6, 6, 3))
    conv(g)
    x = g.add(Unary, "x0", steps=RELU)
    after = applied(without_dead, g.build(x))
    assert kinds(after) == ["Unary"] and set(after.tensors) == {"x0", x}


def test_quantisation_spreads_over_moves() -> None:
    g = GraphBuilder((1, 6, 6, 3))
    x = g.add(Reshape, conv(g), shape=(1, 64), quant=Q)
    after = share_quantisation(g.build(g.add(Reshape, x, shape=(64,))))
    assert [after.tensors[op.output].quant for op in after.ops] == [Q, Q, Q]


def test_optimize_is_idempotent() -> None:
    g = GraphBuilder((1, 6, 6, 3))
    x = g.add(Mul, conv(g, pad=Pad(1, 1, 1, 1)), g.constant(1, 1, 1, 4))
    x = g.add(Unary, g.add(Add, x, g.constant(4)), steps=RELU)
    once: Graph = applied(optimize, g.build(x))
    assert optimize(once) == once
