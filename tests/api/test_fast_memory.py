"""Whole builds whose layers run from a memory for code, or whose weights are read from RAM."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tinycompile
from tests.api.test_fit import check_sram
from tinycompile.api import Built, Options
from tinycompile.api.estimate import constants, least_constants
from tinycompile.boards import load_board
from tinycompile.deploy.fast_code import copied
from tinycompile.deploy.image import read_image
from tinycompile.errors import DoesNotFit

GCC = pytest.param("gcc", marks=pytest.mark.gcc)
STAGES = ("reference", "arena", "host", "emulator")
QUICK = Options(verify_samples=0, console="semihosting", weights_in_ram=True)


def aligned_constants(made: Built) -> int:
    """Bytes of all constants, those of an op in whole words."""
    return sum(-(-size // 4) * 4 for size in constants(made.compiled.program).values())


def build(example: Path, folder: Path, options: Options, board: str) -> Built:
    return tinycompile.build(example / "kws_dscnn.onnx", board, folder / "out", options, force=True)


def check_code(made: Built) -> dict[str, Any]:
    """The report's list is what lies there in the image, and the layers in it say so."""
    fast: dict[str, Any] = made.report["memory"]["fast_code"]
    image, region = read_image(made.firmware.elf), made.firmware.board.region(fast["region"])
    assert set(fast["functions"]) <= copied(image) and fast["available"] == region.size
    assert all(image.symbol(name).address in region for name in fast["functions"])
    for layer in made.report["layers"]:
        assert layer["code_region"] == ("itcm" if layer["symbol"] in fast["functions"] else "flash")
        assert (image.symbol(layer["symbol"]).address in region) == (layer["code_region"] == "itcm")
    return fast


@pytest.mark.emulator
@pytest.mark.parametrize("toolchain", ["zig", GCC])
@pytest.mark.parametrize("board", ["stm32f746", "stm32h743"])
def test_both_at_once_give_the_same_bytes(example: Path, tmp_path: Path, board: str, toolchain: str) -> None:
    options = Options(calibration=example / "calibration.npz", toolchain=toolchain, weights_in_ram=True)
    made = build(example, tmp_path, options, board)
    memory = made.report["memory"]
    assert made.verification.stages == STAGES
    fast = check_code(made)
    layers = made.report["layers"]
    if board == "stm32h743":
        assert {layer["symbol"] for layer in layers} < set(fast["functions"])  # all of them, and the caller
    inside = sum(layer["cycles_estimated"] for layer in layers if layer["symbol"] in fast["functions"])
    assert inside > 0.9 * made.report["cycles"]["estimated"]
    assert memory["weights_region"] == "sram"
    assert memory["weights_ram_bytes"] == aligned_constants(made)
    assert memory["stack_used"] <= memory["stack_reserved"]
    assert sum(memory["flash_sections"].values()) == memory["flash_bytes"]
    verified = made.verification.emulation
    assert verified is not None and verified.region_stack_bytes is not None
    assert verified.region_stack_bytes <= memory["stack_bytes"]


@pytest.mark.emulator
@pytest.mark.parametrize("toolchain", ["zig", GCC])
def test_the_busiest_layers_come_first_where_not_all_fit(example: Path, tmp_path: Path, toolchain: str) -> None:
    options = Options(console="semihosting", toolchain=toolchain, memory={"itcm": 4096})
    made = build(example, tmp_path, options, "stm32f746")
    assert made.verification.stages == STAGES
    fast, layers = check_code(made), made.report["layers"]
    assert fast["bytes"] <= 4096
    density = {layer["symbol"]: layer["cycles_estimated"] / layer["flash_code"] for layer in layers}
    left = [layer for layer in layers if layer["code_region"] == "flash"]
    assert 0 < len(left) < len(layers)
    for layer in left:  # too large for the room that denser ones leave
        as_dense = [other for other in layers if density[other["symbol"]] >= density[layer["symbol"]]]
        assert sum(other["flash_code"] for other in as_dense) > 4096 - 256
    whole = build(example, tmp_path, replace(options, memory={}), "stm32f746").report["cycles"]["emulated"]
    assert abs(made.report["cycles"]["emulated"] - whole) < 0.001 * whole  # long calls, one or two a layer


