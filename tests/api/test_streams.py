"""Shared models with the least SRAM: what it takes, and that every stage of the pipeline computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import corpus
from tests.equality import TAIL
from tests.equality import build as checked_library
from tinycompile.api import Options, build
from tinycompile.api.verify import verify_stages
from tinycompile.schedule import Goal
from tinycompile.simulate import Host, compare, reference

MOST = {
    "mlperf_ic_resnet8": 16_000,
    "mlperf_vww_mobilenetv1_025_96": 30_000,
    "mlperf_kws_dscnn": 6_500,
    "mlperf_sww_1dcnn": 5_000,
    "mlperf_ad_autoencoder": 768,
    "tinyengine_mcunet_vww": 26_000,
    "st_mobilenet_v2_035_128_flowers": 64_000,
}
"""Bytes that the arena may take, the resident input included."""
MODELS = [path for path in corpus("*.onnx") if path.stem in MOST]


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.corpus
@pytest.mark.parametrize("model", MODELS, ids=lambda p: p.stem)
def test_the_least_sram_takes_little_and_computes_the_same(model: Path, tmp_path: Path) -> None:
    options = Options(verify_samples=0, console="semihosting", goal=Goal(least="sram"))
    made = build(model, "stm32h743", tmp_path / "out", options)
    program, graph = made.compiled.program, made.compiled.graph
    assert program.arena_bytes <= MOST[model.stem]
    macs = sum(call.op.features(call.io(graph)).macs for call in program.unrolled())
    assert macs <= sum(op.features(graph.io(op)).macs for op in graph.ops)
    rng = np.random.default_rng(5)
    inputs = [
        {n: rng.integers(-128, 128, graph.tensors[n].shape).astype(np.int8) for n in graph.inputs} for _ in range(2)
    ]
    result = verify_stages(made.compiled, made.host, made.firmware, inputs, emulated=1)
    assert result.stages == ("reference", "arena", "host", "emulator")
    assert result.arena_touched is not None and result.arena_touched <= program.arena_bytes
    library, (run,) = checked_library([program], tmp_path)
    host = Host(library, graph, run=run, arena_bytes=program.arena_bytes + TAIL)
    compare(reference(graph, inputs[0]), host(inputs[0]), names=("reference", "checked host"))
