"""The float meaning of a graph: onnxruntime runs its export, every tensor an output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from tinycompile.errors import InternalError
from tinycompile.ir import Array, DType, Graph, Names


class FloatModel:
    """Runs a float graph on one sample at a time, in the graph's layout."""

    def __init__(self, graph: Graph, wanted: Iterable[str]) -> None:
        """Open ``graph``; calls return the tensors ``wanted``. InternalError where onnxruntime refuses it."""
        import onnxruntime

        from tinycompile.frontends.onnx.export import to_model

        self.inputs: Names = graph.inputs
        produced = {op.output for op in graph.ops}
        self.given = {n for n in wanted if n not in produced}
        self.computed = [n for n in dict.fromkeys(wanted) if n in produced]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # One thread: a sum's order, and so its last bits, must not depend on the machine's cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = to_model(graph, all_tensors=True).SerializeToString()
        try:
            self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise InternalError(f"onnxruntime refuses the exported graph: {error}", where=graph.name) from error

    def __call__(self, sample: Mapping[str, Array]) -> dict[str, Array]:
        """The wanted tensors for one sample of every input."""
        feeds = {name: sample[name] for name in self.inputs}
        values = self.session.run(self.computed, feeds) if self.computed else []
        found = dict(zip(self.computed, values, strict=True))
        found.update((name, sample[name]) for name in self.given)
        return {name: np.asarray(value) for name, value in found.items()}


def as_float(graph: Graph) -> Graph:
    """``graph`` with float32 in place of every quantised tensor: constants as the values they mean."""
    return graph.with_tensors(
        *(
            t.like(dtype=DType.FLOAT32, quant=None, data=None if t.data is None else t.real.astype(np.float32))
            for t in graph.tensors.values()
            if t.quant is not None
        )
    )
