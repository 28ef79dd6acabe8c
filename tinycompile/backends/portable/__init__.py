"""Portable C99 kernels: they run on every core and on the host."""

from tinycompile.backends.kernel import Kernel
from tinycompile.backends.portable import elementwise, linear, matrix, movement, pooling, softmax

PORTABLE: tuple[Kernel, ...] = (
    *linear.ROWS,
    *pooling.ROWS,
    *matrix.ROWS,
    *elementwise.ROWS,
    *softmax.ROWS,
    *movement.ROWS,
)
