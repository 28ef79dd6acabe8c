"""Ten thousand random operators: the specification equals C on the host, to the last bit."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.equality import check, noise
from tests.ops import every
from tinycompile.ir import Graph
from tinycompile.ops import ALL_OPS

BATCH = 50
BATCHES = 50
"""In each part: 4 x 50 x 50 graphs."""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(every.PARTS))
def test_ten_thousand_operators(part: int) -> None:
    @settings(max_examples=BATCHES, suppress_health_check=list(HealthCheck), report_multiple_bugs=False)
    @given(st.lists(every.graphs(part), min_size=BATCH, max_size=BATCH))
    def run(cases: list[Graph]) -> None:
        assert check([(graph, noise(graph)) for graph in cases]) >= BATCH

    run()


def test_every_operator_that_has_a_kernel_is_drawn() -> None:
    seen: set[type] = set()

    @settings(max_examples=1500, suppress_health_check=list(HealthCheck), database=None)
    @given(every.graphs())
    def draw(graph: Graph) -> None:
        seen.update(type(op) for op in graph.ops)

    draw()
    assert {op for op in ALL_OPS if not op.alias} <= seen
