"""Integer graphs keep their outputs to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import corpus
from tinycompile import frontends
from tinycompile.ir import DType, Graph, Pad, Quant, Tensor, verify
from tinycompile.ops import Conv2D, PadOp
from tinycompile.passes import optimize
from tinycompile.simulate import reference

FILES = [p for p in corpus("*_int8.tflite") if p.stat().st_size < 400_000]


@pytest.mark.corpus
@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_quantised_files(path: Path) -> None:
    before = frontends.load(path)
    after = optimize(before)
    rng = np.random.default_rng(0)
    x = {n: rng.integers(-128, 128, before.tensors[n].shape).astype(np.int8) for n in before.inputs}
    wanted = reference(before, x)
    for name, values in reference(after, x).items():
        np.testing.assert_array_equal(values, wanted[name])


def test_padding_with_the_zero_point_is_fused_exactly() -> None:
    q = Quant.per_tensor(0.1, 7)
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (2, 3, 3, 3)).astype(np.int8)
    tensors = {
        "x": Tensor("x", (1, 5, 5, 3), DType.INT8, q),
        "w": Tensor.constant("w", weights, Quant((0.01, 0.02), 0, 0)),
        "p": Tensor("p", (1, 7, 6, 3), DType.INT8, q),
        "y": Tensor("y", (1, 5, 4, 2), DType.INT8, Quant.per_tensor(0.3, -5)),
    }
    pad = PadOp("p", ("x",), "p", before=(0, 1, 0, 0), after=(0, 1, 1, 0))
    conv = Conv2D("y", ("p", "w"), "y", kernel=(3, 3))
    before = verify(Graph("g", ("x",), ("y",), (pad, conv), tensors))
    after = optimize(before)
    assert [op.pad for op in after.ops if isinstance(op, Conv2D)] == [Pad(1, 0, 1, 1)] and len(after.ops) == 1
    x = {"x": rng.integers(-128, 128, (1, 5, 5, 3)).astype(np.int8)}
    np.testing.assert_array_equal(reference(after, x)["y"], reference(before, x)["y"])
