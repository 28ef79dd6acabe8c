"""Kernels for cores without SIMD: one 32-bit multiply makes two products (SIMD within a register)."""

from tinycompile.backends.kernel import Kernel
from tinycompile.backends.swar import dense, depthwise, linear

SWAR: tuple[Kernel, ...] = (*dense.ROWS, *depthwise.ROWS, *linear.ROWS)
