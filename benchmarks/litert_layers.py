"""Compares every layer of int8 TensorFlow Lite files with LiteRT's BUILTIN_REF resolver, bit for bit.

    python benchmarks/litert_layers.py [--inputs N] FILE...

Prints, as Markdown, the version of LiteRT and for each file how many layers and values were compared on N random
inputs and how many differ; exits with 1 where any does. ``compare_file`` is the same as a function.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tinycompile.frontends import tflite
from tinycompile.ir import Array, Graph
from tinycompile.simulate import reference


class LiteRt:
    """A file in the BUILTIN_REF resolver, with every tensor kept."""

    def __init__(self, content: bytes) -> None:
        self._run = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
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
        details = self._run.get_tensor_details()
        names = [d["name"] for d in details]
        found = {}
        for d in details:
            if d["name"] and names.count(d["name"]) == 1:
                try:
                    found[d["name"]] = np.array(self._run.get_tensor(d["index"]))
                except ValueError:
                    continue  # a tensor without data: what an unused operand leaves empty
        return found


@dataclass(frozen=True)
class Agreement:
    """How far a file's layers agree with LiteRT."""

    name: str
    layers: int
    """Ops of the graph whose output the file has a tensor for."""
    values: int
    """Values compared, over all inputs."""
    different: int
    first: str = ""
    """The first layer that differs."""


def compare_file(path: Path, inputs: int, seed: int = 0) -> Agreement:
    """Compare all layers on random inputs over the whole int8 range.

    Raises ImportFailed or UnsupportedOp where tinycompile, RuntimeError or ValueError where LiteRT refuses the file.
    """
    graph, litert = tflite.load(path), LiteRt(path.read_bytes())
    rng = np.random.default_rng(seed)
    layers: set[str] = set()
    values = different = 0
    first = ""
    for _ in range(inputs):
        x = {n: rng.integers(-128, 128, graph.tensors[n].shape).astype(np.int8) for n in graph.inputs}
        litert(*(_as_in_file(graph, name, value) for name, value in x.items()))
        theirs = litert.tensors()
        for name, ours in reference(graph, x, every=True).items():
            if name not in theirs or theirs[name].dtype != ours.dtype:
                continue
            wrong = int(np.count_nonzero(ours != theirs[name]))
            layers.add(name)
            values, different = values + ours.size, different + wrong
            first = first or (name if wrong else "")
    return Agreement(path.stem, len(layers), values, different, first)


def _as_in_file(graph: Graph, name: str, x: Array) -> Array:
    """The input as the file takes it: float32 files get the real values."""
    dtype = graph.port(name).dtype
    if dtype == "float32":
        return np.asarray(graph.tensors[name].q.decode(x))
    return (x.astype(np.int16) + 128).astype(np.uint8) if dtype == "uint8" else x


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=8, help="random inputs a file (default 8)")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    print(f"ai-edge-litert {version('ai-edge-litert')}, resolver BUILTIN_REF, {options.inputs} random inputs a file\n")
    print("| file | layers | values | different | first different layer |\n|---|---|---|---|---|")
    wrong = 0
    for path in options.files:
        try:
            row = compare_file(path, options.inputs)
        except (RuntimeError, ValueError) as problem:
            print(f"| {path.stem} | | | | LiteRT refuses the file: {str(problem)[:60]} |")
            continue
        wrong += row.different
        print(f"| {row.name} | {row.layers} | {row.values:,} | {row.different} | {row.first} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
