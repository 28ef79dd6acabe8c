"""``tinycompile inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tinycompile.api.inspect import Inspection
from tinycompile.cli.options import json_option, model_options, read_options
from tinycompile.cli.progress import Terminal


@click.command(short_help="Show what a model holds and what it would need.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", "names", multiple=True, metavar="NAME|FILE.toml", help="Only this board; repeatable.")
@click.option("--graph", "graph", is_flag=True, help="Print the graph and the memory plan.")
@model_options
@json_option
def inspect(model: Path, names: tuple[str, ...], graph: bool, as_json: bool, **texts: Any) -> None:
    """Show what is in MODEL and what it would need on each board; builds nothing."""
    from tinycompile.api import inspect as inspect_model
    from tinycompile.boards import all_boards, load_board

    options = read_options(texts)
    boards = [load_board(name) for name in names] or list(all_boards())
    if options.memory:
        boards = [board.with_memory(options.memory) for board in boards]
    progress = Terminal(quiet=as_json)
    try:
        found = inspect_model(model, options, boards=boards, progress=progress)
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(_facts(found), indent=2))
        return
    console = Console()
    if graph:
        console.print(str(found.graph), markup=False, highlight=False, soft_wrap=True)
        console.print(str(found.program or ""), markup=False, highlight=False, soft_wrap=True)
    _show(console, model, found)


def _show(console: Console, model: Path, found: Inspection) -> None:
    ops = ", ".join(f"{name} {count}" for name, count in found.operators.items())
    console.print(f"{model.name}: {found.macs:,} multiply-accumulates, {found.parameters:,} constants", markup=False)
    console.print(f"operators after import: {ops}", markup=False)
    table = Table(title="what it would need (cycles are predictions)")
    for column in ("board", "fits", "arena", "without input", "flash", "cycles", "ms"):
        table.add_column(column, justify="left" if column in ("board", "fits") else "right")
    for need in found.needs:
        if need.estimate is None:
            table.add_row(need.board.name, "[red]no: SRAM[/]", f"{need.needed or 0:,}", "", "", "", "")
            continue
        needs, fits = need.estimate, "[green]yes[/]" if need.fits else "[red]no: flash[/]"
        table.add_row(
            need.board.name, fits, f"{needs.arena:,}", f"{needs.arena_without_input:,}", f"{need.flash:,}",
            f"{needs.cycles:,}", f"{needs.milliseconds(need.board):.2f}",
        )  # fmt: skip
    console.print(table)


def _facts(found: Inspection) -> dict[str, Any]:
    return {
        "operators": found.operators,
        "macs": found.macs,
        "parameters": found.parameters,
        "inputs": {n: list(found.graph.tensors[n].shape) for n in found.graph.inputs},
        "outputs": {n: list(found.graph.tensors[n].shape) for n in found.graph.outputs},
        "boards": [
            {
                "board": need.board.name,
                "fits": need.fits,
                "arena_bytes": need.estimate.arena if need.estimate else None,
                "arena_bytes_without_input": need.estimate.arena_without_input if need.estimate else None,
                "input_ring_bytes": need.estimate.ring if need.estimate else None,
                "flash_bytes": need.flash if need.estimate else None,
                "cycles": need.estimate.cycles if need.estimate else None,
                "hop_cycles": need.estimate.hop_cycles if need.estimate else None,
                "hop_macs": need.estimate.hop_macs if need.estimate else None,
                "milliseconds": need.estimate.milliseconds(need.board) if need.estimate else None,
                "problem": need.problem or None,
            }
            for need in found.needs
        ],
    }
