"""Groups of tensors with one quantisation, and requantisations between fixed ones."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from tests.quantize.graphs import Net, annotated, networks
from tinycompile.ir import Graph, Quant, verify
from tinycompile.ops import Add, Unary
from tinycompile.quantize.sharing import activations, share


def test_ops_that_move_data_share() -> None:
    net = Net(4, 4, 2)
    a, b = net.conv("x", 2), net.conv("x", 3)
    joined = net.concat(a, net.concat(b, b))
    sharing = share(net.graph(net.flat(net.max_pool(joined))))
    assert len({sharing.root[n] for n in sharing.root if n != "x"}) == 1
    assert sharing.root["x"] != sharing.root[a]


def test_weights_are_no_activations() -> None:
    net = Net(4, 4, 2)
    net.two(Add, net.conv("x", 2), net.constant("c", net.rng.random((1, 4, 4, 2))))
    assert activations(net.graph()) == {"x", "t0", "c", "t1"}


SOFTMAX = Quant.per_tensor(1 / 256, -128)


def test_softmax_at_the_output_is_pinned() -> None:
    net = Net(1, 1, 4)
    net.flat(net.softmax("x"))
    sharing = share(net.graph())
    assert sharing.pins[sharing.root["t1"]] == SOFTMAX
    net.concat("t1", net.flat(net.conv("x", 3)))
    sharing = share(net.graph())
    assert sharing.root["t1"] not in {**sharing.pins, **sharing.known}


def test_softmax_inside_is_a_proposal_but_for_tensorflow_lite() -> None:
    net = Net(1, 1, 4)
    net.conv(net.softmax("x"), 3)
    graph = net.graph()
    group = share(graph).root["t0"]
    assert share(graph).known == {group: SOFTMAX} and not share(graph).pins
    assert share(replace(graph, rounding="tflite")).pins == {group: SOFTMAX}


def mixed_annotations() -> Graph:
    net = Net(2, 2, 2)
    a, b = net.conv("x", 2), net.conv("x", 2)
    joined = net.concat(a, b)
    one, two = Quant.per_tensor(0.1, 3), Quant.per_tensor(0.2, -5)
    return annotated(net.graph(), **{a: one, b: two, joined: two})


def test_annotations_that_differ_get_a_requantisation() -> None:
    graph = mixed_annotations()
    sharing = share(graph)
    verify(sharing.graph)
    casts = [op for op in sharing.graph.ops if isinstance(op, Unary) and not op.steps]
    assert len(casts) == 1 and casts[0].inputs == (graph.ops[2].inputs[0],)
    concat = sharing.graph.ops[-1]
    assert concat.inputs == (casts[0].output, graph.ops[2].inputs[1])
    assert sharing.pins[sharing.root[casts[0].output]] == Quant.per_tensor(0.2, -5)
    for name, tensor in graph.tensors.items():
        if tensor.quant is not None:
            assert sharing.pins[sharing.root[name]] == tensor.quant


def test_one_tensor_twice() -> None:
    net = Net(2, 2, 2)
    a = net.conv("x", 2)
    net.concat(a, a)
    graph = annotated(net.graph(), **{a: Quant.per_tensor(1.0, 0), "t1": Quant.per_tensor(2.0, 0)})
    sharing = share(graph)
    assert sharing.graph.ops[-1].inputs == ("t1.requantized0",) * 2
    verify(sharing.graph)


@given(networks())
def test_every_activation_has_a_group_and_movers_agree(graph: Graph) -> None:
    sharing = share(graph)
    assert set(sharing.root) == activations(graph)
    for op in sharing.graph.ops:
        if op.moves_data:
            assert len({sharing.root[n] for n in (*op.inputs, op.output)}) == 1
