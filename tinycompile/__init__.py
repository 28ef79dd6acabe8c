"""tinycompile: trained networks in, microcontroller firmware out, exact to the last bit.

The functions of the command line are here too (``tinycompile.build``, ``run``, ``evaluate``, ``inspect``,
``trade_offs``, ``all_boards``); they load on first use, so that importing the package needs nothing but NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "build": "tinycompile.api",
    "compile_graph": "tinycompile.api",
    "evaluate": "tinycompile.api",
    "inspect": "tinycompile.api",
    "open_folder": "tinycompile.api",
    "run": "tinycompile.api",
    "trade_offs": "tinycompile.api",
    "Options": "tinycompile.api",
    "all_boards": "tinycompile.boards",
    "load_board": "tinycompile.boards",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'tinycompile' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
