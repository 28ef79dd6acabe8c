"""Print a program as C."""

from tinycompile.codegen.render import render
from tinycompile.codegen.sources import Sources

__all__ = ["Sources", "render"]