@pytest.mark.qemu
def test_an_m55_runs_both_in_qemu(example: Path, tmp_path: Path) -> None:
    made = build(example, tmp_path, Options(weights_in_ram=True), "mps3-an547")
    assert made.verification.stages == ("reference", "arena", "host", "qemu")
    check_code(made)
    assert made.report["memory"]["weights_ram_bytes"] > 0


def test_nothing_but_the_image_changes(example: Path, tmp_path: Path) -> None:
    there = build(example, tmp_path / "ram", QUICK, "stm32l4r5")
    plain = build(example, tmp_path / "flash", replace(QUICK, weights_in_ram=False), "stm32l4r5")
    assert there.compiled.sources == plain.compiled.sources
    assert there.host.read_bytes() == plain.host.read_bytes()
    assert plain.report["memory"]["weights_region"] == "flash" and plain.report["memory"]["weights_ram_bytes"] == 0
    assert plain.report["memory"]["fast_code"] is None is there.report["memory"]["fast_code"]
    more = there.report["memory"]["sram_bytes"] - plain.report["memory"]["sram_bytes"]
    assert more == there.report["memory"]["weights_ram_bytes"] == aligned_constants(plain)


@pytest.mark.slow
@pytest.mark.parametrize("toolchain", ["zig", GCC])
def test_a_budget_holds_to_the_last_byte(example: Path, tmp_path: Path, toolchain: str) -> None:
    options = replace(QUICK, toolchain=toolchain)
    roomy = build(example, tmp_path, options, "stm32l4r5")
    full = check_sram(roomy, 1 << 20)["sram_bytes"]
    same = build(example, tmp_path, replace(options, sram=full), "stm32l4r5")
    assert check_sram(same, full)["sram_free"] == 0 and same.compiled.program == roomy.compiled.program
    less = build(example, tmp_path, replace(options, sram=full - 1), "stm32l4r5")
    assert check_sram(less, full - 1)["sram_bytes"] < full
    assert less.report["cycles"]["estimated"] >= same.report["cycles"]["estimated"]
    with pytest.raises(DoesNotFit) as caught:
        build(example, tmp_path, replace(options, sram=20_000), "stm32l4r5")
    parts = caught.value.parts
    least = least_constants(roomy.compiled.graph, load_board("stm32l4r5"))
    assert least <= parts["weights"] <= roomy.report["memory"]["weights_ram_bytes"]
    assert caught.value.available == 20_000
    assert sum(parts.values()) == caught.value.needed
    without = build(example, tmp_path, replace(options, weights_in_ram=False), "stm32l4r5").report["memory"]
    assert f"build without --weights-in-ram, which needs {without['sram_bytes']:,} bytes" in str(caught.value)
    leanest = build(example, tmp_path, replace(options, sram=caught.value.needed), "stm32l4r5")
    assert check_sram(leanest, caught.value.needed)["sram_bytes"] <= caught.value.needed


def test_a_board_without_room_is_told_what_it_has(example: Path, tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit) as caught:
        build(example, tmp_path, replace(QUICK, memory={"ccm": 8192, "sram": 16384}), "stm32f407")
    error = caught.value
    assert error.available == 8192 + 16384 < error.needed == sum(error.parts.values())
    assert "without --weights-in-ram" in str(error) and "stm32l4r5" in str(error)


def test_the_least_constants_are_a_lower_bound(example: Path, tmp_path: Path) -> None:
    made = build(example, tmp_path, QUICK, "stm32f746")
    least = least_constants(made.compiled.graph, load_board("stm32f746"))
    assert 0 < least <= sum(constants(made.compiled.program).values())


@pytest.mark.slow
@pytest.mark.parametrize(("sram", "large"), [(None, True), (150_000, False)])
def test_wide_weights_are_chosen_only_where_they_leave_room(
    shared: Path, tmp_path: Path, sram: int | None, large: bool
) -> None:
    """Kernels that store weights twice as wide or wider are faster, and in RAM they compete with the arena."""
    options = replace(QUICK, sram=sram)
    model = shared / "models" / "mlperf_ic_resnet8_qdq.onnx"
    made = tinycompile.build(model, "stm32l4r5", tmp_path / "out", options)
    memory = check_sram(made, sram or 640 << 10)
    least = least_constants(made.compiled.graph, made.compiled.board)
    assert (memory["weights_ram_bytes"] > 1.5 * least) == large
    assert memory["sram_free"] >= 0
