"""What a stage cannot do without is never more than its rings, and exact where that can be counted by hand."""

from __future__ import annotations

import pytest

from tests.schedule import toys
from tests.schedule.networks import Network
from tests.schedule.wild import wild
from tinycompile.schedule import Goal, schedule
from tinycompile.schedule.live import live_bytes
from tinycompile.schedule.paths import Paths
from tinycompile.schedule.place import solve
from tinycompile.schedule.prices import Prices
from tinycompile.schedule.rows import rows_of

LARGE = toys.board(1 << 20)


def test_rows_of_a_chain_are_counted_between_calls() -> None:
    net = Network((1, 6, 4, 1))
    a = net.conv("image", 2, 3)
    b = net.conv(a, 2, 3)
    graph = net.classify(b, 2)
    rows = rows_of(graph, graph.ops[:2])
    assert rows is not None
    order = "".join("ab"[index] for _, index, _ in rows.calls)
    assert order == "aababababab" + "b"
    counted = [_alive(order[:calls]) for calls in range(13)]
    assert live_bytes(graph, rows) == max(a for _, a, _ in counted) == 3 * 8
    assert live_bytes(graph, rows, ()) == max(a + b for _, a, b in counted)
    assert live_bytes(graph, rows, ("image",)) == max(map(sum, counted))


def _alive(done: str) -> tuple[int, int, int]:
    """Bytes of the image, of a and of b that are needed after some calls; a 3x3 kernel needs a row on each side."""
    a, b = done.count("a"), done.count("b")
    image = 6 if a < 2 else 6 - (a - 1) if a < 6 else 0
    rows_of_a = a if b < 2 else a - (b - 1) if b < 6 else 0
    return image * 4, rows_of_a * 8, b * 8


@pytest.mark.parametrize("seed", range(12))
def test_no_segment_takes_less_than_its_floor(seed: int) -> None:
    _, graph = wild(seed)
    paths = Paths(graph, Prices(graph, LARGE))
    paths.explore(1 << 20)
    paths.tile()
    for segment in paths.segments:
        assert segment.floor <= solve(segment.problem, nodes=20).height + segment.more
    least = schedule(graph, LARGE, Goal(least="sram"))
    assert least.floor <= least.arena_bytes
