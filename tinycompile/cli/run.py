"""``tinycompile run``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from tinycompile.cli.options import data_options, json_option
from tinycompile.errors import UsageError


@click.command(short_help="Run a build on samples.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--on",
    "where",
    type=click.Choice(["host", "emulator"]),
    default="host",
    show_default=True,
    help="The host library, or the firmware in the emulator.",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most this many samples, evenly spaced.")
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE.npz", help="Write the outputs, one array per output."
)
@data_options
@json_option
def run(
    folder: Path, data: Path, where: str, limit: int | None, save: Path | None, as_json: bool, **texts: Any
) -> None:  # fmt: skip
    """Run the model built in FOLDER on the samples of DATA (.npz, .npy, an image or a folder of images)."""
    from tinycompile.api import run as run_model
    from tinycompile.cli.options import read_data_options

    answers = list(run_model(folder, data, where=where, limit=limit, **read_data_options(texts)))  # type: ignore[arg-type]
    if save is not None:
        _save(save, {n: np.stack([a.real[n] for a in answers]) for n in answers[0].real})
    if as_json:
        rows = [
            {"label": a.label, "outputs": {n: v.tolist() for n, v in a.real.items()},
             "instructions": a.cost.instructions if a.cost else None, "cycles": a.cost.cycles if a.cost else None}
            for a in answers
        ]  # fmt: skip
        click.echo(json.dumps(rows))
        return
    table = Table(title=f"{len(answers)} samples on the {where}")
    for column in ("sample", "class", *answers[0].real, *(("instructions", "cycles") if answers[0].cost else ())):
        table.add_column(column, overflow="fold")
    for i, one in enumerate(answers):
        cost = (f"{one.cost.instructions:,}", f"{one.cost.cycles:,}") if one.cost else ()
        table.add_row(str(i), "-" if one.label is None else str(one.label), *map(_short, one.real.values()), *cost)
    Console().print(table)


def _save(file: Path, outputs: dict[str, Any]) -> None:
    try:
        np.savez_compressed(file, **outputs)
    except OSError as error:
        raise UsageError(f"cannot write {str(file)!r}: {error.strerror}", hint="choose another --save") from error


def _short(values: np.ndarray[Any, Any]) -> str:
    """At most eight values."""
    flat = values.reshape(-1)
    text = " ".join(f"{v:.3g}" for v in flat[:8].tolist())
    return f"{text} ..." if flat.size > 8 else text
