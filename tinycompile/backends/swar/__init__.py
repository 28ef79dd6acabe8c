"""Kernels for cores without SIMD: one 32-bit multiply makes the products of two pixels (SIMD within a register)."""

from tinycompile.backends.kernel import Kernel

SWAR: tuple[Kernel, ...] = ()
