"""What a build needs of the code generator's result: a name and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Sources(Protocol):
    """What codegen printed: a name, functions, and ``files``: relative path to text.

    ``run`` is the inference function; ``entry`` what the firmware calls: ``run``, or ``push`` where the rows of the
    input are pushed.
    """

    @property
    def name(self) -> str: ...
    @property
    def run(self) -> str: ...
    @property
    def entry(self) -> str: ...
    @property
    def push(self) -> str | None: ...
    @property
    def files(self) -> Mapping[str, str]: ...


def write_sources(sources: Sources, folder: Path) -> list[Path]:
    """Write the files into ``folder`` as they are named; the paths of those to compile, in order of name."""
    for name, text in sources.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in sorted(sources.files) if name.endswith(".c")]
