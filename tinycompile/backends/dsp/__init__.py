"""Kernels for cores with the DSP extension: two 16-bit products an instruction (Cortex-M4, M7, M33 and above)."""

from tinycompile.backends.dsp import dense, depthwise, depthwise_rows, elementwise, linear, winograd
from tinycompile.backends.kernel import Kernel

DSP: tuple[Kernel, ...] = (
    *winograd.ROWS,
    *linear.ROWS,
    *dense.ROWS,
    *depthwise.ROWS,
    *depthwise_rows.ROWS,
    *elementwise.ROWS,
)
