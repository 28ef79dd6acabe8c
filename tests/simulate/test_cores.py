"""Random operators on every emulated core, as firmware: the specification equals what the core computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.equality import noise, up, variants
from tests.ops import every
from tests.ops.strategies import one_op
from tinycompile.boards import load_board
from tinycompile.deploy import build_firmware, find_toolchain
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor, verify
from tinycompile.ops import AveragePool2D
from tinycompile.schedule import Program
from tinycompile.simulate import reference
from tinycompile.simulate.batch import combine
from tinycompile.simulate.emulator import emulate
from tinycompile.simulate.emulator.qemu import emulate_in_qemu

CORES = {
    "stm32g0b1": "Cortex-M0+",
    "stm32l4r5": "Cortex-M4",
    "stm32f746": "Cortex-M7",
    "stm32u575": "Cortex-M33",
}
BATCH = 25


def run_batch(
    cases: list[Graph],
    board_name: str,
    folder: Path,
    toolchain: Literal["zig", "gcc"] = "zig",
    abilities: frozenset[str] | None = None,
) -> None:
    """The same of all cases in all their variants, as ``run_programs`` does it.

    ``abilities`` say which kernels take part, by default those of the board.
    """
    taking_part = abilities or load_board(board_name).abilities
    programs = [p for graph in cases for p in variants(verify(graph), taking_part)]
    run_programs(programs, board_name, folder, toolchain)


def run_programs(
    programs: list[Program], board_name: str, folder: Path, toolchain: Literal["zig", "gcc"] = "zig"
) -> None:
    """Build one image of all programs, run it, and compare every output byte."""
    board = load_board(board_name)
    inputs = [noise(p.graph, count=1)[0] for p in programs]
    batch = combine(programs, inputs)
    image = build_firmware(
        batch.sources, board, folder, console="semihosting", optimize="-O1", toolchain=find_toolchain(toolchain)
    )
    files = {"input.bin": batch.given}
    if board.emulator:
        run = emulate(image.elf, board, files=files)
    else:
        run = emulate_in_qemu(image.elf, board, files=files, count=False)
    assert run.exit_status == 0, run.console
    left, right = np.frombuffer(run.files["output.bin"], np.uint8), np.frombuffer(batch.expected, np.uint8)
    start = 0
    for program, values in zip(programs, inputs, strict=True):
        for name, array in reference(program.graph, values).items():
            stop = start + array.nbytes
            assert np.array_equal(left[start:stop], right[start:stop]), f"{board_name} {name}: {program}"
            start += up(array.nbytes)


def few_batches(
    graphs: st.SearchStrategy[Graph], count: int, run: Callable[[list[Graph]], None], examples: int = 2
) -> None:
    """Draw ``examples`` lists of ``count`` graphs and run each; nothing is shrunk, for every list is an image to build.

    ``run`` itself is the property: Hypothesis seeds by its source, so that each test draws its own graphs.
    """
    few = settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    few(given(st.lists(graphs, min_size=count, max_size=count))(run))()


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", CORES)
def test_operators_on_emulated_cores(board: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    few_batches(
        every.graphs(), BATCH, lambda cases: run_batch(cases, board, tmp_path_factory.mktemp("batch")), examples=4
    )


@pytest.mark.slow
@pytest.mark.qemu
def test_operators_on_a_cortex_m55(tmp_path_factory: pytest.TempPathFactory) -> None:
    few_batches(
        every.graphs(),
        BATCH,
        lambda cases: run_batch(cases, "mps3-an547", tmp_path_factory.mktemp("batch")),
        examples=4,
    )


@pytest.mark.qemu
def test_loops_that_clang_vectorises_wrongly(tmp_path: Path) -> None:
    quant = Quant.per_tensor(0.125)
    x = Tensor("x", (1, 3, 5, 4), DType.INT8, quant)
    pool = AveragePool2D("f", ("x",), "y", kernel=(1, 4), stride=(1, 2), pad=Pad(1, 1, 1, 0))
    run_batch([one_op(pool, [x], quant)], "mps3-an547", tmp_path)


@pytest.mark.slow
@pytest.mark.gcc
@pytest.mark.emulator
def test_operators_built_with_arm_gcc(tmp_path_factory: pytest.TempPathFactory) -> None:
    few_batches(
        every.graphs(),
        BATCH,
        lambda cases: run_batch(cases, "stm32f412", tmp_path_factory.mktemp("batch"), toolchain="gcc"),
    )
