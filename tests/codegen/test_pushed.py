"""The C of a streamed input: without a warning in any language, and the README's lines do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.codegen.program import assert_equal, assert_no_warning
from tests.codegen.test_language import LANGUAGES, WARNINGS, need, sanitized
from tests.conftest import EXAMPLE
from tests.schedule import toys
from tests.schedule.networks import mobile
from tinycompile.api import compile_graph, import_model
from tinycompile.boards import load_board
from tinycompile.codegen import render
from tinycompile.schedule import Goal, Program, schedule
from tinycompile.simulate import reference

README = Path(__file__).resolve().parents[2] / "README.md"
SURROUNDINGS = """#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
static void next_features(void *row, size_t bytes);
static void decide(const int8_t *scores);
%s
static void next_features(void *row, size_t bytes) {
    if (fread(row, 1, bytes, stdin) != bytes) {
        exit(0);
    }
}

static void decide(const int8_t *scores) {
    fwrite(scores, 1, KWS_DSCNN_OUTPUT_BYTES, stdout);
}

int main(void) {
    listen();
    return 1;
}
"""


@pytest.fixture(scope="module")
def program() -> Program:
    """A small MobileNet whose input is streamed."""
    _, graph = mobile()
    return schedule(graph, toys.board(1 << 20), Goal(pushed=True))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_compiles_without_a_warning(language: str, program: Program, tmp_path: Path) -> None:
    command = LANGUAGES[language]
    if command[0] != sys.executable:
        need(command[0])
    assert_no_warning(program, [*command, *WARNINGS], tmp_path)


def test_sanitizers_find_nothing(program: Program, tmp_path: Path) -> None:
    inputs = toys.noise(program.graph)
    assert_equal(sanitized([program], tmp_path), [(program, inputs)])


def test_the_lines_of_the_readme_run(tmp_path: Path) -> None:
    need("gcc")
    (lines,) = (b for b in re.findall(r"```c\n(.*?)```", README.read_text(), re.DOTALL) if "push_rows" in b)
    compiled = compile_graph(
        import_model(EXAMPLE / "kws_dscnn.onnx"), load_board("stm32h743"), goal=Goal(pushed=True), name="kws_dscnn"
    )
    compiled.sources.write(tmp_path)
    (tmp_path / "main.c").write_text(SURROUNDINGS % lines)
    files = [str(tmp_path / name) for name in ("main.c", "kws_dscnn.c", "kws_dscnn_weights.c")]
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    subprocess.run(["gcc", *flags, "-o", str(tmp_path / "main"), *files], check=True)
    rng = np.random.default_rng(3)
    (name,) = compiled.graph.inputs
    inputs = [rng.integers(-128, 128, compiled.graph.tensors[name].shape).astype(np.int8) for _ in range(3)]
    given = b"".join(x.tobytes() for x in inputs)
    done = subprocess.run([str(tmp_path / "main")], input=given, capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()[-2000:]
    wanted = [next(iter(reference(compiled.graph, {name: x}).values())) for x in inputs]
    assert done.stdout == b"".join(y.tobytes() for y in wanted)


def test_the_header_says_how_rows_are_pushed(program: Program) -> None:
    header = render(program, name="net").files["net.h"]
    assert "#define NET_INPUT_ROWS 32\n" in header and "#define NET_INPUT_ROW_BYTES 96\n" in header
    assert "NET_INPUT_OFFSET" not in header and "#define NET_INPUT_SCALE" in header
    for function in ("net_start(", "net_next_row(", "net_push_rows(", "net_run("):
        assert function in header


def test_a_resident_input_has_none_of_it() -> None:
    _, graph = mobile()
    files = render(schedule(graph, toys.board(1 << 20)), name="net").files
    assert "push" not in files["net.h"] + files["net.c"] and "NET_INPUT_OFFSET" in files["net.h"]


def test_code_does_not_grow_with_the_rows() -> None:
    lines = []
    for size in (32, 64, 128):
        _, graph = mobile(size)
        text = render(schedule(graph, toys.board(1 << 20), Goal(pushed=True)), name="network").files["network.c"]
        lines.append(text.count(";") - text.count("};"))
    assert max(lines) < 1.2 * min(lines)  # kernels differ with the size, which is four and sixteen times as large
