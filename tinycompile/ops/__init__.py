"""The operators, one file each, with everything that is known of them."""

from tinycompile.ir import Op
from tinycompile.ops.add import Add
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.average_pool_2d import AveragePool2D
from tinycompile.ops.concat import Concat
from tinycompile.ops.conv_2d import Conv2D
from tinycompile.ops.conv_transpose_2d import ConvTranspose2D
from tinycompile.ops.dense import Dense
from tinycompile.ops.depth_to_space import DepthToSpace
from tinycompile.ops.gather import Gather
from tinycompile.ops.image_dense import ImageDense
from tinycompile.ops.instance_norm import InstanceNorm
from tinycompile.ops.mat_mul import MatMul
from tinycompile.ops.max_pool_2d import MaxPool2D
from tinycompile.ops.min_max import Max, Min
from tinycompile.ops.mul import Mul
from tinycompile.ops.pad import PadOp
from tinycompile.ops.prelu import PRelu
from tinycompile.ops.reduce import Reduce
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_2d import Resize2D
from tinycompile.ops.slice import Slice
from tinycompile.ops.softmax import LogSoftmax, Softmax
from tinycompile.ops.space_to_depth import SpaceToDepth
from tinycompile.ops.sub import Sub
from tinycompile.ops.transpose import Transpose
from tinycompile.ops.unary import Unary

ALL_OPS: tuple[type[Op], ...] = (
    Add, ArgMax, AveragePool2D, Concat, Conv2D, ConvTranspose2D, Dense, DepthToSpace, Gather, ImageDense,
    InstanceNorm, LogSoftmax, MatMul, Max, MaxPool2D, Min, Mul, PRelu, PadOp, Reduce, Reshape, Resize2D, Slice,
    Softmax, SpaceToDepth, Sub, Transpose, Unary,
)  # fmt: skip

__all__ = [
    "ALL_OPS", "Add", "ArgMax", "AveragePool2D", "Concat", "Conv2D", "ConvTranspose2D", "Dense", "DepthToSpace",
    "Gather", "ImageDense", "InstanceNorm", "LogSoftmax", "MatMul", "Max", "MaxPool2D", "Min", "Mul", "PRelu", "PadOp",
    "Reduce", "Reshape", "Resize2D", "Slice", "Softmax", "SpaceToDepth", "Sub", "Transpose", "Unary",
]  # fmt: skip
