"""Dead channels go, and no output ever changes for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import corpus
from tests.schedule.networks import Network
from tests.schedule.wild import wild
from tinycompile.api.compile import compile_graph, import_model
from tinycompile.boards import load_board
from tinycompile.errors import TinycompileError
from tinycompile.ir import Array, DType, Graph, Quant, Tensor, verify
from tinycompile.ops import Add, Concat, Conv2D, Dense, Reshape
from tinycompile.passes import without_dead_channels
from tinycompile.quantize import quantize
from tinycompile.simulate import arena, reference

FILES = [p for p in corpus("*") if p.suffix in (".onnx", ".tflite") and p.stat().st_size < 1_500_000]


def inputs(graph: Graph, count: int = 3) -> Iterable[dict[str, Array]]:
    """The least and the largest values, and noise."""
    rng = np.random.default_rng(0)
    for n in range(count + 2):
        ends = (-128, -127) if n == 0 else (127, 128) if n == 1 else (-128, 128)
        yield {i: rng.integers(*ends, graph.tensors[i].shape).astype(np.int8) for i in graph.inputs}


def lean(graph: Graph) -> Graph:
    """The graph after the pass, which must be valid, compute the same, and have nothing more that is dead."""
    after = verify(without_dead_channels(graph), "without_dead_channels")
    assert [op.name for op in after.ops] == [op.name for op in graph.ops]
    for x in inputs(graph):
        wanted, found = reference(graph, x), reference(after, x)
        for name in graph.outputs:
            np.testing.assert_array_equal(found[name], wanted[name])
    assert without_dead_channels(after) == after
    return after


def channels(graph: Graph) -> list[int]:
    """Of every op's output."""
    return [graph.tensors[op.output].channels for op in graph.ops]


def killed(graph: Graph, dice: Random) -> Graph:
    """The graph with filters that are constant or saturate, and with inputs that meet only zeros."""
    changed = []
    for op in graph.ops:
        if not isinstance(op, Conv2D | Dense) or dice.random() < 0.3:
            continue
        w, b = (graph.tensors[name] for name in op.inputs[1:3])
        weights, bias = w.values.copy(), b.values.copy()
        for channel in range(len(bias)):
            fate = dice.choice(["lives", "lives", "constant", "zero", "low", "high"])
            if fate in ("constant", "zero"):
                weights[channel] = 0
                bias[channel] = 0 if fate == "zero" else dice.randint(-3000, 3000)
            elif fate != "lives":
                bias[channel] = 1 << 24 if fate == "high" else -(1 << 24)
        for channel in range(weights.shape[-1]):
            if dice.random() < 0.2:
                weights[..., channel] = 0
        changed += [replace(w, data=weights), replace(b, data=bias)]
    return graph.with_tensors(*changed)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.sampled_from(["native", "tflite"]))
def test_random_networks_compute_the_same(dice: Random, rounding: str) -> None:
    _, graph = wild(dice)
    lean(replace(killed(graph, dice), rounding=rounding))


def chain(*, bias: int, dead: range, depthwise: bool = False) -> Graph:
    """Two convolutions, perhaps with a depthwise one between them, and a classifier; the first one has filters of
    zeros and this bias."""
    net = Network((1, 6, 5, 3), 3)
    x = net.conv("image", 16, 3)
    if depthwise:
        x = net.conv(x, 16, 3, depthwise=True)
    graph = net.classify(net.conv(x, 8), 4)
    return dead_filters(graph, graph.ops[0].inputs, dead, bias)


def test_constants_go_into_the_bias_of_the_next_layer() -> None:
    before = chain(bias=900, dead=range(2, 10))
    after = lean(before)
    assert channels(before)[:2] == [16, 8] and channels(after)[:2] == [8, 8]
    assert after.tensors[after.ops[1].inputs[1]].shape == (8, 1, 1, 8)
    assert (after.tensors[after.ops[1].inputs[2]].values != before.tensors[before.ops[1].inputs[2]].values).any()


