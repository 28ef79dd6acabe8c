"""Damaged ONNX files give a typed error: never a traceback, a hang or a memory peak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.frontends.onnx_models import MODELS

COUNT = 1200


@pytest.mark.parametrize("seed", [1])
def test_damaged_files(tmp_path: Path, seed: int) -> None:
    files = []
    for name, model in MODELS.items():
        files.append(tmp_path / f"{name}.onnx")
        files[-1].write_bytes(model().SerializeToString())
    result = subprocess.run(
        [sys.executable, "-m", "tests.frontends.onnx_fuzz", str(seed), str(COUNT), *map(str, files)],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["tried"] == COUNT >= 1000
    assert found["refused"] > COUNT / 4 and found["accepted"] > 0
    assert not found["failures"], "\n".join(found["failures"][:3])
