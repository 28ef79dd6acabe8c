"""The one place that knows where the data folders lie: inside the wheel, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Folder = Literal["boards", "codegen_templates", "runtime_c"]


def folder(name: Folder) -> Path:
    """The folder of board files, templates or C runtime sources, in a wheel or in a checkout."""
    package = Path(__file__).resolve().parent
    packed = package / "_data" / name
    return packed if packed.is_dir() else package.parent / name
