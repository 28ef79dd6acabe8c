"""Kernels of little code: a function is in the image once for all layers, each of which is a constant struct.

Only ``--optimize size`` offers them: no board has the ability ``compact`` (``SHARED``), the schedule adds it.
"""

from tinycompile.backends.compact import elementwise, linear
from tinycompile.backends.compact.layers import SHARED
from tinycompile.backends.kernel import Kernel

__all__ = ["COMPACT", "SHARED"]

COMPACT: tuple[Kernel, ...] = (*linear.ROWS, *elementwise.ROWS)
