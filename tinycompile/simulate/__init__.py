"""Run any stage's value on real inputs, and compare: all stages must agree to the last bit."""

from tinycompile.simulate.arena import arena, slide
from tinycompile.simulate.compare import compare
from tinycompile.simulate.host import Host, PushedHost
from tinycompile.simulate.reference import reference

__all__ = ["Host", "PushedHost", "arena", "compare", "reference", "slide"]
