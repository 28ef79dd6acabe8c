"""The meaning of a quantised graph: its ops' NumPy specifications, one after the other, on fresh arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinycompile.errors import InternalError, UsageError
from tinycompile.ir import Array, Graph


def reference(graph: Graph, inputs: Mapping[str, Array], *, every: bool = False) -> dict[str, Array]:
    """The outputs of ``graph`` for ``inputs`` (arrays of the tensors' shapes and dtypes).

    ``every=True`` returns all tensors that ops write, not only the outputs.
    Raises UsageError where an input is missing or has another shape or dtype.
    """
    values: dict[str, Array] = {n: t.data for n, t in graph.tensors.items() if t.data is not None}
    values.update(checked_inputs(graph, inputs))
    for op in graph.ops:
        io = graph.io(op)
        result = op.run(io, *(values[n] for n in op.inputs))
        if result.shape != io.out.shape or result.dtype != np.dtype(io.out.dtype.value):
            raise InternalError(f"{op.name!r} made {result.dtype}{result.shape}, declared {io.out}")
        values[op.output] = result
    wanted = [op.output for op in graph.ops] if every else graph.outputs
    return {name: values[name] for name in wanted}


def checked_inputs(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The graph's inputs out of ``inputs``; UsageError where one is missing or has another shape or dtype."""
    found = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        if name not in inputs:
            raise UsageError(f"input {name!r} is missing", hint=f"give an array of {tensor}")
        array = np.asarray(inputs[name])
        if array.shape != tensor.shape or array.dtype != np.dtype(tensor.dtype.value):
            raise UsageError(f"input {name!r} is {array.dtype}{array.shape}", hint=f"give an array of {tensor}")
        found[name] = array
    return found
