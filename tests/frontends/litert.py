"""LiteRT's reference kernels, the judge of the front end's meaning; tests that import this skip without them."""

from __future__ import annotations

import pytest

pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")

from benchmarks.litert_layers import LiteRt

__all__ = ["LiteRt"]
