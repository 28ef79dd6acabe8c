"""The graph and what is true of every graph."""

from tinycompile.ir.graph import Graph, Port, verify
from tinycompile.ir.op import IO, Cut, Features, OnnxWriter, Op, Role, Rounding
from tinycompile.ir.tensor import Array, DType, Names, Quant, Shape, Tensor
from tinycompile.ir.window import Pad, Pair, Window, receptive_field, sliding_extent

__all__ = [
    "IO",
    "Array",
    "Cut",
    "DType",
    "Features",
    "Graph",
    "Names",
    "OnnxWriter",
    "Op",
    "Pad",
    "Pair",
    "Port",
    "Quant",
    "Role",
    "Rounding",
    "Shape",
    "Tensor",
    "Window",
    "receptive_field",
    "sliding_extent",
    "verify",
]
