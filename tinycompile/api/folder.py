"""A build folder read back: what ``run`` and ``eval`` need of it, without the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinycompile.api.build import REPORT
from tinycompile.boards import Board, load_board
from tinycompile.errors import UsageError
from tinycompile.ir import DType, Graph, Port, Quant, Tensor
from tinycompile.report import SCHEMA_VERSION
from tinycompile.schedule import Bank, Program, View
from tinycompile.simulate import Host


@dataclass(frozen=True)
class Folder:
    """The artefacts of one build. ``program`` has no steps: only its ports and the banks of its arena are known."""

    path: Path
    report: Mapping[str, Any]
    program: Program
    board: Board

    @property
    def graph(self) -> Graph:
        """The ports of the model as a graph without ops."""
        return self.program.graph

    def host(self) -> Host:
        """The host library, loaded."""
        size = self.report["memory"]["arena_declared"]
        library = self.path / str(self.report["host_library"])
        banks = [bank.start for bank in self.program.banks]
        try:
            return Host(library, self.graph, run=self.report["inference_function"], arena_bytes=size, banks=banks)
        except (OSError, AttributeError) as error:
            raise UsageError(
                f"cannot load the host library: {error}", where=str(self.path), hint="build again on this machine"
            ) from error

    @property
    def elf(self) -> Path:
        """The firmware image."""
        return self.path / str(self.report["firmware"]["elf"])


def open_folder(path: Path) -> Folder:
    """Read a folder that ``build`` made; UsageError where it is none, or of another version."""
    try:
        report = json.loads((path / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"{str(path)!r} is no build folder: {error}"
        raise UsageError(what, hint="give a folder that 'build' made") from error
    version = report.get("schema_version") if isinstance(report, dict) else None
    if version != SCHEMA_VERSION:
        raise UsageError(f"report.json has version {version}, this is {SCHEMA_VERSION}", hint="build again")
    try:
        ports = {p["name"]: p for p in (*report["inputs"], *report["outputs"])}
        graph = Graph(
            name=report["model"]["name"],
            inputs=tuple(p["name"] for p in report["inputs"]),
            outputs=tuple(p["name"] for p in report["outputs"]),
            ops=(),
            tensors={name: _tensor(p) for name, p in ports.items()},
            rounding=report["quantization"]["rounding"],
            ports={n: Port(tuple(p["file_shape"]), tuple(p["permutation"]), p["file_dtype"]) for n, p in ports.items()},
        )
        inputs, outputs = (tuple(_view(p) for p in report[kind]) for kind in ("inputs", "outputs"))
        sizes = {r["name"]: r["size"] for r in report["board"]["memory"]}
        banks = tuple(Bank(b["region"], b["start"], b["bytes"]) for b in report["memory"]["banks"])
        program = Program(graph, (), report["memory"]["arena_bytes"], inputs, outputs, banks=banks)
        board = load_board(report["board"]["file"] or report["board"]["name"]).with_memory(sizes)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{REPORT} in {str(path)!r} lacks {error}", hint="build again") from error
    return Folder(path, report, program, board)


def _tensor(port: Mapping[str, Any]) -> Tensor:
    quant = None if port["scale"] is None else Quant.per_tensor(port["scale"], port["zero_point"])
    return Tensor(port["name"], tuple(port["shape"]), DType(port["dtype"]), quant)


def _view(port: Mapping[str, Any]) -> View:
    return View(port["name"], port["offset"] or 0, tuple(port["shape"]), port["bytes"])
