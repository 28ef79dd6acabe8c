"""Kernels for cores with the M-profile vector extension (Helium): 16 int8 lanes (Cortex-M55 and M85)."""

from tinycompile.backends.kernel import Kernel
from tinycompile.backends.mve import depthwise, elementwise, linear

MVE: tuple[Kernel, ...] = (*linear.ROWS, *depthwise.ROWS, *elementwise.ROWS)
