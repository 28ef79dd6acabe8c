"""Orders against brute force over every topological order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycompile.errors import InternalError
from tinycompile.schedule import order as module
from tinycompile.schedule.order import Task, best_order

Net = tuple[list[Task], dict[str, int]]


@st.composite
def nets(draw: st.DrawFn, most: int = 7) -> Net:
    sizes = {"x": draw(st.integers(1, 40))}
    tasks = []
    for i in range(draw(st.integers(1, most))):
        reads = tuple(draw(st.lists(st.sampled_from(sorted(sizes)), min_size=1, max_size=3, unique=True)))
        name = f"t{i}"
        sizes[name] = draw(st.integers(1, 40))
        saves = {r: min(sizes[r], sizes[name]) for r in reads if draw(st.booleans())}
        tasks.append(Task(name, reads, name, draw(st.sampled_from([0, 0, 7])), saves))
    return tasks, sizes


def orders(tasks: list[Task], done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Every topological order."""
    if len(done) == len(tasks):
        yield done
    written = {"x", *(tasks[i].writes for i in done)}
    for i, task in enumerate(tasks):
        if i not in done and set(task.reads) <= written:
            yield from orders(tasks, (*done, i))


def peak_of(net: Net, order: tuple[int, ...], kept: set[str]) -> int:
    """The peak of an order, from the lifetimes of all its buffers, step by step."""
    tasks, sizes = net
    last = {"x": 0, **{tasks[i].writes: at for at, i in enumerate(order)}}
    for at, i in enumerate(order):
        last.update(dict.fromkeys(tasks[i].reads, at))
    born = {"x": -1, **{tasks[i].writes: at for at, i in enumerate(order)}}
    read = {name for task in tasks for name in task.reads}
    peak = sizes["x"]
    for at, i in enumerate(order):
        task = tasks[i]
        used = [n for n in sizes if born[n] < at and (last[n] >= at or n in kept) and (n in read or n in kept)]
        dying = [n for n in task.reads if last[n] == at and n not in kept]
        saved = sum(task.saves.get(n, 0) for n in dying)
        own = sizes[task.writes]
        peak = max(peak, sum(sizes[n] for n in used) + max(own - saved, 0) + task.extra)
    return peak


@settings(max_examples=300, deadline=None)
@given(nets(), st.data())
def test_exact_search_matches_brute_force(net: Net, data: st.DataObject) -> None:
    tasks, sizes = net
    kept = {tasks[-1].name, *data.draw(st.lists(st.sampled_from([t.name for t in tasks]), max_size=1))}
    found = best_order(tasks, sizes, ["x"], sorted(kept))
    assert found.exact
    assert sorted(found.order) == list(range(len(tasks)))
    assert found.peak == peak_of(net, found.order, kept)
    assert found.peak == min(peak_of(net, o, kept) for o in orders(tasks))


@settings(max_examples=100, deadline=None)
@given(nets())
def test_beam_gives_a_valid_order_that_is_never_worse_than_the_one_given(net: Net) -> None:
    tasks, sizes = net
    found = best_order(tasks, sizes, ["x"], [tasks[-1].name], states=0)
    assert sorted(found.order) == list(range(len(tasks)))
    assert found.peak == peak_of(net, found.order, {tasks[-1].name})
    assert found.peak <= peak_of(net, tuple(range(len(tasks))), {tasks[-1].name})


def branches(count: int, depth: int) -> Net:
    """``count`` branches that each blow up and shrink again, listed breadth first: the worst order."""
    sizes, tasks = {"x": 10}, []
    for level in range(depth):
        for branch in range(count):
            reads = "x" if level == 0 else f"b{branch}.{level - 1}"
            name = f"b{branch}.{level}"
            sizes[name] = 10 if level == depth - 1 else 1000
            tasks.append(Task(name, (reads,), name))
    ends = tuple(f"b{branch}.{depth - 1}" for branch in range(count))
    sizes["sum"] = 10
    return [*tasks, Task("sum", ends, "sum")], sizes


def test_branches_run_one_after_the_other() -> None:
    tasks, sizes = branches(3, 3)
    assert best_order(tasks, sizes, ["x"], ["sum"]).peak == 10 + 2 * 10 + 2 * 1000 - 10


def test_wide_graphs_fall_back_to_the_beam() -> None:
    tasks, sizes = branches(30, 2)
    found = best_order(tasks, sizes, ["x"], ["sum"], states=500)
    assert found.peak < 2000


def test_a_chain_keeps_its_order() -> None:
    tasks = [Task(f"t{i}", (f"t{i - 1}" if i else "x",), f"t{i}") for i in range(300)]
    sizes = {"x": 5, **{f"t{i}": 5 + i % 7 for i in range(300)}}
    found = best_order(tasks, sizes, ["x"], ["t299"])
    assert (found.order, found.exact) == (tuple(range(300)), True)


def test_an_order_that_cannot_run_is_refused() -> None:
    tasks = [Task("b", ("a",), "b"), Task("a", ("x",), "a")]
    with pytest.raises(InternalError, match="comes before"):
        module._Lattice(tasks, {"x": 1, "a": 1, "b": 1}, ["x"], ["b"]).peak((0, 1))
