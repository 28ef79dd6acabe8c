"""The table of TensorFlow Lite operators that can be imported, each with the sentence that documents its forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycompile.frontends.tflite.node import Node

if TYPE_CHECKING:
    from tinycompile.frontends.tflite.builder import Builder

Import = Callable[["Builder", Node], None]


@dataclass(frozen=True)
class Importer:
    """How one operator becomes ops of the graph; ``rule`` says in one sentence which forms are supported."""

    op: str
    rule: str
    run: Import


IMPORTERS: dict[str, Importer] = {}


def importer(*ops: str, rule: str) -> Callable[[Import], Import]:
    """Register a function as the importer of these operators."""

    def register(run: Import) -> Import:
        for op in ops:
            IMPORTERS[op] = Importer(op, rule, run)
        return run

    return register


def operator_table() -> str:
    """A Markdown table of every operator that is read, with its rule; part of the generated operator page."""
    lines = ["| TensorFlow Lite operator | supported |", "|---|---|"]
    lines += [f"| {i.op} | {i.rule} |" for i in sorted(IMPORTERS.values(), key=lambda i: i.op)]
    return "\n".join(lines) + "\n"
