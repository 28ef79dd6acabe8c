"""Progress: the stages of a long call, told to whoever wants to know."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Collects the wall-clock seconds of each stage; subclasses also show them as they run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside; stages of the same name add up."""
        self.started(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + elapsed
            self.finished(name, elapsed)

    def started(self, name: str) -> None:
        """Called when a stage begins."""

    def finished(self, name: str, seconds: float) -> None:
        """Called when a stage ends."""

    def note(self, text: str) -> None:
        """Something a person should know, such as unmeasured ranges."""
