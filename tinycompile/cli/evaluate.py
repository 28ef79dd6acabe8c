"""``tinycompile eval``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tinycompile.cli.options import data_options, json_option, read_data_options
from tinycompile.cli.progress import Terminal


@click.command("eval", short_help="Score a build on labelled data.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="The ONNX file of the float model; default: as built.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many samples, evenly spaced.")
@click.option(
    "--emulated",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Samples that also run in the emulator.",
)
@data_options
@json_option
def evaluate(
    folder: Path, data: Path, model: Path | None, limit: int | None, emulated: int, as_json: bool, **texts: Any
) -> None:  # fmt: skip
    """Score the model built in FOLDER on labelled DATA: float, int8 on the host, int8 in the emulator."""
    from tinycompile.api import evaluate as evaluate_model

    progress = Terminal(quiet=as_json)
    try:
        result = evaluate_model(
            folder, data, model=model, limit=limit, emulated=emulated, progress=progress, **read_data_options(texts)
        )
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2))
        return
    table = Table(title=str(data))
    for column in ("stage", "samples", "accuracy", "agrees with float", "SNR"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for score in result.scores:
        snr = "-" if score.snr_db is None else f"{score.snr_db:.1f} dB"
        table.add_row(score.stage, str(score.samples), _percent(score.accuracy), _percent(score.agreement), snr)
    Console().print(table)
    for note in result.notes:
        click.echo(note)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
