"""Runs TensorFlow Lite files in LiteRT's reference kernels, the judge of the front end's meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tinycompile.ir import Array

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")


class LiteRt:
    """One model in the BUILTIN_REF resolver, with every tensor kept."""

    def __init__(self, content: bytes) -> None:
        self._run = interpreter.Interpreter(
            model_content=content,
            experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        self._run.allocate_tensors()

    def __call__(self, *inputs: Array) -> list[Array]:
        """The outputs, in the file's order."""
        for details, x in zip(self._run.get_input_details(), inputs, strict=True):
            self._run.set_tensor(details["index"], x)
        self._run.invoke()
        return [self._run.get_tensor(d["index"]) for d in self._run.get_output_details()]

    def tensors(self) -> dict[str, Array]:
        """Every tensor of the last run by name, where one name stands for one tensor."""
        details: Sequence[dict[str, object]] = self._run.get_tensor_details()
        names = [d["name"] for d in details]
        found = {}
        for d in details:
            if d["name"] and names.count(d["name"]) == 1:
                try:
                    found[str(d["name"])] = np.array(self._run.get_tensor(d["index"]))
                except ValueError:
                    continue  # a tensor without data: one that an unused operand leaves empty
        return found
