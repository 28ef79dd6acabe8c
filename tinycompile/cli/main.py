"""The group of commands, and how errors end."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
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

EXIT_CODES = """\b
Exit codes:
  0  all is well                 6  the model does not fit the board
  1  any other error             7  unknown board, or a mistake in its file
  2  wrong usage, files, data    8  a compiler or emulator is missing or fails
  3  the model cannot be read    9  the emulated firmware faults
  4  unsupported operators      10  stages disagree
  5  quantisation fails         70  a bug in tinycompile
130 interrupted, 143 terminated; nothing half-written is left."""


class Commands(click.Group):
    """A click group that turns typed errors into one screen and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember the arguments, so that an error knows whether to be JSON."""
        ctx.meta["arguments"] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; TinycompileError becomes its text and its exit code."""
        try:
            with _terminated_in_order():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(130)
        except TinycompileError as error:
            _fail(error, as_json="--json" in _arguments(ctx))
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except MemoryError:
            _fail(InternalError("out of memory", hint="use a smaller model or fewer samples"), as_json=False)
        except Exception as error:  # whatever nobody foresaw: one screen and an exit code all the same
            logging.getLogger("tinycompile").info("unexpected error", exc_info=True)
            bug = InternalError(f"{type(error).__name__}: {error}", hint="report this bug with what --log prints")
            _fail(bug, as_json="--json" in _arguments(ctx))


@contextmanager
def _terminated_in_order() -> Iterator[None]:
    """SIGTERM ends the command as an exception would, so that drafts and temporary folders go with it."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _arguments(ctx: click.Context) -> list[str]:
    """What the command was given, before click took it apart."""
    return list(ctx.meta.get("arguments", ()))


def _fail(error: TinycompileError, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}))
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]{type(error).__name__}[/]: ", end="")
    console.print(str(error), markup=False, soft_wrap=True)
    sys.exit(error.exit_code)


@click.group(
    cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="tinycompile")
@click.option("--log", is_flag=True, help="Print the library's log to stderr.")
def main(log: bool) -> None:
    """Compile trained neural networks into microcontroller firmware, exact to the last bit."""
    if log:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")


for command in (build, run, evaluate, inspect, boards):
    main.add_command(command)
