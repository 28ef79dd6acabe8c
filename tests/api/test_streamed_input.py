"""``--input streamed``: the main job on the shipped keyword spotter, and inputs that cannot be streamed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.schedule.networks import Network
from tests.schedule.toys import board
from tinycompile.api import Built, Options
from tinycompile.cli import main
from tinycompile.errors import UsageError
from tinycompile.ir import DType, Graph, Quant, Tensor, verify
from tinycompile.ops import Add, AveragePool2D, Dense, Transpose
from tinycompile.schedule import Goal, schedule

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def built(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    options = Options(calibration=example / "calibration.npz", goal=Goal(pushed=True))
    return tinycompile.build(
        example / "kws_dscnn.onnx", "stm32l4r5", tmp_path_factory.mktemp("streamed") / "kws", options
    )


@pytest.fixture(scope="module")
def resident(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    options = Options(calibration=example / "calibration.npz")
    return tinycompile.build(
        example / "kws_dscnn.onnx", "stm32l4r5", tmp_path_factory.mktemp("resident") / "kws", options
    )


def test_all_stages_agree_and_planned_is_touched(built: Built) -> None:
    assert built.verification.stages == ("reference", "arena", "host", "emulator")
    memory = built.report["memory"]
    assert memory["arena_touched"] <= memory["arena_bytes"] == memory["arena_declared"]


def test_the_report_tells_of_the_ring(built: Built, resident: Built) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((Path(tinycompile.__file__).parent / "report" / "schema.json").read_text())
    for one in (built, resident):
        assert [e.message for e in Draft202012Validator(schema).iter_errors(dict(one.report))] == []
    given = built.report["input"]
    assert given == {
        "mode": "streamed", "push_function": "kws_dscnn_push_rows", "rows": 49, "row_bytes": 10,
        "ring_rows": 10, "ring_bytes": 100, "hop_rows": None, "hop_macs": None, "hop_cycles_estimated": None,
    }  # fmt: skip
    assert built.report["inputs"][0]["offset"] is None and resident.report["inputs"][0]["offset"] is not None
    assert resident.report["input"]["mode"] == "resident" and resident.report["input"]["rows"] is None
    memory = built.report["memory"]
    assert memory["arena_bytes_without_input"] == memory["arena_bytes"]
    assert memory["keeps_input"] is False


def test_it_takes_as_long_as_the_resident_input(built: Built, resident: Built) -> None:
    for kind in ("emulated", "estimated"):
        assert built.report["cycles"][kind] == pytest.approx(resident.report["cycles"][kind], rel=0.05)
    layers = sum(layer["cycles_emulated"] for layer in built.report["layers"])
    assert layers == pytest.approx(built.report["cycles"]["emulated"], rel=0.02)


def test_a_folder_runs_on_host_and_emulator(built: Built, example: Path) -> None:
    host = next(tinycompile.run(built.folder, example / "test.npz", limit=1))
    chip = next(tinycompile.run(built.folder, example / "test.npz", where="emulator", limit=1))
    for name, values in host.stored.items():
        np.testing.assert_array_equal(values, chip.stored[name])
    assert chip.cost is not None and chip.cost.cycles == pytest.approx(built.report["cycles"]["emulated"], rel=0.01)
    result = tinycompile.evaluate(built.folder, example / "test.npz", emulated=1, limit=20)
    assert result["host"].agreement > 0.9


def test_the_command_line(example: Path, tmp_path: Path) -> None:
    model, out = str(example / "kws_dscnn.onnx"), str(tmp_path / "out")
    command = ["build", model, "--board", "stm32l4r5", "--no-emulate", "--input", "streamed", "--output", out]
    done = CliRunner().invoke(main, command, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "100 for 10 of 49 input rows of 10 bytes" in done.output
    done = CliRunner().invoke(main, ["inspect", model, "--board", "stm32l4r5", "--input", "streamed", "--json"])
    assert done.exit_code == 0, done.output
    (need,) = json.loads(done.output)["boards"]
    assert need["input_ring_bytes"] == 100 and need["arena_bytes_without_input"] == need["arena_bytes"]
    (need,) = json.loads(CliRunner().invoke(main, ["inspect", model, "--board", "stm32l4r5", "--json"]).output)[
        "boards"
    ]
    assert need["input_ring_bytes"] == 0 and need["arena_bytes_without_input"] <= need["arena_bytes"]


def two_inputs() -> Graph:
    shape, q = (1, 8, 8, 2), Quant.per_tensor(0.1)
    tensors = {name: Tensor(name, shape, DType.INT8, q) for name in ("left", "right", "sum")}
    return verify(Graph("pair", ("left", "right"), ("sum",), (Add("plus", ("left", "right"), "sum"),), tensors))


def no_image() -> Graph:
    net = Network((1, 64))
    x = net.add(Dense, "image", *net.constants((4, 64)))
    return verify(Graph("flat", ("image",), (x,), tuple(net.ops), net.tensors))


def read_whole() -> Graph:
    net = Network((1, 8, 8, 2))
    x = net.add(Transpose, "image", perm=(0, 2, 1, 3))
    return verify(Graph("whole", ("image",), (x,), tuple(net.ops), net.tensors))


def shown() -> Graph:
    net = Network((1, 8, 8, 2))
    x = net.conv("image", 4, 3)
    return verify(Graph("shown", ("image",), ("image", x), tuple(net.ops), net.tensors))


def never_together() -> Graph:
    net = Network((1, 8, 8, 2))
    one, two = net.conv("image", 4, 3), net.conv("image", 4, 3)
    return verify(Graph("apart", ("image",), (one, two), tuple(net.ops), net.tensors))


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (two_inputs(), "2 inputs (left, right)"),
        (no_image(), "'dense_0' (Dense) reads, 1x64, has no rows"),
        (read_whole(), "'transpose_0' (Transpose) does not read it row by row"),
        (shown(), "'image' is an output"),
        (never_together(), "'conv2d_0' (Conv2D), 'conv2d_1' (Conv2D)"),
    ],
    ids=lambda v: v.name if isinstance(v, Graph) else "",
)
def test_an_input_that_cannot_be_streamed_is_refused_with_the_op(graph: Graph, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        schedule(graph, board(1 << 20), Goal(pushed=True))
    assert "cannot be streamed" in str(caught.value) and why in str(caught.value)


def test_a_mean_of_the_input_is_streamed() -> None:
    net = Network((1, 8, 8, 2))
    graph = net.classify("image", 3)
    assert isinstance(graph.ops[0], AveragePool2D)
    assert schedule(graph, board(1 << 20), Goal(pushed=True)).position is not None
