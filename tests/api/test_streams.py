"""Shared models with the least SRAM: what it takes, and that every stage of the pipeline computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import corpus
from tests.equality import TAIL
from tests.equality import build as checked_library
from tinycompile.api import Built, Options, build
from tinycompile.api.verify import verify_stages
from tinycompile.schedule import Goal, schedule
from tinycompile.simulate import Host, compare, reference

RESIDENT = {
    "mlperf_ic_resnet8": 16_000,
    "mlperf_vww_mobilenetv1_025_96": 30_000,
    "mlperf_kws_dscnn": 6_500,
    "mlperf_sww_1dcnn": 5_000,
    "mlperf_ad_autoencoder": 768,
    "tinyengine_mcunet_vww": 26_000,
    "st_mobilenet_v2_035_128_flowers": 64_000,
}
"""Bytes that the arena may take, the resident input included."""
STREAMED = {
    "mlperf_vww_mobilenetv1_025_96": 16_000,
    "tinyengine_mcunet_vww": 16_000,
    "st_mobilenet_v2_035_128_flowers": 24_000,
}
"""The same where the rows of the input are pushed."""
THIRD = {"ultralight_face_slim320"}
"""Pushed, these take at most a third of what they take layer by layer."""
CASES = [
    pytest.param(path, pushed, id=f"{path.stem}-{'streamed' if pushed else 'resident'}")
    for path in corpus("*.onnx")
    for pushed in (False, True)
    if path.stem in ((STREAMED.keys() | THIRD) if pushed else RESIDENT)
]
pytestmark = [pytest.mark.slow, pytest.mark.emulator, pytest.mark.corpus]


def macs(made: Built) -> float:
    """Multiply-accumulates, those of the layers being 1."""
    program, graph = made.compiled.program, made.compiled.graph
    done = sum(call.op.features(call.io(graph)).macs for call in program.unrolled())
    return done / sum(op.features(graph.io(op)).macs for op in graph.ops)


def limit(made: Built, pushed: bool) -> int:
    """Bytes that the arena may take."""
    model, compiled = made.report["model"]["file"].removesuffix(".onnx"), made.compiled
    if model in THIRD:
        return schedule(compiled.graph, compiled.board, Goal(ram=1 << 30)).arena_bytes // 3
    return (STREAMED if pushed else RESIDENT)[model]


@pytest.mark.parametrize(("model", "pushed"), CASES)
def test_the_least_sram_takes_little_and_computes_the_same(model: Path, pushed: bool, tmp_path: Path) -> None:
    options = Options(verify_samples=0, console="semihosting", goal=Goal(least="sram", pushed=pushed))
    made = build(model, "stm32h743", tmp_path / "out", options)
    program, graph = made.compiled.program, made.compiled.graph
    assert program.arena_bytes <= limit(made, pushed)
    assert macs(made) <= 1
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


@pytest.mark.parametrize("pushed", [False, True], ids=["resident", "streamed"])
def test_a_large_network_runs_on_a_board_that_cannot_hold_its_layers(
    shared: Path, pushed: bool, tmp_path: Path
) -> None:
    model = shared / "models" / "mcunetv2_large_rescaled.onnx"
    options = Options(memory={"flash": 4 << 20}, goal=Goal(pushed=pushed), console="semihosting", verify_samples=1)
    made = build(model, "stm32f746", tmp_path / "out", options)
    memory = made.report["memory"]
    assert made.verification.stages == ("reference", "arena", "host", "emulator")
    assert 0 <= memory["arena_bytes"] - memory["arena_touched"] < 4  # what an alignment leaves
    assert memory["arena_bytes"] < memory["sram_bytes"] <= 320 << 10
    assert memory["stack_used"] <= memory["stack_reserved"]
    assert macs(made) <= 1.2
    assert made.report["seconds"]["schedule"] <= 120  # half of that where nothing else runs
