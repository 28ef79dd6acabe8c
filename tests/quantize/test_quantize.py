"""The stage as a whole: what it keeps, what it rejects, and how close integers come to floats."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.quantize.graphs import RELU, Net, annotated, classifier, networks, noise
from tinycompile.data import Samples
from tinycompile.errors import QuantizationFailed
from tinycompile.ir import DType, Graph, Quant, Tensor, verify
from tinycompile.ops import Add, Conv2D, Dense, Mul, PadOp
from tinycompile.quantize import Quantized, Recipe, quantize
from tinycompile.quantize.float_model import FloatModel
from tinycompile.quantize.report import decibels
from tinycompile.simulate import reference

slow_examples = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def signal_to_noise(graph: Graph, made: Quantized, samples: Samples, name: str | None = None) -> float:
    """Decibels at an output (the first unless named), integers by the specification against floats."""
    name = name or graph.outputs[0]
    model, quant = FloatModel(graph, [name]), made.graph.tensors[name].q
    truth = [model(s)[name] for s in samples]
    mine = [quant.decode(reference(made.graph, s)[name]) for s in samples.encoded(made.graph)]
    return decibels(truth, mine)


def test_classifier_is_close_and_fully_integer() -> None:
    graph = classifier()
    made = quantize(graph, noise(graph))
    assert made.graph.is_quantized and made.report.measured and made.report.samples == 24
    assert signal_to_noise(graph, made, noise(graph, seed=9)) > 30
    kinds = {t.dtype for t in made.graph.tensors.values()}
    assert kinds == {DType.INT8, DType.INT32}


def test_the_same_call_gives_the_same_graph() -> None:
    graph = classifier()
    assert quantize(graph, noise(graph)).graph == quantize(graph, noise(graph)).graph
    assert quantize(graph).graph == quantize(graph).graph


def test_bias_is_in_units_of_the_accumulator() -> None:
    graph = classifier()
    made = quantize(graph, noise(graph)).graph
    for op in made.ops:
        if isinstance(op, (Conv2D, Dense)):
            x, w, b = (made.tensors[n] for n in op.inputs)
            np.testing.assert_allclose(b.q.scale, x.q.scalar * np.array(w.q.scale), rtol=1e-12)
            assert b.dtype is DType.INT32 and w.values.min() >= -127


def test_relu_ranges_start_at_zero() -> None:
    graph = classifier()
    made = quantize(graph, noise(graph)).graph
    clipped = [op for op in made.ops if getattr(op, "clip", None) == RELU]
    assert clipped and all(made.tensors[op.output].q.zero_point == -128 for op in clipped)


def test_without_samples_the_report_says_so() -> None:
    graph = classifier()
    report = quantize(graph).report
    assert not report.measured and "NOT measured" in report.summary
    assert report.to_json()["source"] == "synthetic"


def test_synthetic_range_can_be_given() -> None:
    graph = classifier()
    made = quantize(graph, recipe=Recipe(input_range=(0.0, 255.0))).graph
    assert made.tensors["x"].q.scalar == pytest.approx(1.0, rel=1e-3) and made.tensors["x"].q.zero_point == -128


def test_report_names_every_op_worst_first() -> None:
    graph = classifier()
    report = quantize(graph, noise(graph)).report
    assert {e.op for e in report.ops} == {op.name for op in graph.ops}
    assert [e.added for e in report.ops] == sorted(e.added for e in report.ops)
    assert set(report.outputs or {}) == set(graph.outputs)
    assert all(e.total <= e.added + 3 for e in report.ops)


def test_report_agrees_with_the_specification() -> None:
    graph = classifier()
    data = noise(graph)
    made = quantize(graph, data)
    measured = signal_to_noise(graph, made, data)
    assert (made.report.outputs or {})[graph.outputs[0]] == pytest.approx(measured, abs=1.5)


def test_bias_correction_takes_mean_errors_away() -> None:
    net = Net(6, 6, 8, seed=3)
    net.conv("x", 16, 1, bias=False, clip=(-math.inf, math.inf))
    graph, name = net.graph(), "t0"
    data = noise(graph, 64, low=0, high=4)

    def mean_errors(correct: bool) -> np.ndarray:
        made = quantize(graph, data, Recipe(bias_correction=correct)).graph
        model = FloatModel(graph, [name])
        mine = [made.tensors[name].q.decode(reference(made, s)[name]) for s in data.encoded(made)]
        return np.abs(np.mean([model(s)[name] - m for s, m in zip(data, mine, strict=True)], axis=(0, 1, 2, 3)))

    assert len(quantize(graph, data).graph.ops[0].inputs) == 3
    assert mean_errors(True).mean() < 0.6 * mean_errors(False).mean()


def test_integer_graphs_come_back_as_they_are() -> None:
    made = quantize(classifier()).graph
    again = quantize(made)
    assert again.graph is made and again.report.source == "file" and again.report.measured


def as_qdq(graph: Graph, integers: Graph) -> Graph:
    """``graph`` annotated with the parameters of its integer form, weights and biases as integers."""
    tensors = []
    for t in integers.tensors.values():
        float_activation = t.data is None
        tensors.append(replace(t, dtype=DType.FLOAT32) if float_activation else t)
    return replace(integers, tensors={t.name: t for t in tensors}, name=graph.name)


def test_annotated_graphs_convert_exactly_without_samples() -> None:
    graph = classifier()
    integers = quantize(graph, noise(graph)).graph
    made = quantize(as_qdq(graph, integers))
    assert made.graph.tensors == integers.tensors and made.graph.ops == integers.ops
    assert made.report.source == "file"


def test_single_annotations_are_kept() -> None:
    graph, fixed = classifier(), Quant.per_tensor(0.07, 5)
    made = quantize(annotated(graph, x=fixed), noise(graph))
    assert made.graph.tensors["x"].q == fixed
    assert next(r for r in made.report.ranges if r.tensor == "x").method == "file"


def test_stored_quantisation_of_the_data_is_taken() -> None:
    graph, stored = classifier(), Quant.per_tensor(0.013, 21)
    codes = np.random.default_rng(0).integers(-128, 100, (24, 1, 8, 8, 3)).astype(np.int8)
    made = quantize(graph, Samples({"x": stored.decode(codes)}, quants={"x": stored}))
    assert made.graph.tensors["x"].q == stored


def test_requantisations_compute() -> None:
    net = Net(3, 3, 2)
    a, b = net.conv("x", 2), net.conv("x", 2)
    net.concat(a, b)
    graph = annotated(net.graph(), **{a: Quant.per_tensor(0.02, -128), b: Quant.per_tensor(0.03, -128)})
    made = quantize(graph, noise(graph))
    assert len(made.graph.ops) == 4
    assert signal_to_noise(graph, made, noise(graph)) > 25


def test_shared_constants_are_split() -> None:
    net = Net(1, 1, 4)
    first = net.dense("x", 4)
    weights, bias = net.ops[0].inputs[1:]
    net.put(Dense("again", (first, weights, bias), "again"))
    graph = net.graph()
    made = quantize(graph, noise(graph)).graph
    one, two = (made.tensors[op.inputs[2]].q.scale for op in made.ops)
    assert one != two and made.ops[0].inputs[2] != made.ops[1].inputs[2]
    assert signal_to_noise(graph, quantize(graph, noise(graph)), noise(graph)) > 25


def test_equal_weights_stay_shared() -> None:
    net = Net(3, 3, 2)
    net.conv("x", 3)
    first = net.ops[0]
    net.put(Conv2D("again", first.inputs, "again", kernel=(3, 3), clip=RELU))
    net.concat(net.max_pool(first.output), "again")
    made = quantize(net.graph(), noise(net.graph())).graph
    assert made.ops[0].inputs[1] == made.ops[1].inputs[1]
    assert made.ops[0].inputs[2] != made.ops[1].inputs[2]


def test_dead_layers_and_zero_weights() -> None:
    net = Net(3, 3, 2)
    dead = net.conv("x", 3)
    weights, bias = net.ops[0].inputs[1:]
    net.constant(bias, np.array([-50, -60, -70]))
    empty = net.conv(dead, 2, 1)
    net.constant(net.ops[1].inputs[1], np.zeros((2, 1, 1, 3)))
    net.two(Add, net.conv("x", 2, clip=(-math.inf, math.inf)), empty)
    graph = net.graph()
    made = quantize(graph, noise(graph))
    assert made.graph.tensors[dead].q.scalar > 0 and weights in made.graph.tensors
    assert signal_to_noise(graph, made, noise(graph)) > 25


def test_a_product_that_vanishes_still_has_a_multiplier() -> None:
    net = Net(2, 2, 2)
    tiny = net.two(Mul, "x", net.constant("c", np.full((1, 1, 1, 2), 1e-12)))
    net.conv(tiny, 2, clip=(-math.inf, math.inf))
    graph = net.graph()
    made = quantize(graph, noise(graph)).graph
    reference(made, noise(graph).encoded(made).sample(0))


def test_scales_that_no_multiplier_reaches_are_named() -> None:
    graph = classifier()
    name = graph.ops[0].output
    with pytest.raises(QuantizationFailed, match=f"op {graph.ops[0].name!r}"):
        quantize(annotated(graph, **{name: Quant.per_tensor(1e-12, 0)}), noise(graph))


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.full((4, 1, 8, 8, 3), 0.5, np.float32), "constant: all 768 values of 4 samples are 0.5"),
        (np.zeros((0, 1, 8, 8, 3), np.float32), "no samples"),
        (np.full((4, 1, 8, 8, 3), np.nan, np.float32), "768 of 768 values are not finite"),
        (np.zeros((4, 1, 8, 4, 3), np.float32), r"shape \(1, 8, 4, 3\)"),
        (np.zeros((4, 1, 8, 8, 3), np.int8), "int8"),
    ],
)
def test_bad_calibration_data(x: np.ndarray, match: str) -> None:
    with pytest.raises(QuantizationFailed, match=match):
        quantize(classifier(), Samples({"x": x}))


def test_calibration_data_of_another_input() -> None:
    with pytest.raises(QuantizationFailed, match="missing"):
        quantize(classifier(), Samples({"y": np.zeros((1, 1, 8, 8, 3), np.float32)}))


def test_overflow_in_the_network_names_tensor_and_sample() -> None:
    net = Net(2, 2, 1)
    net.unary("x", "exp")
    net.unary("t0", "exp")
    data = noise(net.graph(), 3).inputs["x"].copy()
    data[1] = 80
    with pytest.raises(QuantizationFailed, match="sample 1"):
        quantize(net.graph(), Samples({"x": data}))


@slow_examples
@given(networks(), st.booleans())
def test_random_networks(graph: Graph, correct: bool) -> None:
    data = noise(graph, 8)
    made = quantize(graph, data, Recipe(bias_correction=correct))
    verify(made.graph)
    assert made.graph.is_quantized
    sample = data.encoded(made.graph).sample(0)
    values = reference(made.graph, sample, every=True)
    truth = FloatModel(graph, [op.output for op in graph.ops])(data.sample(0))
    for op in made.graph.ops:
        if op.output in truth and op.moves_data:
            assert made.graph.tensors[op.output].quant == made.graph.tensors[op.inputs[0]].quant
    name = graph.ops[0].output
    step = made.graph.tensors[name].q.scalar
    peak = max(float(np.abs(truth[name]).max()), step)
    error = np.abs(made.graph.tensors[name].q.decode(values[name]) - truth[name])
    assert float(np.median(error)) <= 2 * step + 0.03 * peak


def test_labels_stay_integers() -> None:
    from tinycompile.ops import ArgMax

    net = Net(1, 1, 4)
    logits = net.flat(net.dense("x", 6))
    op = ArgMax("label", (logits,), "label", axis=1)
    net.tensors["label"] = Tensor("label", op.infer(net.tensors[logits]), DType.INT32)
    net.ops.append(op)
    graph = net.graph()
    made = quantize(graph, noise(graph))
    assert made.graph.tensors["label"].dtype is DType.INT32
    model = FloatModel(graph, ["label"])
    data = noise(graph, 50, seed=5)
    hits = [
        model(s)["label"] == reference(made.graph, e)["label"]
        for s, e in zip(data, data.encoded(made.graph), strict=True)
    ]
    assert np.mean(hits) > 0.85


def test_a_padding_value_is_part_of_the_range() -> None:
    net = Net(6, 6, 3)
    a = net.unary("x", "affine", 0.05, 0.0)
    name = net.name()
    around = PadOp(name, (a,), name, before=(0, 1, 1, 0), after=(0, 1, 1, 0), value=0.9)
    net.conv(net.put(around), 4, clip=(-math.inf, math.inf))
    graph = net.graph()
    assert signal_to_noise(graph, quantize(graph, noise(graph)), noise(graph, seed=9)) > 20


def test_saturation_that_a_file_annotates_counts_as_meant() -> None:
    """Quantisers of other tools drop a Relu where rounding to a range from 0 does its work."""
    net = Net(6, 6, 3)
    a = net.conv("x", 8, clip=(-math.inf, math.inf))
    b = net.conv(a, 8, clip=(-math.inf, math.inf))
    net.dense(net.flat(b), 6)
    half = Quant.per_tensor(0.01, -128)
    graph = annotated(net.graph(), **{a: half, b: half})
    plain = quantize(graph, noise(graph), Recipe(bias_correction=False))
    corrected = quantize(graph, noise(graph))
    samples = noise(graph, seed=9)
    assert signal_to_noise(graph, corrected, samples) > signal_to_noise(graph, plain, samples) - 1
    assert corrected.report.outputs is not None
    assert min(corrected.report.outputs.values()) > 25
