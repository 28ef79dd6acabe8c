"""A float32 graph to an int8 graph: ranges from samples, the least harmful of several proposals."""

from tinycompile.quantize.quantizer import quantize
from tinycompile.quantize.recipe import METHODS, Method, Recipe
from tinycompile.quantize.report import OpError, Quantized, Report, TensorRange

__all__ = ["METHODS", "Method", "OpError", "Quantized", "Recipe", "Report", "TensorRange", "quantize"]
