"""``tinycompile build``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinycompile.cli.options import json_option, model_options, read_options
from tinycompile.cli.progress import Terminal


@click.command(short_help="Compile a model into C, a host library and firmware.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", required=True, metavar="NAME|FILE.toml", help="The board to build for; see 'boards'.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Folder to make; default MODEL-BOARD."
)
@click.option("--force", is_flag=True, help="Replace the folder if it holds an earlier build.")
@click.option(
    "--console",
    type=click.Choice(["uart", "semihosting"]),
    default="uart",
    show_default=True,
    help="What the firmware talks through.",
)
@click.option(
    "--toolchain",
    type=click.Choice(["zig", "gcc"]),
    default="zig",
    show_default=True,
    help="clang of the ziglang package, or arm-none-eabi-gcc.",
)
@click.option("--name", metavar="NAME", help="Prefix of the C functions; default: the model's file name.")
@click.option(
    "--keep-input/--no-keep-input",
    default=None,
    help="Give the serial firmware a buffer for the input, so that one load serves many inferences; "
    "default: where the input is resident, and it fits.",
)
@click.option(
    "--weights-in-ram", is_flag=True, help="Copy the model's constants to RAM at start-up, and read them from there."
)
@click.option("--checked", is_flag=True, help="Canaries in the arena around every layer.")
@click.option("--no-emulate", is_flag=True, help="Do not run the firmware in the emulator.")
@click.option("--verbose", "-v", is_flag=True, help="Show the time of each stage.")
@model_options
@json_option
def build(
    model: Path, board: str, output: Path | None, force: bool, console: str, toolchain: str, name: str | None,
    keep_input: bool | None, weights_in_ram: bool, checked: bool, no_emulate: bool, verbose: bool, as_json: bool,
    **texts: Any,
) -> None:  # fmt: skip
    """Compile MODEL (.onnx or .tflite) into C, a host library and a firmware image."""
    from tinycompile.api import build as build_model

    options = read_options(
        texts, console=console, toolchain=toolchain, name=name, keep_input=keep_input,
        weights_in_ram=weights_in_ram, checked=checked, emulate=not no_emulate,
    )  # fmt: skip
    progress = Terminal(verbose=verbose, quiet=as_json)
    try:
        built = build_model(model, board, output, options, force=force, progress=progress)
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(built.report, indent=2))
    else:
        show(built.report, built.folder)


def show(report: Mapping[str, Any], folder: Path) -> None:
    """The summary of a build as a table, and what the reader must know about its ranges."""
    memory, board = report["memory"], report["board"]
    table = Table(title=f"{report['model']['file']} on {board['name']} ({board['core']})", show_header=False)
    sram = f"{memory['sram_bytes']:,} of {memory['sram_available']:,} bytes, {memory['sram_free']:,} free"
    arena = f"{memory['arena_bytes']:,} bytes ({_without_input(report)})"
    proof = "optimal" if memory["arena_optimal"] else f"lower bound {memory['arena_bound']:,}"
    cycles = report["cycles"]["emulated"] or report["cycles"]["estimated"]
    how = "emulated" if report["cycles"]["emulated"] else "predicted"
    table.add_row("fits", "[green]yes[/]")
    table.add_row("SRAM", sram)
    table.add_row("  arena", f"{arena}, {proof}")
    if [bank["region"] for bank in memory["banks"]] != ["sram"]:
        for bank in memory["banks"]:
            table.add_row(f"    in {bank['region']}", f"{bank['bytes']:,} of {bank['available']:,} bytes")
    stack = f"{memory['stack_reserved']:,} bytes, of which inference needs at most {memory['stack_bytes']:,}"
    table.add_row("  stack", stack)
    table.add_row("  variables", f"{memory['variables_bytes']:,} bytes")
    if memory["keeps_input"]:
        table.add_row("  copy of the input", f"{memory['input_copy_bytes']:,} bytes")
    if memory["weights_ram_bytes"]:
        table.add_row("  weights", f"{memory['weights_ram_bytes']:,} bytes")
    code = f"{memory['flash_sections']['text']:,} of them code"
    table.add_row("flash", f"{memory['flash_bytes']:,} of {memory['flash_available']:,} bytes, {code}")
    if memory["fast_code"]:
        fast = memory["fast_code"]
        what = f"{fast['bytes']:,} of {fast['available']:,} bytes: {len(fast['functions'])} functions run from there"
        table.add_row(fast["region"], what)
    table.add_row("multiply-accumulates", f"{report['macs']:,}{_per_hop(report['input'])}")
    model = report["model"]
    if model["dead_channels"]:
        dead = f"{model['dead_channels']:,} of {model['channels']:,} channels, which no output depends on"
        table.add_row("  left out", f"{model['dead_macs']:,}: {dead}")
    if report["instructions"]:
        table.add_row("instructions", f"{report['instructions']:,} (counted)")
    table.add_row("cycles", f"{cycles:,} ({how}, an estimate)")
    table.add_row("latency", f"{report['milliseconds']:.2f} ms at {board['clock_hz'] / 1e6:g} MHz")
    table.add_row("stages", _agreement(report["verification"]))
    table.add_row("ranges", _ranges(report["quantization"]))
    for name, ratio in (report["quantization"]["outputs"] or {}).items():
        table.add_row("int8 against float", _noise(name, ratio))
    table.add_row("folder", str(folder))
    Console().print(table)


def _without_input(report: Mapping[str, Any]) -> str:
    """What the input takes of the arena."""
    given = report["input"]
    if given["mode"] == "resident":
        return f"{report['memory']['arena_bytes_without_input']:,} without the input"
    held = f"{given['ring_bytes']:,} for {given['ring_rows']} of {given['rows']} input rows"
    return f"{held} of {given['row_bytes']:,} bytes"


def _per_hop(given: Mapping[str, Any]) -> str:
    """What a sliding window takes when it moves on."""
    if given["mode"] != "sliding":
        return ""
    rows = f"{given['hop_rows']} row{'s' if given['hop_rows'] > 1 else ''}"
    return f" in the first window, then {given['hop_macs']:,} for every {rows}"


def _agreement(verification: Mapping[str, Any]) -> str:
    stages, samples = " = ".join(verification["stages"]), verification["samples"]
    return f"[green]{stages}[/], to the last bit, on {samples} inputs" if stages else "not compared"


def _ranges(quantization: Mapping[str, Any]) -> str:
    summary = escape(quantization["summary"])
    return summary if quantization["measured"] else f"[yellow]{summary}[/]"


FAINT = 12.0
"""Decibels of signal over noise below which int8 has lost too much of the output to be trusted unseen."""


def _noise(name: str, ratio: float | None) -> str:
    """How well an output survives quantisation, on the inputs that ranges were measured on."""
    if ratio is None:
        return f"{escape(name)}: exact"
    text = f"{escape(name)}: {ratio:.1f} dB signal to noise"
    return text if ratio >= FAINT else f"[yellow]{text}: int8 loses much here; see the layers' snr_added_db[/]"
