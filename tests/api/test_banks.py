"""Whole builds whose arena lies in other memories than the main one, or in several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import tinycompile
from tinycompile.api import Options
from tinycompile.boards import load_board
from tinycompile.errors import DoesNotFit

pytestmark = pytest.mark.emulator
CHANNELS, SIDE = 4, 264


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two inputs that together exceed every memory of an stm32h743; pooled and added."""
    nodes = [
        helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("MaxPool", ["b"], ["q"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Add", ["p", "q"], ["y"]),
    ]
    shapes = {"a": SIDE, "b": SIDE, "y": SIDE // 2}
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, CHANNELS, side, side])
        for name, side in shapes.items()
    ]
    graph = helper.make_graph(nodes, "wide", ports[:2], ports[2:])
    file = tmp_path_factory.mktemp("wide") / "wide.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), file)
    return file


@pytest.mark.parametrize("toolchain", ["zig", pytest.param("gcc", marks=pytest.mark.gcc)])
def test_what_no_bank_holds_is_built_over_several(wide: Path, tmp_path: Path, toolchain: str) -> None:
    options = Options(console="semihosting", toolchain=toolchain, checked=toolchain == "gcc")
    made = tinycompile.build(wide, "stm32h743", tmp_path / "out", options)
    memory, board = made.report["memory"], load_board("stm32h743")
    assert made.verification.stages == ("reference", "arena", "host", "emulator")
    assert memory["arena_bytes"] >= 2 * CHANNELS * SIDE * SIDE > board.ram.size
    assert [bank["region"] for bank in memory["banks"]] == ["dtcm", "sram", "sram_d2"]
    assert [bank["start"] for bank in memory["banks"]] == [0, *np.cumsum([b["bytes"] for b in memory["banks"]])[:-1]]
    assert all(bank["bytes"] <= bank["declared"] <= bank["available"] for bank in memory["banks"])
    if not options.checked:
        assert all(bank["bytes"] - 16 < bank["touched"] <= bank["bytes"] for bank in memory["banks"])
    assert memory["arena_bytes"] < memory["sram_bytes"] <= memory["sram_available"] == (128 + 512 + 288) * 1024
    assert made.report["memory"]["flash_bytes"] < 16 * 1024


def test_one_memory_of_that_size_is_too_small(wide: Path, tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match=r"327,680 available"):
        tinycompile.build(wide, "stm32f746", tmp_path / "out")


@pytest.fixture(scope="module")
def split(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keyword spotter on an stm32h743 of which most memory is in use for something else."""
    output = tmp_path_factory.mktemp("split") / "kws"
    memory = {"dtcm": 4096, "sram": 8192, "sram_d2": 8192}
    options = Options(calibration=example / "calibration.npz", memory=memory)
    made = tinycompile.build(example / "kws_dscnn.onnx", "stm32h743", output, options)
    assert len(made.report["memory"]["banks"]) > 1
    return output


def test_a_build_folder_over_several_banks_runs_on_host_and_emulator(split: Path, example: Path) -> None:
    data = example / "test.npz"
    (host,) = tinycompile.run(split, data, limit=1)
    (board,) = tinycompile.run(split, data, limit=1, where="emulator")
    for name, values in host.stored.items():
        np.testing.assert_array_equal(values, board.stored[name])
        assert len(np.unique(values)) > 1


@pytest.mark.parametrize(("board", "region"), [("stm32f407", "ccm"), ("stm32h743", "dtcm"), ("stm32f746", "sram")])
def test_a_small_arena_lies_in_the_nearest_bank(example: Path, tmp_path: Path, board: str, region: str) -> None:
    options = Options(calibration=example / "calibration.npz")
    made = tinycompile.build(example / "kws_dscnn.onnx", board, tmp_path / "out", options)
    (bank,) = made.report["memory"]["banks"]
    assert bank["region"] == region and bank["bytes"] == made.report["memory"]["arena_bytes"]
    assert made.verification.stages == ("reference", "arena", "host", "emulator")
    header = (made.folder / made.report["header"]).read_text()
    assert ("/* in " in header) == (region != "sram")
