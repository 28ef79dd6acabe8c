"""The C of one model, ready to compile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sources:
    """File texts by relative path, and the names that later stages need to know.

    ``name`` is the C prefix, ``run`` the inference function, ``layers`` maps the C function of each layer to its op.
    Where the input is streamed, ``push`` is the function that takes in rows.
    """

    name: str
    files: Mapping[str, str]
    run: str
    layers: Mapping[str, str]
    push: str | None = None

    @property
    def entry(self) -> str:
        """What the firmware calls: one inference is one call of ``run``, or the calls of ``push`` for all rows."""
        return self.push or self.run

    @property
    def header(self) -> str:
        """File name of the public header."""
        return f"{self.name}.h"

    def write(self, folder: Path) -> None:
        """Write every file below ``folder``, which is made where missing."""
        for path, text in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")

    def __str__(self) -> str:
        return "\n".join(f"{path}: {len(text.splitlines())} lines" for path, text in self.files.items())
