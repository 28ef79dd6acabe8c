"""``tinycompile inspect``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tinycompile.api.build import Options
from tinycompile.api.inspect import Inspection
from tinycompile.api.trade_offs import TradeOff, TradeOffs
from tinycompile.cli.options import json_option, model_options, read_options
from tinycompile.cli.progress import Terminal
from tinycompile.errors import UsageError


@click.command(short_help="Show what a model holds and what it would need.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", "names", multiple=True, metavar="NAME|FILE.toml", help="Only this board; repeatable.")
@click.option("--graph", "graph", is_flag=True, help="Print the graph and the memory plan.")
@click.option("--pareto", is_flag=True, help="Show what less SRAM costs in cycles, on one board (default: stm32f746).")
@model_options
@json_option
def inspect(model: Path, names: tuple[str, ...], graph: bool, pareto: bool, as_json: bool, **texts: Any) -> None:
    """Show what is in MODEL and what it would need on each board; builds nothing."""
    from tinycompile.api import inspect as inspect_model
    from tinycompile.boards import all_boards, load_board

    options = read_options(texts)
    if pareto:
        if graph or len(names) > 1:
            raise UsageError(
                "--pareto plans for one board, and prints no graph", hint="give one --board, and leave out --graph"
            )
        _pareto(model, names, options, as_json=as_json)
        return
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


def _pareto(model: Path, names: tuple[str, ...], options: Options, *, as_json: bool) -> None:
    from tinycompile.api.trade_offs import BOARD, trade_offs
    from tinycompile.boards import all_boards

    progress = Terminal(quiet=as_json)
    try:
        found = trade_offs(model, options, board=names[0] if names else BOARD, progress=progress)
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(_trade_offs(found), indent=2))
        return
    held = "streamed" if options.goal.pushed else "resident"
    known = {found.board.name, *(board.name for board in all_boards())}
    table = Table(
        title=f"{model.name} on {found.board.name}, {held} input: what less SRAM costs (cycles are predictions)"
    )
    for column in ("arena", "without input", "cycles", "of layers'", "MACs", "stages", "fits"):
        table.add_column(column, justify="left" if column in ("stages", "fits") else "right")
    for point in found.points:
        needs, cycles, macs = point.needs, *found.relative(point)
        table.add_row(
            f"{needs.arena:,}", f"{needs.arena_without_input:,}", f"{needs.cycles:,}", f"{cycles:.3f}x",
            f"{macs:.3f}x", point.summary, _boards(point.boards, known),
        )  # fmt: skip
    console = Console()
    console.print(table)
    layers = found.layers
    console.print(f"layer by layer: {layers.arena:,} bytes, {layers.cycles:,} cycles", markup=False)


def _boards(names: Sequence[str], known: set[str]) -> str:
    """The shorter of two lists: which boards, or which not."""
    others = sorted(known.difference(names))
    if not names or not others:
        return f"all {len(known)} boards" if names else "none"
    return ", ".join(names) if len(names) <= len(others) else f"all but {', '.join(others)}"


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


def _trade_offs(found: TradeOffs) -> dict[str, Any]:
    layers = found.layers
    return {
        "board": found.board.name,
        "layer_by_layer": {"arena_bytes": layers.arena, "cycles": layers.cycles, "macs": layers.macs},
        "points": [_point(found, point) for point in found.points],
    }


def _point(found: TradeOffs, point: TradeOff) -> dict[str, Any]:
    needs, cycles, macs = point.needs, *found.relative(point)
    return {
        "arena_bytes": needs.arena,
        "arena_bytes_without_input": needs.arena_without_input,
        "arena_bound": point.program.bound,
        "input_ring_bytes": needs.ring,
        "cycles": needs.cycles,
        "cycles_relative": cycles,
        "macs": needs.macs,
        "macs_relative": macs,
        "milliseconds": needs.milliseconds(found.board),
        "stages": [
            {"kind": s.kind, "grid": list(s.grid), "ops": list(s.ops), "calls": s.calls, "pushed": s.pushed}
            for s in point.stages
        ],
        "boards": list(point.boards),
    }
