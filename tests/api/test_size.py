"""``--optimize size``: all code of a firmware with an int8 CNN within 12 KiB, and the same results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import corpus
from tests.schedule.networks import mobile
from tinycompile.api import Options, build
from tinycompile.boards import load_board
from tinycompile.codegen import render
from tinycompile.deploy import ToolchainName, build_firmware
from tinycompile.schedule import Goal, schedule

CODE = 12 << 10
"""Bytes of code, in all: model, start-up, console, copies and divisions."""
BOARDS = ("stm32l4r5", "stm32f746", "stm32u575", "stm32g0b1")
MODELS = [
    path
    for pattern in ("mlperf_[!a]*.onnx", "mlperf_[!a]*.tflite", "*mcunet_vww*", "st_mobilenet*.onnx")
    for path in corpus(pattern)
    if path.suffix != ".npz"
]
LARGE = {"flash": 8 << 20, "sram": 1 << 20}
"""Models that are larger than some of the boards have code that is not."""


@pytest.mark.parametrize("board", ["stm32l4r5", "stm32g0b1"])
def test_layers_cost_little_code(board: str, tmp_path: Path) -> None:
    sizes = []
    for blocks in (1, 6):
        _, graph = mobile(blocks=blocks)
        program = schedule(graph, load_board(board), Goal("code"))
        sources = render(program, name="net")
        firmware = build_firmware(sources, load_board(board), tmp_path / str(blocks), optimize="-Os")
        sizes.append((firmware.sizes.text, len(sources.layers)))
    (few, fewer), (many, more) = sizes
    assert many <= CODE
    assert (many - few) / (more - fewer) < 48


@pytest.mark.slow
@pytest.mark.corpus
@pytest.mark.emulator
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("toolchain", ["zig", pytest.param("gcc", marks=pytest.mark.gcc)])
@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.name)
def test_code_of_a_cnn(model: Path, toolchain: ToolchainName, board: str, tmp_path: Path) -> None:
    options = Options(goal=Goal("code"), toolchain=toolchain, memory=LARGE, verify_samples=1)
    made = build(model, board, tmp_path / "out", options)
    assert made.report["memory"]["flash_sections"]["text"] == made.firmware.sizes.text <= CODE
    assert made.report["verification"]["stages"][-1] == "emulator"
