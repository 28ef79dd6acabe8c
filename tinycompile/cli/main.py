"""The group of commands, and how errors end."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, NoReturn

import click
from rich.console import Console

from tinycompile import __version__
from tinycompile.cli.boards import boards
from tinycompile.cli.build import build
from tinycompile.cli.evaluate import evaluate
from tinycompile.cli.inspect import inspect
from tinycompile.cli.run import run
from tinycompile.errors import InternalError, TinycompileError


class Commands(click.Group):
    """A click group that turns typed errors into one screen and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember the arguments, so that an error knows whether to be JSON."""
        ctx.meta["arguments"] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; TinycompileError becomes its text and its exit code."""
        try:
            return super().invoke(ctx)
        except TinycompileError as error:
            _fail(error, as_json="--json" in _arguments(ctx))
        except MemoryError:
            _fail(InternalError("out of memory", hint="use a smaller model or fewer samples"), as_json=False)


def _arguments(ctx: click.Context) -> list[str]:
    """What the command was given, before click took it apart."""
    return list(ctx.meta.get("arguments", ()))


def _fail(error: TinycompileError, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}))
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]{type(error).__name__}[/]: ", end="")
    console.print(str(error), markup=False)
    sys.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tinycompile")
@click.option("--log", is_flag=True, help="Print the library's log to stderr.")
def main(log: bool) -> None:
    """Compile trained neural networks into microcontroller firmware, exact to the last bit."""
    if log:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")


for command in (build, run, evaluate, inspect, boards):
    main.add_command(command)
