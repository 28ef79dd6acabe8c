"""Errors at the outputs, and the shrinking of uncertain corrections."""

from __future__ import annotations

import numpy as np

from tests.quantize.graphs import classifier, noise
from tinycompile.quantize.effect import compared, output_errors, samples_affordable
from tinycompile.quantize.layers import reliable_mean
from tinycompile.quantize.ranges import Candidate, affine
from tinycompile.quantize.sharing import share


def test_only_the_named_group_is_quantised() -> None:
    graph = classifier()
    sharing = share(graph)
    group = sharing.root[graph.ops[0].output]
    proposals = [
        Candidate("good", affine(0, 4)),
        Candidate("narrow", affine(0, 0.2)),
        Candidate("wide", affine(0, 500)),
    ]
    good, narrow, wide = output_errors(sharing, {group: proposals}, noise(graph, 4))[group]
    assert 0 < good < 1e-3 < narrow and good < wide


def test_two_groups_do_not_disturb_each_other() -> None:
    graph = classifier()
    sharing = share(graph)
    first, second = (sharing.root[graph.ops[i].output] for i in (0, 1))
    one = {first: [Candidate("a", affine(0, 3))]}
    both = {**one, second: [Candidate("b", affine(-0.1, 0.1))]}
    data = noise(graph, 4)
    np.testing.assert_allclose(output_errors(sharing, both, data)[first], output_errors(sharing, one, data)[first])


def test_errors_are_judged_before_the_softmax() -> None:
    graph = classifier()
    assert compared(graph) == [graph.ops[-1].inputs[0]]


def test_large_networks_are_not_compared() -> None:
    graph = classifier()
    assert samples_affordable(graph, 10) > 0
    assert samples_affordable(graph, 10**9) == 0


def test_means_that_noise_explains_vanish() -> None:
    rng = np.random.default_rng(0)
    errors = np.stack([rng.normal(0, 1, 32), rng.normal(5, 0.1, 32)], axis=1)
    uncertain, sure = reliable_mean(errors)
    assert abs(uncertain) < abs(errors[:, 0].mean()) and abs(sure - 5) < 0.1
    np.testing.assert_array_equal(reliable_mean(errors[:1]), 0)
