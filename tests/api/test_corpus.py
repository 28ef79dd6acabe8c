"""Every shared model: builds, and reference, arena, host and emulator agree on its four reference inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import corpus
from tinycompile.api import Built, Options, build
from tinycompile.api.verify import Inputs, verify_stages
from tinycompile.data import load_samples
from tinycompile.ir import Graph

TRANSFORMERS = {"tiny_vit_fashion"}
"""Models of a kind that is out of scope so far."""
SHAPES = {"ppocr_textangle_cls": {"x": (1, 3, 48, 192)}}
"""Extents of dynamic inputs, as in the reference inputs."""
LARGER = {"sram": 16 << 20, "flash": 16 << 20}
MODELS = [p for pattern in ("*.onnx", "*.tflite") for p in corpus(pattern) if p.stem not in TRANSFORMERS]


def reference_inputs(model: Path, graph: Graph) -> list[Inputs]:
    """The four inputs of the model's .ref.npz as the compiled network takes them; noise for models without."""
    path = model.with_name(f"{model.stem.removesuffix('_int8')}.ref.npz")
    if model.suffix == ".onnx" and path.is_file():
        return list(load_samples(path, graph).encoded(graph))
    rng = np.random.default_rng(3)
    return [
        {n: rng.integers(-128, 128, graph.tensors[n].shape).astype(np.int8) for n in graph.inputs} for _ in range(4)
    ]


def built(model: Path, folder: Path) -> Built:
    """For the stm32h743, with a larger memory map where it does not fit."""
    options = Options(input_shapes=SHAPES.get(model.stem, {}), verify_samples=0, console="semihosting")
    try:
        return build(model, "stm32h743", folder / "out", options)
    except Exception as error:
        if type(error).__name__ != "DoesNotFit":
            raise
        larger = Options(input_shapes=options.input_shapes, verify_samples=0, console="semihosting", memory=LARGER)
        return build(model, "stm32h743", folder / "out", larger)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.corpus
@pytest.mark.parametrize("model", MODELS, ids=lambda p: p.name)
def test_all_stages_agree(model: Path, tmp_path: Path) -> None:
    made = built(model, tmp_path)
    inputs = reference_inputs(model, made.compiled.graph)
    assert len(inputs) == 4
    result = verify_stages(made.compiled, made.host, made.firmware, inputs, emulated=4)
    assert result.stages == ("reference", "arena", "host", "emulator")
    assert result.arena_touched is not None and result.arena_touched <= made.compiled.program.arena_bytes
