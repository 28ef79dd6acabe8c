"""tinycompile: trained networks in, microcontroller firmware out, exact to the last bit."""

__version__ = "0.1.0"
