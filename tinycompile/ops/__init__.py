"""The operators, one file each, and everything that is known of them."""

from tinycompile.ir import Op
from tinycompile.ops.average_pool_2d import AveragePool2D
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.dense import Dense
from tinycompile.ops.max_pool_2d import MaxPool2D
from tinycompile.ops.unary import Unary

ALL_OPS: tuple[type[Op], ...] = (
    AveragePool2D,
    Conv2D,
    Dense,
    MaxPool2D,
    Unary,
)

__all__ = [
    "ALL_OPS",
    "AveragePool2D",
    "Conv2D",
    "Dense",
    "MaxPool2D",
    "Unary",
]
