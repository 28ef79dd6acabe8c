"""The command line: exit codes, one-screen errors, JSON, and no half-written folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tinycompile.cli import main


def invoke(*arguments: str | Path) -> Result:
    """Run the command line; anything but a clean exit is an error of the test."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_boards_lists_all_as_json() -> None:
    boards = json.loads(invoke("boards", "--json").stdout)
    names = {b["name"] for b in boards}
    assert {"stm32f746", "stm32f412", "stm32l4r5", "stm32h743", "stm32u575", "stm32g0b1"} <= names
    assert {"mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"} <= names


def test_inspect_prints_needs(example: Path) -> None:
    result = invoke("inspect", example / "kws_dscnn.onnx", "--board", "stm32g0b1", "--json")
    facts = json.loads(result.stdout)
    assert facts["macs"] == 2_656_768
    (need,) = facts["boards"]
    assert need["fits"] and 8_000 <= need["arena_bytes"] <= 40_000


BAD = {
    "empty.onnx": b"",
    "text.onnx": b"this is no model\n" * 20,
    "short.tflite": b"\x1c\x00\x00\x00TFL3",
    "zeros.onnx": bytes(4096),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_file_that_is_no_model_exits_3(name: str, tmp_path: Path) -> None:
    model = tmp_path / name
    model.write_bytes(BAD[name])
    result = invoke("build", model, "--board", "stm32f746", "--output", tmp_path / "out")
    assert result.exit_code == 3, result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.splitlines()) < 25
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_truncated_model_exits_3(example: Path, tmp_path: Path) -> None:
    model = tmp_path / "cut.onnx"
    model.write_bytes((example / "kws_dscnn.onnx").read_bytes()[:50_000])
    assert invoke("build", model, "--board", "stm32f746", "-o", tmp_path / "out").exit_code == 3


def test_missing_file_exits_2(tmp_path: Path) -> None:
    assert invoke("build", tmp_path / "no.onnx", "--board", "stm32f746", "-o", tmp_path / "out").exit_code == 2


def test_unknown_board_exits_7(example: Path, tmp_path: Path) -> None:
    result = invoke("build", example / "kws_dscnn.onnx", "--board", "stm32f764", "-o", tmp_path / "out")
    assert result.exit_code == 7
    assert "stm32f746" in result.stderr


def test_output_that_is_a_file_exits_2(example: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("mine")
    assert invoke("build", example / "kws_dscnn.onnx", "--board", "stm32f746", "-o", target).exit_code == 2
    assert target.read_text() == "mine"


@pytest.mark.parametrize("option", [("--memory", "sram=lots"), ("--input-shape", "x=3"), ("--sram", "many"),
                                    ("--preprocess", "nonsense=1")])  # fmt: skip
def test_options_without_meaning_exit_2(option: tuple[str, str], example: Path, tmp_path: Path) -> None:
    result = invoke("build", example / "kws_dscnn.onnx", "--board", "stm32f746", "-o", tmp_path / "out", *option)
    assert result.exit_code in (2, 7)
    assert option[1].partition("=")[0] in result.stderr


def test_errors_as_json(tmp_path: Path) -> None:
    model = tmp_path / "bad.onnx"
    model.write_bytes(b"no")
    result = invoke("build", model, "--board", "stm32f746", "-o", tmp_path / "out", "--json")
    assert json.loads(result.stdout)["error"] == "ImportFailed"


def test_run_in_a_folder_that_is_no_build_exits_2(tmp_path: Path, example: Path) -> None:
    assert invoke("run", tmp_path, example / "test.npz").exit_code == 2
