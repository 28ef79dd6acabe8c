"""Samples from files, in the layout that the graph takes."""

from tinycompile.data.layout import Layout
from tinycompile.data.preprocessing import Preprocessing, parse_preprocessing
from tinycompile.data.samples import Samples, load_samples, samples_from_arrays

__all__ = ["Layout", "Preprocessing", "Samples", "load_samples", "parse_preprocessing", "samples_from_arrays"]
