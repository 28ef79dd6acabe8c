"""Whole programs: every plan passes the check, and computes in its arena what the graph means."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.schedule import toys
from tests.schedule.toys import Builder, Flat, Flip, Plus, Slide, Trail
from tinycompile.errors import DoesNotFit, ImportFailed, UnsupportedOp, UsageError
from tinycompile.ir import DType, Graph, Op, Pad, Tensor
from tinycompile.schedule import RESERVED, Call, Goal, Plan, Program, Stage, Stream, prices, schedule
from tinycompile.schedule.liveness import problem
from tinycompile.schedule.stages import members, planned, whole
from tinycompile.simulate import arena, compare, reference

LARGE = toys.board(1 << 20)


@pytest.fixture(autouse=True, scope="module")
def toy_kernels() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prices, "candidates", toys.candidates)
        yield


def agree(program: Program) -> None:
    """The arena holds what the graph means."""
    inputs = toys.noise(program.graph)
    expected = reference(program.graph, inputs)
    compare(expected, arena(program, inputs), names=("reference", "arena"))
    compare(expected, toys.one_by_one(program, inputs), names=("reference", "one by one"))


def blow_up(size: int = 32, depth: int = 3) -> Graph:
    """Slides at full resolution, then a stride: the peak is at the head of the network."""
    build = Builder((1, size, size, 2))
    name = "x"
    for _ in range(depth):
        name = build.add(Slide, name, kernel=(3, 3), stride=(1, 1), pad=Pad(1, 1, 1, 1))
    name = build.add(Slide, name, kernel=(4, 4), stride=(4, 4), pad=Pad())
    name = build.add(Flip, name)
    return build.graph(build.add(Flat, name))


@settings(max_examples=150, deadline=None)
@given(toys.graphs())
def test_layer_by_layer_equals_the_reference(graph: Graph) -> None:
    program = schedule(graph, LARGE)
    agree(program)
    assert program.bound <= program.arena_bytes
    assert program.arena_bytes >= max(t.nbytes for t in graph.tensors.values() if t.name in graph.inputs)


@settings(max_examples=150, deadline=None)
@given(toys.graphs(flips=False), st.tuples(st.integers(1, 5), st.integers(1, 5)), st.data())
def test_patched_stages_equal_the_reference(graph: Graph, grid: tuple[int, int], data: st.DataObject) -> None:
    since = data.draw(st.none() | st.sampled_from([op.output for op in graph.ops]))
    plans = [Plan((Stage(op.output, since, grid, 0),)) for op in graph.ops]
    plans = [plan for plan in plans if planned(graph, plan) is not None]
    assume(plans)
    program = schedule(graph, LARGE, Goal(plan=data.draw(st.sampled_from(plans))))
    assert any(isinstance(step, Stream) for step in program.steps)
    agree(program)


@settings(max_examples=25, deadline=None)
@given(toys.graphs(most=5, flips=False))
def test_least_sram_is_never_more_than_layer_by_layer(graph: Graph) -> None:
    least = schedule(graph, LARGE, Goal(least="sram"))
    agree(least)
    assert least.arena_bytes <= schedule(graph, LARGE).arena_bytes


def wide() -> Graph:
    """Few long rows: only cuts along the rows help."""
    build = Builder((1, 8, 256, 2))
    a = build.add(Slide, "x", kernel=(1, 1), stride=(1, 1), pad=Pad())
    b = build.add(Slide, a, kernel=(3, 3), stride=(1, 1), pad=Pad(1, 1, 1, 1))
    c = build.add(Slide, b, kernel=(3, 3), stride=(1, 1), pad=Pad(1, 1, 1, 1))
    return build.graph(build.add(Slide, c, kernel=(4, 4), stride=(4, 4), pad=Pad()))


def test_stages_are_chosen_where_layers_do_not_fit() -> None:
    for graph, cells in ((blow_up(), False), (wide(), True)):
        layers = schedule(graph, LARGE)
        assert all(isinstance(step, Call) for step in layers.steps)
        small = schedule(graph, LARGE, Goal(ram=9_500 if cells else layers.arena_bytes - 1))
        (stream,) = (step for step in small.steps if isinstance(step, Stream))
        assert (stream.grid != (1, 1)) == cells
        assert small.arena_bytes < layers.arena_bytes
        agree(small)


def test_ram_of_the_board_less_the_reserve_is_what_the_arena_may_take() -> None:
    graph = blow_up()
    need = schedule(graph, LARGE).arena_bytes
    exact = schedule(graph, toys.board(need + RESERVED))
    assert (exact.arena_bytes, any(isinstance(s, Stream) for s in exact.steps)) == (need, False)
    assert any(isinstance(s, Stream) for s in schedule(graph, toys.board(need + RESERVED - 1)).steps)


def test_what_does_not_fit_says_by_how_much_and_where() -> None:
    with pytest.raises(DoesNotFit) as caught:
        schedule(blow_up(), LARGE, Goal(ram=1000))
    error = caught.value
    assert error.available == 1000
    assert 1000 < error.needed <= schedule(blow_up(), LARGE).arena_bytes
    assert error.peak.startswith("op0: ")
    assert "input 32x32x2 (2,048 bytes)" in error.peak
    assert "scratch (512 bytes)" in error.peak
    assert f"even in stages it needs {error.needed:,} bytes; the largest rings are those of" in error.hint


def test_names_that_do_not_fit_are_refused_too() -> None:
    build = Builder((1, 8, 8, 4))
    with pytest.raises(DoesNotFit, match="inputs under other names") as caught:
        schedule(build.graph(build.add(Flat, "x")), LARGE, Goal(ram=100))
    assert caught.value.needed == 256


def test_in_place_sums_share_their_input() -> None:
    build = Builder((1, 8, 8, 4))
    a = build.add(Slide, "x", kernel=(1, 1), stride=(1, 1), pad=Pad())
    b = build.add(Plus, a, a)
    program = schedule(build.graph(build.add(Plus, b, b)), LARGE)
    assert program.arena_bytes == 2 * 256
    agree(program)


def test_a_lag_puts_the_output_below_its_input() -> None:
    build = Builder((1, 8, 8, 4))
    program = schedule(build.graph(build.add(Trail, "x", reach=7)), LARGE)
    assert program.inputs[0].offset - program.outputs[0].offset == 8
    assert program.arena_bytes == 256 + 8
    agree(program)


def test_an_alias_takes_no_bytes_and_no_call() -> None:
    build = Builder((1, 4, 4, 1))
    program = schedule(build.graph(build.add(Flat, "x")), LARGE)
    assert (program.arena_bytes, program.steps) == (16, ())
    assert program.inputs[0].offset == program.outputs[0].offset
    agree(program)


def test_a_halo_is_recomputed_and_only_patches_are_alive() -> None:
    graph = blow_up()
    program = schedule(graph, LARGE, Goal(plan=Plan((Stage("t3", None, (4, 4), 0),))))
    (stream,) = (s for s in program.steps if isinstance(s, Stream))
    rows = [call.output.shape[1] for call in stream.calls if call.op.name == "op0"]
    assert len(rows) == 16
    assert sum(rows[::4]) > 32
    spans = {s.name: (s.start, s.stop) for s in program.spans}
    assert (spans["scratch of op2"], spans["t1"]) == ((2, 3), (1, 3))
    assert spans["x"] == (-1, 4)
    assert program.arena_bytes < schedule(graph, LARGE).arena_bytes
    agree(program)


def forked() -> Graph:
    """``a`` is read by a sum, then with a halo, then by another sum: three windows of one tensor."""
    build = Builder((1, 12, 12, 2))
    a = build.add(Slide, "x", kernel=(3, 3), stride=(1, 1), pad=Pad(1, 1, 1, 1))
    p = build.add(Plus, a, a)
    q = build.add(Slide, a, kernel=(3, 3), stride=(1, 1), pad=Pad(1, 1, 1, 1))
    s = build.add(Plus, a, q)
    t = build.add(Plus, p, s)
    return build.graph(build.add(Slide, t, kernel=(2, 2), stride=(2, 2), pad=Pad()))


@pytest.mark.parametrize("grid", [(2, 1), (3, 2), (6, 6)])
def test_a_tensor_in_a_stage_holds_the_windows_of_all_its_readers(grid: tuple[int, int]) -> None:
    graph = forked()
    program = schedule(graph, LARGE, Goal(plan=Plan((Stage(graph.outputs[0], None, grid, 0),))))
    agree(program)


def test_windows_that_skip_bytes_are_not_overwritten_in_place() -> None:
    graph = forked()
    runs = planned(graph, Plan((Stage(graph.outputs[0], None, (2, 2), 0),)))
    assert runs is not None
    kernels = {op.name: toys.candidates(op, graph.io(op))[0] for op in graph.ops}
    pairs = {(o.below, o.above) for o in problem(graph, runs, kernels).overlaps}
    assert pairs == {("t3", "t2"), ("t4", "t1"), ("t4", "t3")}
    assert ("t3", "t0") in {(o.below, o.above) for o in problem(graph, whole(graph), kernels).overlaps}


def test_stages_that_cannot_be_cut_are_refused() -> None:
    graph = blow_up()
    for until, grid in (("t4", (2, 2)), ("t3", (9, 1)), ("t0", (2, 2)), ("nothing", (2, 2))):
        with pytest.raises(UsageError, match=f"patches {grid[0]}x{grid[1]} to {until}: "):
            schedule(graph, LARGE, Goal(plan=Plan((Stage(until, None, grid, 0),))))
    build = Builder((1, 8, 8, 1))
    a = build.add(Slide, "x", kernel=(3, 3), stride=(1, 1), pad=Pad(1, 1, 1, 1))
    b = build.add(Slide, a, kernel=(3, 3), stride=(1, 1), pad=Pad(1, 1, 1, 1))
    assert members(build.graph(build.add(Plus, a, b)), Stage(b)) is None


def test_ops_without_kernel_are_named_all_at_once() -> None:
    build = Builder((1, 4, 4, 1))
    build.add(Odd, "x")
    with pytest.raises(UnsupportedOp) as caught:
        schedule(build.graph(build.add(Odd, "t0")), LARGE)
    assert [p.node for p in caught.value.problems] == ["op0", "op1"]


def test_a_constant_output_is_refused() -> None:
    x = Tensor("x", (1, 4), DType.INT8, toys.ONE)
    c = Tensor.constant("c", np.zeros((1, 4), np.int8), toys.ONE)
    with pytest.raises(ImportFailed, match="constant"):
        schedule(Graph("toy", ("x",), ("c",), (), {"x": x, "c": c}), LARGE)


def test_a_program_prints_as_a_page() -> None:
    program = schedule(blow_up(), LARGE, Goal(plan=Plan((Stage("t3", None, (2, 1), 0),))))
    text = str(program)
    assert text.startswith(f"program toy: arena {program.arena_bytes:,} bytes")
    assert "stream of 8 calls in 2x1 cells, all rows a call" in text
    assert "= flip(t3[1x8x8x2]@" in text
    rows = program.memory_map(40).splitlines()
    assert rows[0].endswith("inputs")
    assert max(program.used(t) for t in range(-1, 7)) <= program.arena_bytes
    assert program.flat[program.peak_step].op.name in [row.split()[-1] for row in rows if row]


class Odd(Op):
    """An op that no kernel computes."""

    def infer(self, *inputs: Tensor) -> tuple[int, ...]:
        return inputs[0].shape
