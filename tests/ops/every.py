"""One-op graphs of every operator: what the tests of the single operators draw from, together."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tinycompile.errors import TinycompileError
from tinycompile.ir import Graph
from tinycompile.schedule import Program

PARTS = 4


def graphs(part: int | None = None) -> st.SearchStrategy[Graph]:
    """A graph of one op, any operator that has a test with a strategy named ``graphs``; or those of one part."""
    own = strategies()
    return st.one_of(*(own if part is None else own[part::PARTS]))


def strategies() -> list[st.SearchStrategy[Graph]]:
    """Those strategies, one for each operator or family of operators."""
    names = sorted(p.stem for p in Path(__file__).parent.glob("test_*.py") if p.stem != "test_every")
    modules = [importlib.import_module(f"tests.ops.{name}") for name in names]
    return [module.graphs() for module in modules if hasattr(module, "graphs")]


def programs(
    plan: Callable[[Graph], Program], *, each: int, examples: int, refusals: tuple[str, ...]
) -> dict[str, list[Program]]:
    """By operator, up to ``each`` programs that ``plan`` makes of ``examples`` graphs; every graph that it refuses, it
    must refuse in one of these words."""
    found: dict[str, list[Program]] = {}

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None,
              derandomize=True, phases=[Phase.generate])  # fmt: skip
    @given(graphs())
    def draw(graph: Graph) -> None:
        same = found.setdefault(type(graph.ops[0]).__name__, [])
        if len(same) < each:
            try:
                same.append(plan(graph))
            except TinycompileError as error:
                assert any(word in str(error) for word in refusals)

    draw()
    return found