def test_the_real_zero_goes_through_padding_and_other_constants_do_not() -> None:
    zero, other = (lean(chain(bias=bias, dead=range(8), depthwise=True)) for bias in (0, 900))
    assert channels(zero)[:3] == [8, 8, 8], "padding is the same as the rest of the channel"
    assert channels(other)[0] == 16, "a rim of padding makes it visible"


def test_a_padded_layer_does_not_take_in_other_constants() -> None:
    net = Network((1, 6, 5, 3), 7)
    graph = net.classify(net.conv(net.conv("image", 16), 8, 3), 4)
    names = graph.ops[0].inputs
    assert channels(lean(dead_filters(graph, names, range(8))))[0] == 8
    assert channels(lean(dead_filters(graph, names, range(8), 900)))[0] == 16


def test_sums_that_wrap_are_not_taken_for_constants() -> None:
    """Times 2**25 both ends of int8 leave int32 such that they come out as 0, and 1 does not."""
    q = Quant.per_tensor(0.5)
    tensors = {
        "x": Tensor("x", (1, 8), DType.INT8, q),
        "a": Tensor.constant("a", np.eye(8, dtype=np.int8), Quant.per_tensor(2.0**25)),
        "h": Tensor("h", (1, 8), DType.INT8, q),
        "b": Tensor.constant("b", np.ones((4, 8), np.int8), Quant.per_tensor(0.25)),
        "y": Tensor("y", (1, 4), DType.INT8, q),
    }
    first = Dense("h", ("x", "a"), "h", clip=(0.0, float("inf")))
    graph = Graph("wraps", ("x",), ("y",), (first, Dense("y", ("h", "b"), "y")), tensors, rounding="tflite")
    some = np.array([[-128, 127, 1, 0, 0, 0, 0, 0]], np.int8)
    assert (reference(verify(graph), {"x": some})["y"] > 0).all()
    assert channels(lean(graph)) == [8, 4]
    for x in (some, -some):
        ours, theirs = (reference(g, {"x": x})["y"] for g in (without_dead_channels(graph), graph))
        np.testing.assert_array_equal(ours, theirs)


def test_nor_are_those_of_additions() -> None:
    net = Network((1, 2, 2, 8), 8)
    graph = net.classify(net.conv(net.add(Add, net.conv("image", 8), net.conv("image", 8)), 8), 4)
    coarse = [replace(graph.tensors[op.output], quant=Quant.per_tensor(1e9, 0)) for op in graph.ops[:2]]
    ends = replace(graph, rounding="tflite").with_tensors(*coarse)
    assert channels(lean(ends)) == channels(graph)


def test_fours_are_kept_together() -> None:
    assert channels(lean(chain(bias=0, dead=range(7))))[0] == 12
    assert channels(lean(chain(bias=0, dead=range(16))))[0] == 4, "nothing is left but a tensor needs some"


def test_what_no_weight_reads_goes_with_the_filters_that_make_it() -> None:
    net = Network((1, 4, 4, 3), 1)
    x = net.conv("image", 12)
    x = net.conv(x, 12, 3, depthwise=True)
    graph = net.classify(net.conv(x, 8), 4)
    w = graph.tensors[graph.ops[2].inputs[1]]
    blind = w.values.copy()
    blind[..., [0, 3, 5, 11]] = 0
    after = lean(graph.with_tensors(replace(w, data=blind)))
    assert channels(after)[:3] == [8, 8, 8] and after.ops[1].groups == 8  # type: ignore[attr-defined]


def test_sums_keep_what_either_side_needs() -> None:
    net = Network((1, 4, 4, 3), 2)
    a = net.conv("image", 8)
    b = net.conv(a, 8)
    graph = net.classify(net.add(Add, a, b), 4)
    dead = dead_filters(graph, graph.ops[0].inputs, range(4))
    assert channels(lean(dead))[:3] == [8, 8, 8], "the other side of the sum is alive"
    both = dead_filters(dead, graph.ops[1].inputs, range(4))
    assert channels(lean(both))[:3] == [4, 4, 4]


