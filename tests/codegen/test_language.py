"""What generated C is held to: C99 and C++17 without a warning, sanitizers without a word, nothing but constants."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.codegen.program import assert_equal, write
from tests.conftest import EXAMPLE, corpus
from tests.equality import noise, variants
from tests.ops import every
from tinycompile.api import compile_graph, import_model
from tinycompile.boards import load_board
from tinycompile.codegen import render
from tinycompile.codegen.names import comment_text
from tinycompile.ir import DType, Graph, Quant, Tensor, verify
from tinycompile.ops import Unary
from tinycompile.schedule import Program

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
ZIG = [sys.executable, "-m", "ziglang"]
LANGUAGES = {
    "gcc, C99": ["gcc", "-std=c99"],
    "gcc, C++17": ["g++", "-x", "c++", "-std=c++17"],
    "clang, C99": [*ZIG, "cc", "-std=c99"],
    "clang, C++17": [*ZIG, "c++", "-x", "c++", "-std=c++17"],
}
KEYWORDS = EXAMPLE / "kws_dscnn.onnx"
FILES = ("har_sepconv1d_hmp.onnx", "skl2onnx_mlp_digits.onnx", "hls4ml_conv2d_small_mp_keras.onnx",
         "mlperf_kws_dscnn_qdq.onnx", "tflm_micro_speech_int8.tflite", "mlperf_ic_resnet8_int8.tflite")  # fmt: skip


def need(tool: str) -> None:
    """Skip, saying so, where this machine has no such compiler."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


def every_operator() -> list[Program]:
    """Programs of some graphs of every operator, whole, in place and in windows."""
    found: dict[str, list[Graph]] = {}

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), database=None,
              derandomize=True, phases=[Phase.generate])  # fmt: skip
    @given(every.graphs())
    def draw(graph: Graph) -> None:
        same = found.setdefault(type(graph.ops[0]).__name__, [])
        if len(same) < 3:
            same.append(graph)

    draw()
    return [program for graphs in found.values() for graph in graphs for program in variants(verify(graph))]


