"""The build folder as another program sees it: nothing but report.json, the library and the image.

These tests use none of tinycompile's own classes to run what was built: ctypes and QEMU alone.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import tinycompile
from tinycompile.api import Options

Array = npt.NDArray[Any]
INPUT_BYTES = 8 * 6 * 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image through a convolution to two outputs: an image, and a row of scores."""
    rng = np.random.default_rng(2)
    constants = [
        numpy_helper.from_array(rng.normal(size=(5, 3, 3, 3)).astype(np.float32), "w"),
        numpy_helper.from_array(rng.normal(size=(5, 4)).astype(np.float32), "m"),
    ]
    nodes = [
        helper.make_node("Conv", ["pixels", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["scores"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("pixels", [1, 3, 8, 6]), ("features", [1, 5, 8, 6]), ("scores", [1, 4]))
    ]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], constants)
    file = tmp_path_factory.mktemp("contract") / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), file)
    return file


@pytest.fixture(scope="module", params=["zig", pytest.param("gcc", marks=pytest.mark.gcc)])
def folder(request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A semihosting build for an emulated board, by either compiler."""
    output = tmp_path_factory.mktemp("contract") / "out"
    options = Options(console="semihosting", toolchain=request.param)
    tinycompile.build(model, "mps2-an386", output, options)
    return output


def report(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text()))


def stored(port: dict[str, Any], real: Array) -> Array:
    """Real values in the model file's layout as the bytes that the C function takes."""
    q = np.clip(np.round(real / port["scale"]) + port["zero_point"], -128, 127).astype(port["dtype"])
    return np.ascontiguousarray(q.transpose(port["permutation"]).reshape(port["shape"]))


def real(port: dict[str, Any], q: Array) -> Array:
    """What ``stored`` would make ``q`` of."""
    moved = [port["file_shape"][axis] for axis in port["permutation"]]
    values = (q.reshape(moved).astype(np.float64) - port["zero_point"]) * port["scale"]
    return values.transpose(np.argsort(port["permutation"]))


def on_host(folder: Path, x: Array) -> list[Array]:
    facts = report(folder)
    call = getattr(ctypes.CDLL(str(folder / facts["host_library"])), facts["inference_function"])
    raw = np.full(facts["memory"]["arena_declared"] + 16, 0xA5, np.uint8)
    arena = raw[-raw.ctypes.data % 16 :]
    outputs = [np.zeros(p["shape"], p["dtype"]) for p in facts["outputs"]]
    assert call(*(ctypes.c_void_p(a.ctypes.data) for a in (arena, x, *outputs))) == 0
    return outputs


def test_report_alone_leads_from_pixels_to_scores(folder: Path, model: Path) -> None:
    facts = report(folder)
    (port,) = facts["inputs"]
    image = np.random.default_rng(0).random((1, 3, 8, 6)).astype(np.float32)
    x = stored(port, image)
    assert x.nbytes == port["bytes"] == INPUT_BYTES and port["layout"] == "NHWC"
    wanted = dict(
        zip(("features", "scores"), onnxruntime.InferenceSession(model).run(None, {"pixels": image}), strict=True)
    )
    for out, q in zip(facts["outputs"], on_host(folder, x), strict=True):
        want = wanted[out["name"]]
        got = real(out, q)
        assert got.shape == want.shape
        assert np.abs(got - want).max() < 0.05 * np.abs(want).max() + 2 * out["scale"]


@pytest.mark.qemu
def test_semihosting_image_equals_the_host_library(folder: Path, tmp_path: Path) -> None:
    facts = report(folder)
    x = np.random.default_rng(1).integers(-128, 128, facts["inputs"][0]["shape"]).astype(np.int8)
    quiet = ["-display", "none", "-monitor", "none", "-serial", "none"]
    machine = ["-M", facts["board"]["name"], "-semihosting-config", "enable=on,target=native"]
    command = ["qemu-system-arm", *quiet, *machine, "-kernel", str(folder / "firmware.elf")]
    for given, status in ((x.tobytes(), 0), (x.tobytes()[:-1], 2)):
        (tmp_path / "input.bin").write_bytes(given)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
        assert done.returncode == status
    assert (tmp_path / "output.bin").read_bytes() == b"".join(y.tobytes() for y in on_host(folder, x))


def test_numbers_in_the_report_are_those_of_the_image(folder: Path) -> None:
    from elftools.elf.elffile import ELFFile

    facts = report(folder)
    memory = facts["memory"]
    with (folder / "firmware.elf").open("rb") as file:
        elf = ELFFile(file)
        sections = {s.name: s for s in elf.iter_sections() if s["sh_flags"] & 2}
        sizes = {s.name: s["st_size"] for s in elf.get_section_by_name(".symtab").iter_symbols()}
    assert sizes["tc_arena"] == memory["arena_declared"] >= memory["arena_bytes"] >= memory["arena_touched"]
    assert facts["inference_function"] in sizes
    assert sections[".text"]["sh_size"] == memory["flash_sections"]["text"]
    assert sum(memory["flash_sections"].values()) == memory["flash_bytes"] == (folder / "firmware.bin").stat().st_size
    ram = next(r for r in facts["board"]["memory"] if r["name"] == "sram")
    end = max(s["sh_addr"] + s["sh_size"] for s in sections.values() if s["sh_addr"] >= ram["origin"])
    assert memory["sram_bytes"] == end - ram["origin"] == memory["static_ram_bytes"] + memory["stack_reserved"]
    assert memory["stack_used"] <= memory["stack_reserved"] and memory["stack_bytes"] < memory["stack_reserved"]
    for layer in facts["layers"]:
        code = [n for n in sizes if re.fullmatch(rf"{layer['symbol']}(\.(constprop|isra)\.\d+)*", n)]
        assert sum(sizes[n] for n in code) == layer["flash_code"] > 0
    assert facts["macs"] == 8 * 6 * 5 * 27 + 5 * 4 == sum(layer["macs"] for layer in facts["layers"])
