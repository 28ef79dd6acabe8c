"""The table of ONNX operators that can be imported, each with the sentence that documents what is supported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycompile.frontends.onnx.node import Node

if TYPE_CHECKING:
    from tinycompile.frontends.onnx.builder import Builder

Import = Callable[["Builder", Node], None]


@dataclass(frozen=True)
class Importer:
    """How one ONNX operator becomes ops of the graph; ``rule`` says in one sentence which forms are supported."""

    domain: str
    op_type: str
    rule: str
    run: Import


IMPORTERS: dict[tuple[str, str], Importer] = {}


def importer(*op_types: str, rule: str, domain: str = "") -> Callable[[Import], Import]:
    """Register a function as the importer of these operators."""

    def register(run: Import) -> Import:
        for op_type in op_types:
            IMPORTERS[domain, op_type] = Importer(domain, op_type, rule, run)
        return run

    return register


def find(node: Node) -> Importer | None:
    """The importer of a node's operator, if there is one."""
    return IMPORTERS.get((node.domain, node.op_type))


def operator_table() -> str:
    """A Markdown table of every ONNX operator that is read, with its rule; part of the generated operator page."""
    rows = sorted(IMPORTERS.values(), key=lambda i: (i.domain, i.op_type))
    lines = ["| ONNX operator | supported |", "|---|---|"]
    lines += [f"| {i.domain + '.' if i.domain else ''}{i.op_type} | {i.rule} |" for i in rows]
    return "\n".join(lines) + "\n"
