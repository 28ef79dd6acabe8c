"""Inputs and outputs that are out of the ordinary."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tinycompile import frontends
from tinycompile.errors import ImportFailed


def saved(tmp_path: Path, dims: list[int | str], outputs: list[str]) -> Path:
    """x -> Relu -> y, with these extents and outputs."""
    infos = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n in ("x", "y")}
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "exporter", [infos["x"]], [infos[n] for n in outputs]
    )
    path = tmp_path / "mine.onnx"
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def test_an_output_that_is_an_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="output 'x' is an input") as caught:
        frontends.load(saved(tmp_path, [1, 3], ["y", "x"]))
    assert caught.value.where == "mine"


def test_dynamic_extents_say_what_to_give(tmp_path: Path) -> None:
    path = saved(tmp_path, ["n", 3, "h", 8], ["y"])
    with pytest.raises(ImportFailed, match=r"--input-shape x:1x3x\?x8"):
        frontends.load(path)
    assert frontends.load(path, input_shapes={"x": (1, 3, 5, 8)}).tensors["y"].size == 120
