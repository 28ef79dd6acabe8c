"""Progress on a terminal."""

from __future__ import annotations

from rich.console import Console

from tinycompile.progress import Progress


class Terminal(Progress):
    """Shows the running stage as a spinner on stderr; with ``verbose``, a line with the seconds of each."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        super().__init__()
        self._verbose, self._console = verbose, Console(stderr=True, quiet=quiet, highlight=False)
        self._status = self._console.status("starting")
        if not verbose:
            self._status.start()

    def started(self, name: str) -> None:
        """Name the stage."""
        self._status.update(name)

    def finished(self, name: str, seconds: float) -> None:
        """A line with its time."""
        if self._verbose:
            self._console.print(f"  {name:<28}{seconds:7.2f} s", markup=False)

    def note(self, text: str) -> None:
        """A line in yellow."""
        self._console.print(text, style="yellow", markup=False)

    def close(self) -> None:
        """Take the spinner away."""
        self._status.stop()
