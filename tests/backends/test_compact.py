"""Kernels that share their code: offered where code is to be small, equal to the specification on host and cores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.equality import TAIL, build, check, noise
from tests.ops import test_conv_2d, test_dense, test_unary
from tests.ops.broadcasting import binary_graphs
from tests.ops.strategies import CLIPS, ROUNDINGS, biases, one_op, pads, quants, weights
from tests.schedule import toys
from tests.schedule.networks import mobile
from tests.simulate.test_cores import CORES, few_batches, run_batch
from tinycompile.backends import COMPACT, SHARED, candidates
from tinycompile.boards import all_boards, load_board
from tinycompile.codegen import render
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor
from tinycompile.ops import Add, Conv2D, Mul, Sub
from tinycompile.schedule import Goal, Plan, Stage, schedule
from tinycompile.simulate import Host, arena, compare, reference


@st.composite
def convolutions(draw: st.DrawFn) -> Graph:
    """Symmetric convolutions of which blocks of four are full or not: one group, several, one channel each."""
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 3), (1, 4), (5, 1)]))
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2)]))
    pad = draw(pads(*kernel)) if draw(st.booleans()) else Pad()
    height, width = (draw(st.integers(k * d, k * d + 4)) for k, d in zip(kernel, dilation, strict=True))
    groups, per_in, per_out = draw(
        st.tuples(st.just(1), st.integers(1, 9), st.integers(1, 9))
        | st.tuples(st.integers(2, 9), st.just(1), st.just(1))
        | st.tuples(st.integers(2, 3), st.integers(1, 5), st.integers(1, 5))
    )
    x = Tensor("x", (1, height, width, groups * per_in), DType.INT8, draw(quants()))
    w = draw(weights((groups * per_out, *kernel, per_in), asymmetric=False))
    b = draw(biases(x, w))
    op = Conv2D("f", ("x", "w", "b")[: 2 + bool(b)], "y", kernel, stride, dilation, pad, groups, draw(CLIPS))
    return one_op(op, [x, w] + ([b] if b else []), draw(quants(1e-2, 20.0)), draw(ROUNDINGS))


BINARY = [binary_graphs(op, ROUNDINGS, quants(0.02, 0.2), clip=CLIPS) for op in (Add, Sub, Mul)]
GRAPHS = st.one_of(convolutions(), test_conv_2d.graphs(), test_dense.graphs(), test_unary.graphs(), *BINARY)


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(GRAPHS, min_size=1, max_size=20))
def test_specification_equals_c(cases: list[Graph]) -> None:
    check([(g, noise(g)) for g in cases], SHARED)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", CORES)
def test_specification_equals_cores(board: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    few_batches(GRAPHS, 20, lambda cases: run_batch(cases, board, tmp_path_factory.mktemp("batch"), abilities=SHARED))


@pytest.mark.slow
@pytest.mark.gcc
@pytest.mark.emulator
@pytest.mark.parametrize("board", ["stm32g0b1", "stm32l4r5"])
def test_specification_equals_cores_built_with_arm_gcc(board: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    few_batches(
        GRAPHS,
        20,
        lambda cases: run_batch(cases, board, tmp_path_factory.mktemp("batch"), toolchain="gcc", abilities=SHARED),
    )


@settings(max_examples=100, deadline=None)
@given(convolutions())
def test_every_symmetric_convolution_has_one(graph: Graph) -> None:
    (op,) = graph.ops
    rows = [kernel for kernel in candidates(op, graph.io(op), SHARED) if kernel in COMPACT]
    assert rows
    for kernel in rows:
        arrays = kernel.pack(op, graph.io(op))
        assert kernel.flash(op, graph.io(op)) == sum(array.nbytes for array in arrays.values())


def test_no_board_offers_them() -> None:
    assert all(not SHARED & board.abilities for board in all_boards())
    assert all(kernel.isa == SHARED for kernel in COMPACT)


def test_kernels_beyond_the_struct_are_left_to_others() -> None:
    x = Tensor("x", (1, 1, 300, 2), DType.INT8, Quant.per_tensor(1.0))
    w = Tensor.constant("w", np.ones((1, 1, 256, 2), np.int8), Quant((1.0,)))
    graph = one_op(Conv2D("f", ("x", "w"), "y", (1, 256)), [x, w], Quant.per_tensor(2.0**9))
    (op,) = graph.ops
    assert not [kernel for kernel in candidates(op, graph.io(op), SHARED) if kernel in COMPACT]


def test_networks_share_code_layer_by_layer_and_in_rows(tmp_path: Path) -> None:
    net, graph = mobile()
    images = [op.output for op in graph.ops if len(graph.tensors[op.output].shape) == 4]
    plans = [None, Plan((Stage(images[7], None, (3, 2), 0),)), Plan((Stage(images[7]),))]
    programs = [schedule(graph, toys.board(1 << 20), Goal("code", plan=plan)) for plan in plans]
    programs.append(schedule(graph, toys.board(1 << 20), Goal("code", pushed=True)))
    library, runs = build(programs, tmp_path)
    inputs = net.image()
    expected = reference(graph, inputs)
    for program, run in zip(programs, runs, strict=True):
        shared = {call.op.name for call in program.unrolled() if call.kernel in COMPACT}
        assert len(shared) > len(graph.ops) // 2
        compare(expected, arena(program, inputs), names=("reference", "arena"))
        host = Host(library, graph, run=run, arena_bytes=program.arena_bytes + TAIL)
        compare(expected, host(inputs), names=("reference", "host"))


def test_layers_share_one_function() -> None:
    _, graph = mobile()
    sources = render(schedule(graph, load_board("stm32l4r5"), Goal("code")), name="net")
    text = sources.files["net.c"]
    layers = text.count("TC_LAYER void")
    assert text.count("static const tc_compact_") > layers // 2
    assert "for (" not in text.split("tc_status net_run")[0].split("TC_LAYER void net_00")[1].split("}")[0]
