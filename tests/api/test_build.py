"""The main job on the shipped keyword spotter: build, run, eval, and what a build folder promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tinycompile.api import Built, Options
from tinycompile.errors import BoardError, DoesNotFit, UsageError
from tinycompile.resources import folder as resource_folder

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def built(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    output = tmp_path_factory.mktemp("built") / "kws"
    options = Options(calibration=example / "calibration.npz")
    return tinycompile.build(example / "kws_dscnn.onnx", "stm32f746", output, options)


def test_all_stages_agree(built: Built) -> None:
    assert built.verification.stages == ("reference", "arena", "host", "emulator")
    assert built.report["verification"]["agree"] is True


def test_planned_memory_is_what_the_firmware_touches(built: Built) -> None:
    memory = built.report["memory"]
    assert memory["arena_touched"] <= memory["arena_bytes"] == memory["arena_declared"]
    assert memory["stack_used"] <= memory["stack_reserved"]
    assert memory["sram_bytes"] <= memory["sram_available"]


def test_report_follows_its_schema(built: Built) -> None:
    from jsonschema import Draft202012Validator

    path = Path(tinycompile.__file__).parent / "report" / "schema.json"
    schema = json.loads(path.read_text())
    report = json.loads((built.folder / "report.json").read_text())
    assert [e.message for e in Draft202012Validator(schema).iter_errors(report)] == []


def test_folder_holds_the_contract(built: Built) -> None:
    names = {p.name for p in built.folder.iterdir()}
    promised = {"firmware.elf", "firmware.bin", "firmware.hex", "report.json", built.report["header"]}
    assert promised | {built.report["host_library"], "tc.h"} <= names


def test_host_accuracy_is_near_float(built: Built, example: Path) -> None:
    result = tinycompile.evaluate(built.folder, example / "test.npz", emulated=1)
    assert result["host"].accuracy > result["float"].accuracy - 0.02
    assert result["host"].agreement > 0.95
    assert result.cycles is not None and result.cycles > 1_000_000


def test_run_on_host_and_emulator_agree(built: Built, example: Path) -> None:
    host = next(tinycompile.run(built.folder, example / "test.npz", limit=1))
    chip = next(tinycompile.run(built.folder, example / "test.npz", where="emulator", limit=1))
    for name, values in host.stored.items():
        np.testing.assert_array_equal(values, chip.stored[name])
    assert chip.cost is not None and chip.cost.instructions > 1_000_000


def test_existing_folder_is_refused(built: Built, example: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        tinycompile.build(example / "kws_dscnn.onnx", "stm32f746", built.folder)


def test_unknown_board_names_near_ones(example: Path, tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="stm32f746"):
        tinycompile.build(example / "kws_dscnn.onnx", "stm32f764", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_too_small_a_board_says_by_how_much(example: Path, tmp_path: Path) -> None:
    options = Options(memory={"sram": 5 * 1024})
    with pytest.raises(DoesNotFit, match="too many") as caught:
        tinycompile.build(example / "kws_dscnn.onnx", "stm32f746", tmp_path / "out", options)
    assert caught.value.needed > caught.value.available
    assert list(tmp_path.iterdir()) == []


def test_checked_build_runs(example: Path, tmp_path: Path) -> None:
    options = Options(checked=True, emulate=False)
    made = tinycompile.build(example / "kws_dscnn.onnx", "stm32l4r5", tmp_path / "out", options)
    assert made.verification.stages == ("reference", "arena", "host")
    assert made.report["memory"]["arena_declared"] > made.report["memory"]["arena_bytes"]


def test_unmeasured_ranges_are_called_so(example: Path, tmp_path: Path) -> None:
    made = tinycompile.build(example / "kws_dscnn.onnx", "stm32g0b1", tmp_path / "out", Options(emulate=False))
    assert made.report["quantization"]["measured"] is False
    assert "NOT" in made.report["quantization"]["summary"]


def test_cycles_are_predicted_before_anything_is_built(built: Built) -> None:
    cycles = built.report["cycles"]
    assert cycles["estimated"] == pytest.approx(cycles["emulated"], rel=0.15)


def test_resources_are_found() -> None:
    assert (resource_folder("boards") / "stm32f746.toml").is_file()


@pytest.mark.gcc
def test_the_other_compiler_builds_the_same_thing(built: Built, example: Path, tmp_path: Path) -> None:
    options = Options(calibration=example / "calibration.npz", toolchain="gcc", console="semihosting")
    made = tinycompile.build(example / "kws_dscnn.onnx", "stm32f746", tmp_path / "out", options)
    assert made.verification.stages == ("reference", "arena", "host", "emulator")
    for one, other in zip(built.report["layers"], made.report["layers"], strict=True):
        assert one["symbol"].endswith(other["symbol"][len("kws_dscnn") :]) and other["flash_code"] > 0
        assert one["flash_constants"] == other["flash_constants"] and other["instructions"] > 0
