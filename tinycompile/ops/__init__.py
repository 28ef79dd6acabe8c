"""The operators, one file each, with everything that is known of them."""

from tinycompile.ir import Op
from tinycompile.ops.add import Add
from tinycompile.ops.min_max import Max, Min
from tinycompile.ops.mul import Mul
from tinycompile.ops.prelu import PRelu
from tinycompile.ops.sub import Sub
from tinycompile.ops.unary import Unary

ALL_OPS: tuple[type[Op], ...] = (Add, Max, Min, Mul, PRelu, Sub, Unary)

__all__ = ["ALL_OPS", *(op.__name__ for op in ALL_OPS)]
