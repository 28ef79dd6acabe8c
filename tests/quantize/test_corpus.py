"""Accuracy on real data: int8 by the specification against the float network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import corpus
from tinycompile import frontends, passes
from tinycompile.data import Preprocessing, Samples, load_samples
from tinycompile.ir import Graph
from tinycompile.quantize import quantize
from tinycompile.quantize.float_model import FloatModel
from tinycompile.simulate import reference

pytestmark = [pytest.mark.corpus, pytest.mark.slow]


def accuracies(graph: Graph, calibration: Samples, test: Samples) -> tuple[float, float]:
    """Share of labels met by the float network, and by its integer form calibrated on other data."""
    (name,) = graph.outputs
    model, made = FloatModel(graph, [name]), quantize(graph, calibration).graph
    real = [int(model(s)[name].argmax()) for s in test]
    mine = [int(reference(made, s)[name].argmax()) for s in test.encoded(made)]
    return float(np.mean(real == test.labels)), float(np.mean(mine == test.labels))


def test_keyword_spotting(shared: Path) -> None:
    graph = passes.optimize(frontends.load(shared / "models" / "mlperf_kws_dscnn.onnx"))
    data = load_samples(shared / "data" / "kws01_mfcc.npz", graph)
    real, mine = accuracies(graph, data.spread(200), data)
    assert real == pytest.approx(0.9129, abs=1e-4) and mine >= real - 0.005


def test_human_activity(shared: Path) -> None:
    graph = passes.optimize(frontends.load(shared / "models" / "har_sepconv1d_hmp.onnx"))
    how = Preprocessing(scale=(1 / 31.5,), mean=(1.0,))
    train = load_samples(shared / "data" / "hmp_accel_train.npz", graph, how, limit=256)
    real, mine = accuracies(graph, train, load_samples(shared / "data" / "hmp_accel_test.npz", graph, how))
    assert real == pytest.approx(0.6378, abs=2e-3) and mine >= real - 0.005


def test_images(shared: Path) -> None:
    graph = passes.optimize(frontends.load(shared / "models" / "mlperf_ic_resnet8.onnx"))
    train = load_samples(shared / "data" / "cifar10_train10k.npz", graph, limit=256)
    real, mine = accuracies(graph, train, load_samples(shared / "data" / "cifar10_test2k.npz", graph, limit=400))
    # 400 of 2000 images: one more or less is a quarter of a point.
    assert mine >= real - 0.0125


@pytest.mark.parametrize("path", corpus("mlperf_*.onnx") + corpus("*opt.onnx"), ids=lambda p: p.stem)
def test_reference_inputs_are_read(path: Path) -> None:
    graph = passes.optimize(frontends.load(path))
    samples = load_samples(path.with_suffix(".ref.npz"), graph)
    assert len(samples) == 4
    assert all(x.shape[1:] == graph.tensors[n].shape for n, x in samples.inputs.items())


def test_quantised_onnx_equals_onnxruntime(shared: Path) -> None:
    """The keyword spotter's QDQ form, code for code."""
    import onnxruntime

    path = shared / "models" / "mlperf_kws_dscnn_qdq.onnx"
    graph = passes.optimize(frontends.load(path))
    made = quantize(graph).graph
    samples = load_samples(shared / "data" / "kws01_mfcc.npz", made, limit=40)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for sample in samples.encoded(made):
        ((name, x),) = sample.items()
        theirs = session.run(None, {session.get_inputs()[0].name: made.port(name).to_file(x)})[0]
        np.testing.assert_array_equal(reference(made, sample)[made.outputs[0]].ravel(), theirs.ravel())
