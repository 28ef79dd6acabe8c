"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from tinycompile.api.build import Options
from tinycompile.boards import parse_size
from tinycompile.data import parse_preprocessing
from tinycompile.errors import UsageError
from tinycompile.ir import Shape
from tinycompile.schedule import Goal, Least

F = TypeVar("F", bound=Callable[..., Any])

LEAST: Mapping[str, Least] = {"latency": "cycles", "ram": "sram", "size": "code"}
"""What ``--optimize`` asks a schedule for."""


def model_options(function: F) -> F:
    """Everything that says how a model is read, quantised and planned."""
    for option in reversed(
        (
            click.option("--input-shape", "input_shapes", multiple=True, metavar="NAME:1x3x48x192",
                         help="Extents of a dynamic input; repeatable."),
            click.option("--calibration", type=click.Path(path_type=Path), metavar="FILE",
                         help="Data (.npz, .npy or a folder of images) that activation ranges are measured on."),
            click.option("--preprocess", metavar="KEY=VALUE,...|FILE.toml",
                         help="Preprocessing of calibration data, e.g. scale=1/255,mean=0.5,std=0.5."),
            click.option("--layout", type=click.Choice(["NHWC", "NCHW"]), default=None,
                         help="Layout of the data where its shape does not tell."),
            click.option("--rounding", type=click.Choice(["native", "tflite"]), default=None,
                         help="Requantisation; default: tflite for .tflite files, native for everything else."),
            click.option("--memory", "memory", multiple=True, metavar="REGION=SIZE",
                         help="Another size of a memory region, e.g. flash=8M or sram=2M; repeatable."),
            click.option("--sram", metavar="SIZE",
                         help="What the firmware may take of all SRAM: arena, stack and variables; default: all."),
            click.option("--input", "input_mode", type=click.Choice(["resident", "streamed", "sliding"]),
                         default="resident", show_default=True,
                         help="Whether the whole input is held, its rows are pushed one by one as they arrive, or a "
                         "window slides over rows that are pushed without end."),
            click.option("--optimize", type=click.Choice(list(LEAST)), default="latency", show_default=True,
                         help="The fastest program that fits with its firmware, one that takes little SRAM even "
                         "where there is more, or one of little code."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def read_shapes(texts: tuple[str, ...]) -> Mapping[str, Shape]:
    """``name:1x3x48x192`` to extents by input name; UsageError for anything else."""
    shapes = {}
    for text in texts:
        match = re.fullmatch(r"(.+):(\d+(?:[x,]\d+)*)", text)
        if match is None:
            raise UsageError(f"--input-shape {text!r} is not NAME:DIMxDIM...", hint="for example x:1x3x48x192")
        shapes[match[1]] = tuple(int(d) for d in re.split("[x,]", match[2]))
    return shapes


def read_sizes(texts: tuple[str, ...]) -> Mapping[str, int]:
    """``flash=8M`` to bytes by region; UsageError for anything else."""
    sizes = {}
    for text in texts:
        region, _, size = text.partition("=")
        sizes[region] = read_size(size, f"--memory {text!r}")
    return sizes


def read_size(text: str, where: str) -> int:
    """``64K`` to bytes; UsageError names the option ``where``."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"{where}: {error}", hint="for example 320K, 2M or 65536") from None


def read_options(texts: Mapping[str, Any], **more: Any) -> Options:
    """``Options`` from the values of ``model_options`` and further fields; UsageError for texts that make no sense."""
    memory = read_sizes(texts["memory"])
    if texts["sram"] and "sram" in memory:
        raise UsageError("--sram and --memory sram=... name the same region", hint="give one of them")
    return Options(
        input_shapes=read_shapes(texts["input_shapes"]),
        calibration=texts["calibration"],
        preprocessing=parse_preprocessing(texts["preprocess"]) if texts["preprocess"] else None,
        layout=texts["layout"],
        rounding=texts["rounding"],
        memory=memory,
        sram=read_size(texts["sram"], "--sram") if texts["sram"] else None,
        goal=Goal(
            LEAST[texts["optimize"]],
            pushed=texts["input_mode"] == "streamed",
            sliding=texts["input_mode"] == "sliding",
        ),
        **more,
    )


def data_options(function: F) -> F:
    """How the samples of ``run`` and ``eval`` are read."""
    preprocess = click.option("--preprocess", metavar="KEY=VALUE,...|FILE.toml", help="Preprocessing of the samples.")
    layout = click.option("--layout", type=click.Choice(["NHWC", "NCHW"]), help="Layout, where shapes do not tell.")
    return preprocess(layout(function))


def read_data_options(texts: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ``data_options`` as arguments of the API."""
    text = texts["preprocess"]
    return {"preprocessing": parse_preprocessing(text) if text else None, "layout": texts["layout"]}
