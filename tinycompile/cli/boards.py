"""``tinycompile boards``."""

from __future__ import annotations

import json

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tinycompile.boards import Board, all_boards
from tinycompile.cli.options import json_option


@click.command()
@json_option
def boards(as_json: bool) -> None:
    """List the boards that tinycompile knows."""
    found = all_boards()
    if as_json:
        click.echo(json.dumps([_facts(board) for board in found], indent=2))
        return
    table = Table(title=f"{len(found)} boards; your own: --board path/to/board.toml", box=SIMPLE_HEAD)
    for column in ("board", "core", "features", "MHz", "flash", "SRAM", "runs in"):
        table.add_column(column, justify="right" if column in ("MHz", "flash", "SRAM") else "left", no_wrap=True)
    for board in found:
        table.add_row(
            board.name, _short_core(board), " ".join(sorted(board.features)) or "-",
            f"{board.clock_hz / 1e6:g}",
            f"{board.flash.size // 1024} K", f"{sum(region.size for region in board.banks) // 1024} K",
            _simulators(board),
        )  # fmt: skip
    Console().print(table)


def _short_core(board: Board) -> str:
    """M0+ for cortex-m0plus."""
    return board.core.removeprefix("cortex-").replace("plus", "+").upper()


def _simulators(board: Board) -> str:
    names = [name for name, there in (("emulator", board.emulator), ("QEMU", board.qemu)) if there]
    return ", ".join(names) or "-"


def _facts(board: Board) -> dict[str, object]:
    return {
        "name": board.name,
        "aliases": list(board.aliases),
        "core": board.core,
        "features": sorted(board.features),
        "clock_hz": board.clock_hz,
        "arena": list(board.arena),
        "memory": [{"name": r.name, "origin": r.origin, "size": r.size} for r in board.memory],
        "emulator": board.emulator,
        "qemu": board.qemu,
    }
