"""tinycompile: trained networks in, microcontroller firmware out, exact to the last bit."""