@pytest.fixture(scope="module")
def operators() -> list[Program]:
    return every_operator()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_operator_compiles_without_a_warning(language: str, operators: list[Program], tmp_path: Path) -> None:
    command = LANGUAGES[language]
    if command[0] != sys.executable:
        need(command[0])
    write(operators, tmp_path)
    result = subprocess.run(
        [*command, *WARNINGS, "-O1", "-c", "-o", str(tmp_path / "all.o"), str(tmp_path / "all.c")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-4000:]


def sanitized(programs: list[Program], folder: Path) -> Path:
    """``main.c`` of the programs, built with the address and undefined behaviour sanitizers."""
    need("gcc")
    write(programs, folder)
    program = folder / "main"
    flags = [
        "-std=gnu99",
        "-O1",
        "-g",
        "-ffp-contract=off",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ]
    subprocess.run(["gcc", *flags, "-o", str(program), str(folder / "main.c")], check=True)
    return program


def test_sanitizers_find_nothing_in_any_operator(operators: list[Program], tmp_path: Path) -> None:
    for extreme in (0, 1):
        cases = [(program, noise(program.graph)[extreme]) for program in operators]
        folder = tmp_path / str(extreme)
        folder.mkdir()
        assert_equal(sanitized([p for p, _ in cases], folder), cases)


def test_sanitizers_would_find_something(operators: list[Program], tmp_path: Path) -> None:
    """The test above can fail: an arena that is a byte too small is noticed."""
    program = sanitized(operators[:1], tmp_path)
    text = (tmp_path / "main.c").read_text()
    size = max(v.offset + program_bytes(operators[0], v.tensor) for v in operators[0].outputs)
    small = text.replace(f"buffer({operators[0].arena_bytes}, 0xA7)", f"buffer({size - 1}, 0xA7)")
    (tmp_path / "main.c").write_text(small)
    flags = ["-std=gnu99", "-g", "-fsanitize=address"]
    subprocess.run(["gcc", *flags, "-o", str(program), str(tmp_path / "main.c")], check=True)
    with pytest.raises(AssertionError, match="AddressSanitizer"):
        assert_equal(program, [(operators[0], noise(operators[0].graph)[0])])


def program_bytes(program: Program, tensor: str) -> int:
    return program.graph.tensors[tensor].nbytes


def models() -> list[object]:
    """The keyword spotter that the repository ships, and some shared models."""
    marks = (pytest.mark.slow, pytest.mark.corpus)
    shared = [pytest.param(p, id=p.name, marks=marks) for p in corpus("*") if p.name in FILES]
    return [pytest.param(KEYWORDS, id=KEYWORDS.name), *shared]


def compiled(model: Path) -> Program:
    return compile_graph(import_model(model), load_board("stm32h743")).program


@pytest.mark.parametrize("model", models())
def test_sanitizers_find_nothing_in_models(model: Path, tmp_path: Path) -> None:
    program = compiled(model)
    values = noise(program.graph, count=2)
    assert_equal(sanitized([program] * 2, tmp_path), [(program, x) for x in values])


@pytest.mark.parametrize("model", models())
def test_nothing_but_constants_and_no_heap(model: Path, tmp_path: Path) -> None:
    need("gcc")
    need("nm")
    program = compiled(model)
    sources = render(program, name="net")
    sources.write(tmp_path)
    objects = []
    for name in ("net.c", "net_weights.c"):
        objects.append(str(tmp_path / f"{name}.o"))
        subprocess.run(["gcc", "-std=c99", "-O2", "-c", "-o", objects[-1], str(tmp_path / name)], check=True)
    listing = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True).stdout
    symbols = {m[2]: m[1] for m in re.finditer(r"^\s*[0-9a-f]*\s+(\w) (\S+)$", listing, re.M)}
    variables = {name for name, kind in symbols.items() if kind in "dDbBcC"}
    defined = {m[2] for m in re.finditer(r"^[0-9a-f]+\s+(\w) (\S+)$", listing, re.M)}
    assert symbols["net_run"] == "T" and not variables
    assert {n for n, k in symbols.items() if k == "U"} - defined <= {"memcpy", "memset", "memmove"}
    assert [n for n, k in symbols.items() if k == "T"] == ["net_run"]


def test_header_documents_its_ports(tmp_path: Path) -> None:
    program = compiled(KEYWORDS)
    header = render(program, name="net").files["net.h"]
    for kind, view in (("INPUT", program.inputs[0]), ("OUTPUT", program.outputs[0])):
        tensor, port = program.graph.tensors[view.tensor], program.graph.port(view.tensor)
        assert f"int8, shape {' x '.join(map(str, tensor.shape))}, layout {port.layout}" in header
        scale = re.search(rf"#define NET_{kind}_SCALE (\S+)f", header)
        assert scale is not None and np.float32(scale[1]) == np.float32(tensor.q.scalar)
        assert f"#define NET_{kind}_ZERO_POINT ({tensor.q.zero_point})" in header
        assert f"#define NET_{kind}_BYTES {tensor.nbytes}" in header
        assert f"#define NET_{kind}_OFFSET {view.offset}" in header
    assert f"#define NET_ARENA_BYTES {program.arena_bytes}" in header


def test_comments_survive_any_name() -> None:
    for name in ("a */ b", "x /* y", "*/*", "/*/", "two\nlines", "nul\0byte", "back\\", "é"):
        text = comment_text(name)
        assert "*/" not in text and "/*" not in text and text.isprintable()
    assert comment_text("Relu__8:0") == "Relu__8:0"


def test_header_with_odd_names_compiles(tmp_path: Path) -> None:
    need("gcc")
    names = {"x": "x */ \n /* int", "y": "y \\"}
    tensors = {names[n]: Tensor(names[n], (1, 4), DType.INT8, Quant.per_tensor(0.5)) for n in names}
    graph = Graph("g", (names["x"],), (names["y"],), (Unary("a */ b", (names["x"],), names["y"], ()),), tensors)
    program = next(iter(variants(verify(graph))))
    write([program], tmp_path)
    flags = ["-std=c99", *WARNINGS, "-c", "-o", str(tmp_path / "all.o")]
    result = subprocess.run(["gcc", *flags, str(tmp_path / "all.c")], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
