"""Fixtures that many tests share.

Hypothesis draws the same cases every time, so that a run says something about the change and not about luck;
TINYCOMPILE_HYPOTHESIS=explore draws new ones.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("same-every-time", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("TINYCOMPILE_HYPOTHESIS", "same-every-time"))

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "keyword_spotting"


def shared_folder() -> Path | None:
    """The folder of shared models and data: TINYCOMPILE_SHARED, or ``shared`` beside the checkout."""
    named = os.environ.get("TINYCOMPILE_SHARED")
    for folder in [Path(named)] if named else [ROOT.parent / "shared"]:
        if (folder / "models").is_dir():
            return folder
    return None


def corpus(pattern: str) -> list[Path]:
    """Shared models that match ``pattern``, by name; empty where the folder is absent."""
    folder = shared_folder()
    return sorted((folder / "models").glob(pattern)) if folder else []


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared models and data; skips, saying so, where it is absent."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("the folder of shared models and data is absent (set TINYCOMPILE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def example() -> Path:
    """The folder of the keyword spotter that the repository ships."""
    return EXAMPLE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a tool that is not installed say so."""
    needs = {"qemu": "qemu-system-arm", "gcc": "arm-none-eabi-gcc"}
    for item in items:
        for marker, tool in needs.items():
            if item.get_closest_marker(marker) and shutil.which(tool) is None:
                item.add_marker(pytest.mark.skip(reason=f"{tool} is not installed"))
        if item.get_closest_marker("corpus") and shared_folder() is None:
            item.add_marker(pytest.mark.skip(reason="the folder of shared models is absent"))
