"""The command line: exit codes, one-screen errors, JSON, and no half-written folders."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tinycompile import errors
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


def test_a_folder_in_place_of_a_model_is_called_one(tmp_path: Path) -> None:
    result = invoke("build", tmp_path, "--board", "stm32f746", "-o", tmp_path / "out")
    assert result.exit_code == 2 and "is a folder" in " ".join(result.stderr.split())


def test_help_lists_every_exit_code() -> None:
    text = invoke("--help").stdout
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.TinycompileError)]
    assert len(kinds) > 8
    for code in {0, 130, 143, *(k.exit_code for k in kinds)}:
        assert f" {code}  " in text or f" {code} " in text or f"\n  {code} " in text, code
    assert "..." not in text.split("Commands:")[1].split("Exit codes:")[0]


def test_boards_fit_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = invoke("boards").stdout
    assert "\N{HORIZONTAL ELLIPSIS}" not in text and max(map(len, text.splitlines())) <= 80
    assert "mps3-an547" in text and "dsp fpu-dp mve" in text


def test_an_interrupt_exits_130_and_leaves_nothing(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tinycompile.codegen.render", stopped)
    result = invoke("build", example / "kws_dscnn.onnx", "--board", "stm32f746", "-o", tmp_path / "out")
    assert result.exit_code == 130 and "interrupted" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGTERM")
def test_a_terminated_build_takes_its_draft_with_it(example: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tinycompile", "build", str(example / "kws_dscnn.onnx"), "--board", "stm32f746"]
    job = subprocess.Popen([*command, "-o", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    job.terminate()
    _, stderr = job.communicate(timeout=60)
    assert job.returncode == 143 and "Traceback" not in stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_full_disk_is_named(elsewhere: bool, example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object, folder: Path) -> None:
        where = "/somewhere/object.o" if elsewhere else str(folder / "kws.c")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), where)

    monkeypatch.setattr("tinycompile.codegen.Sources.write", full)
    result = invoke("build", example / "kws_dscnn.onnx", "--board", "stm32f746", "-o", tmp_path / "out")
    assert result.exit_code == 2 and os.strerror(errno.ENOSPC) in result.stderr
    assert ("/somewhere" in result.stderr) is elsewhere
    assert list(tmp_path.iterdir()) == []


def test_the_parts_of_an_arena_are_listed(example: Path, tmp_path: Path) -> None:
    small = [part for text in ("dtcm=4K", "sram=8K", "sram_d2=8K") for part in ("--memory", text)]
    for memory, several in ((small, True), ([], False)):
        out = tmp_path / f"out{several}"
        result = invoke("build", example / "kws_dscnn.onnx", "--board", "stm32h743", "-o", out, "--no-emulate", *memory)
        assert result.exit_code == 0
        assert f"in dtcm {' ' * 4}" in result.stdout.replace("│", " ") and ("in sram " in result.stdout) is several


def test_what_lies_in_faster_memories_is_told(example: Path, tmp_path: Path) -> None:
    model = example / "kws_dscnn.onnx"
    result = invoke("build", model, "--board", "stm32f746", "-o", tmp_path / "out", "--weights-in-ram", "--no-emulate")
    assert result.exit_code == 0
    shown = " ".join(result.stdout.split())
    memory = json.loads((tmp_path / "out" / "report.json").read_text())["memory"]
    assert f"{memory['weights_ram_bytes']:,} bytes" in shown and memory["weights_ram_bytes"] > 20_000
    assert f"{memory['fast_code']['bytes']:,} of 16,384 bytes" in shown


def test_the_sram_budget_covers_stack_and_arena(example: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("build", example / "kws_dscnn.onnx", "--board", "stm32f746", "-o", out, "--sram", "14K",
                    "--no-emulate", "--json")  # fmt: skip
    memory = json.loads(result.stdout)["memory"]
    assert memory["sram_available"] == 14 * 1024 >= memory["sram_bytes"] > memory["arena_bytes"]
    both = invoke("build", example / "kws_dscnn.onnx", "--board", "stm32f746", "-o", out, "--sram", "14K",
                  "--memory", "sram=9K")  # fmt: skip
    assert both.exit_code == 2


@pytest.mark.parametrize(
    ("memory", "said"),
    [("flash=16K", ("constants alone", "peak at", "of constants")), ("flash=34K", ("too many", "stm32g0b1")),
     ("sram=5K", ("kws_dscnn does not fit", "peak at", "fewer channels", "stm32g0b1"))],
)  # fmt: skip
def test_a_model_that_is_too_large_names_boards_that_would_do(
    memory: str, said: tuple[str, ...], example: Path, tmp_path: Path
) -> None:
    model = example / "kws_dscnn.onnx"
    result = invoke("build", model, "--board", "stm32f746", "-o", tmp_path / "out", "--memory", memory)
    assert result.exit_code == 6 and list(tmp_path.iterdir()) == []
    assert all(text in " ".join(result.stderr.split()) for text in said), result.stderr


def test_boards_without_the_flash_are_not_proposed(example: Path, tmp_path: Path) -> None:
    """A model of 1.2 MB of constants: boards with 1 MB of flash would not do, whatever their SRAM."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 300_000])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    w = onnx.numpy_helper.from_array(np.random.default_rng(0).normal(size=(300_000, 4)).astype(np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y], [w])
    model = tmp_path / "wide.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), model)
    result = invoke("build", model, "--board", "stm32g0b1", "-o", tmp_path / "out")
    assert result.exit_code == 6
    proposed = result.stderr.partition("SRAM:")[2].partition("or a board")[2]
    assert "stm32h743" in proposed and "stm32f746" not in proposed


@pytest.fixture(scope="module")
def built(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "kws"
    assert (
        invoke("build", example / "kws_dscnn.onnx", "--board", "stm32f746", "-o", folder, "--no-emulate").exit_code == 0
    )
    return folder


@pytest.mark.parametrize("damage", ["missing library", "no library", "no list", "another version"])
def test_a_damaged_build_folder_exits_2(damage: str, built: Path, example: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kws"
    shutil.copytree(built, folder)
    library = folder / "libkws_dscnn.so"
    if damage == "missing library":
        library.unlink()
    elif damage == "no library":
        library.write_bytes(b"junk")
    else:
        (folder / "report.json").write_text("[]" if damage == "no list" else '{"schema_version": 99}')
    result = invoke("run", folder, example / "test.npz", "--limit", "1")
    assert result.exit_code == 2 and "build again" in " ".join(result.stderr.split())


def test_outputs_that_cannot_be_saved_exit_2(built: Path, example: Path, tmp_path: Path) -> None:
    result = invoke("run", built, example / "test.npz", "--limit", "1", "--save", tmp_path / "no" / "x.npz")
    assert result.exit_code == 2 and "cannot write" in result.stderr


@pytest.mark.parametrize("as_json", [False, True])
def test_a_bug_is_one_screen_and_exits_70(as_json: bool, example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr("tinycompile.frontends.load", broken)
    result = invoke("inspect", example / "kws_dscnn.onnx", *(["--json"] if as_json else []))
    assert result.exit_code == 70 and "nobody foresaw this" in result.stderr and "Traceback" not in result.stderr
    assert not as_json or json.loads(result.stdout)["exit_code"] == 70


def test_absurd_extents_end_at_once(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 4096, 4096]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:])
    model = tmp_path / "wide.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), model)
    start = time.monotonic()
    result = invoke("build", model, "--board", "stm32h743", "-o", tmp_path / "out")
    assert result.exit_code == 6 and "50,331,648" in result.stderr
    assert time.monotonic() - start < 10