def dead_filters(graph: Graph, names: tuple[str, ...], dead: range, value: int = 0) -> Graph:
    """The graph with filters of zeros and this bias."""
    w, b = (graph.tensors[name] for name in names[1:])
    weights, bias = w.values.copy(), b.values.copy()
    weights[dead], bias[dead] = 0, value
    return graph.with_tensors(replace(w, data=weights), replace(b, data=bias))


def test_joined_channels_and_flattened_images_keep_their_places() -> None:
    net = Network((1, 3, 2, 3), 4)
    a, b = net.conv("image", 8), net.conv("image", 12)
    first, second = net.ops[-2].inputs, net.ops[-1].inputs
    flat = net.add(Reshape, net.add(Concat, a, b, axis=3), shape=(1, 120))
    y = net.add(Dense, flat, *net.constants((5, 120)))
    graph = verify(Graph("flat", ("image",), (y,), tuple(net.ops), net.tensors))
    after = lean(dead_filters(dead_filters(graph, first, range(4)), second, range(8, 12)))
    assert channels(after) == [4, 8, 12, 72, 5]


def test_inputs_and_outputs_of_the_graph_keep_their_channels() -> None:
    net = Network((1, 2, 2, 8), 5)
    y = net.conv("image", 8)
    graph = verify(Graph("one", ("image",), (y,), tuple(net.ops), net.tensors))
    names = graph.ops[0].inputs
    w = graph.tensors[names[1]]
    assert lean(graph.with_tensors(replace(w, data=np.zeros_like(w.values)))).tensors["image"].channels == 8


def test_a_layer_without_bias_gets_one() -> None:
    before = chain(bias=900, dead=range(8))
    ops = tuple(replace(op, inputs=op.inputs[:2]) if i == 1 else op for i, op in enumerate(before.ops))
    after = lean(verify(before.with_ops(ops)))
    assert len(after.ops[1].inputs) == 3 and channels(after)[0] == 8


def test_the_shift_that_all_channels_share_stays() -> None:
    """A dead filter whose scale is large decides how the others round."""
    before = chain(bias=0, dead=range(8))
    w = before.tensors[before.ops[0].inputs[1]]
    assert w.quant is not None
    large = replace(w.quant, scale=(40.0, *w.quant.scale[1:]))
    after = lean(before.with_tensors(replace(w, quant=large)))
    assert 40.0 in after.tensors[after.ops[0].inputs[1]].q.scale


def test_shared_weights_are_told_apart() -> None:
    net = Network((1, 4, 4, 8), 6)
    w, b = net.constants((8, 1, 1, 8))
    x = net.add(Conv2D, "image", w, b, kernel=(1, 1))
    y = net.add(Conv2D, x, w, b, kernel=(1, 1))
    graph = net.classify(y, 3)
    after = lean(dead_filters(graph, graph.ops[0].inputs, range(4)))
    assert [after.tensors[op.inputs[1]].shape for op in after.ops[:2]] == [(4, 1, 1, 8), (4, 1, 1, 4)]


def test_programs_leave_them_out_and_the_graph_to_compare_with_has_them() -> None:
    compiled = compile_graph(chain(bias=900, dead=range(8)), load_board("stm32l4r5"))
    assert channels(compiled.graph)[0] == 16 and channels(compiled.program.graph)[0] == 8
    for x in inputs(compiled.graph):
        wanted, found = reference(compiled.graph, x), arena(compiled.program, x)
        for name, values in found.items():
            np.testing.assert_array_equal(values, wanted[name])


@pytest.mark.corpus
@pytest.mark.parametrize("path", FILES, ids=[p.name for p in FILES])
def test_files(path: Path) -> None:
    try:
        graph = quantize(import_model(path)).graph
    except TinycompileError as error:
        pytest.skip(str(error))
    lean(graph)
