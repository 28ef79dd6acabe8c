"""One-op graphs of every operator: what the tests of the single operators draw from, together."""

from __future__ import annotations

import importlib
from pathlib import Path

from hypothesis import strategies as st

from tinycompile.ir import Graph

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
