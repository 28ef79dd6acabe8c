"""``--input sliding``: a wake word detector built, run on long sequences, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.schedule.networks import Network
from tests.schedule.test_sliding import Recurrent, wake_word
from tests.schedule.toys import board
from tinycompile.api import Built, Options
from tinycompile.api.session import run_firmware
from tinycompile.boards import load_board
from tinycompile.cli import main
from tinycompile.codegen import render
from tinycompile.deploy import build_firmware
from tinycompile.errors import DoesNotFit, UsageError
from tinycompile.frontends.onnx.export import save
from tinycompile.ir import Array, Graph, verify
from tinycompile.ops import Add, Mul, Reshape, Transpose
from tinycompile.schedule import Goal, schedule
from tinycompile.simulate import compare, reference


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector as a file."""
    path = tmp_path_factory.mktemp("sliding") / "wake.onnx"
    save(wake_word(), path)
    return path


@pytest.fixture(scope="module")
def built(model: Path) -> Built:
    return tinycompile.build(model, "stm32l4r5", model.parent / "out", Options(goal=Goal(sliding=True)))


@pytest.mark.emulator
def test_all_stages_agree_and_the_report_tells_of_a_hop(built: Built) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((Path(tinycompile.__file__).parent / "report" / "schema.json").read_text())
    assert [e.message for e in Draft202012Validator(schema).iter_errors(dict(built.report))] == []
    assert built.verification.stages == ("reference", "arena", "host", "emulator")
    memory, given = built.report["memory"], built.report["input"]
    assert memory["arena_touched"] <= memory["arena_bytes"] == memory["arena_bytes_without_input"]
    assert given["mode"] == "sliding" and given["rows"] == 30 and given["hop_rows"] == 1
    assert given["hop_macs"] == sum(layer["macs"] // layer["calls"] for layer in built.report["layers"])
    assert given["hop_macs"] < built.report["macs"] / 10


@pytest.mark.emulator
def test_the_command_line(model: Path, tmp_path: Path) -> None:
    command = ["build", str(model), "--board", "stm32l4r5", "--no-emulate", "--input", "sliding", "--output"]
    done = CliRunner().invoke(main, [*command, str(tmp_path / "out")], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "in the first window, then" in done.output and "for every 1 row " in done.output
    done = CliRunner().invoke(main, ["inspect", str(model), "--board", "stm32l4r5", "--input", "sliding", "--json"])
    assert done.exit_code == 0, done.output
    (need,) = json.loads(done.output)["boards"]
    assert 0 < need["hop_cycles"] < need["cycles"] / 10


def emulated(graph: Graph, rows: Array, folder: Path) -> tuple[dict[str, Array], int]:
    """What a firmware makes of the last window of some rows, and its cycles; it pushes all of them."""
    chip = load_board("stm32l4r5")
    program = schedule(graph, chip, Goal(sliding=True))
    sources = render(program, name="net")
    text, image = sources.files["tc_firmware_model.h"], graph.tensors["image"]
    for old, new in (
        (f"TC_MODEL_ROWS {image.shape[1]}\n", f"TC_MODEL_ROWS {len(rows)}\n"),
        (f", {image.nbytes}, ", f", {rows.size}, "),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    longer = replace(sources, files={**sources.files, "tc_firmware_model.h": text})
    firmware = build_firmware(longer, chip, folder, console="semihosting")
    ran = run_firmware(firmware.elf, chip, program, {"image": rows}, console="semihosting", run=sources.entry)
    assert ran.cost.cycles is not None
    return dict(ran.outputs), ran.cost.cycles


@pytest.mark.emulator
def test_the_chip_does_one_column_of_work_a_row(tmp_path: Path) -> None:
    graph = wake_word()
    shape = graph.tensors["image"].shape
    rows = np.random.default_rng(1).integers(-128, 128, (shape[1] + 40, shape[3]), np.int8)
    cycles = []
    for hops in (0, 1, 40):  # rings go round once in 39 hops
        (tmp_path / str(hops)).mkdir()
        found, spent = emulated(graph, rows[: shape[1] + hops], tmp_path / str(hops))
        cycles.append(spent)
        compare(reference(graph, {"image": rows[hops : shape[1] + hops].reshape(shape)}), found, names=("ref", "chip"))
    hop = cycles[1] - cycles[0]
    assert hop < cycles[0] / 10
    assert cycles[2] - cycles[0] == pytest.approx(40 * hop, rel=0.02)


def padded() -> Graph:
    net = Network((1, 12, 1, 2))
    return net.classify(net.conv("image", 3, 3), 3)


def scaled() -> Graph:
    net = Recurrent((1, 12, 1, 2))
    x = net.unpadded("image", "mean", (12, 1), (1, 1))
    y = net.add(Mul, "image", x)
    return net.classify(y, 3)


def two_paces() -> Graph:
    net = Recurrent((1, 12, 1, 2))
    slow = net.unpadded("image", "max", (2, 1), (2, 1))
    fast = net.unpadded("image", "max", (7, 1), (1, 1))
    return net.classify(net.add(Add, slow, fast), 3)


def flat() -> Graph:
    net = Recurrent((1, 12, 1, 2))
    x = net.unpadded("image", "max", (3, 1), (1, 1))
    x = net.add(Reshape, x, shape=(1, net.tensors[x].size))
    return verify(Graph("flat", ("image",), (x,), tuple(net.ops), net.tensors))


def turned() -> Graph:
    net = Recurrent((1, 12, 1, 2))
    x = net.unpadded("image", "max", (3, 1), (1, 1))
    x = net.add(Transpose, x, perm=(0, 2, 1, 3))
    return verify(Graph("turned", ("image",), (x,), tuple(net.ops), net.tensors))


def all_rows() -> Graph:
    net = Recurrent((1, 12, 1, 2))
    x = net.unpadded("image", "max", (3, 1), (1, 1))
    return verify(Graph("rows", ("image",), (x,), tuple(net.ops), net.tensors))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (padded, "'conv2d_0' (Conv2D) does not do the same for all its rows"),
        (scaled, "'mul_1' (Mul)"),
        (two_paces, "the inputs of 'add_2' (Add) move on by [1, 2] rows"),
        (flat, "'reshape_1' (Reshape) cannot be computed row by row"),
        (turned, "'transpose_1' (Transpose)"),
        (all_rows, "nothing has one row a window and alone is used later ('maxpool2d_0_out' is "),
    ],
)
def test_what_no_window_can_slide_over_is_refused_with_the_op(make: Callable[[], Graph], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        schedule(make(), board(1 << 20), Goal(sliding=True))
    assert why in str(caught.value) and "slide" in str(caught.value)


def test_what_does_not_fit_says_so() -> None:
    with pytest.raises(DoesNotFit):
        schedule(wake_word(), board(400), Goal(sliding=True, ram=100))
