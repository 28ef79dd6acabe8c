"""Damaged TensorFlow Lite files give a typed error: never a traceback, a hang or a memory peak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, corpus
from tests.frontends.tflite_cases import CASES

COUNT = 2000


def seeds(folder: Path) -> list[Path]:
    """Files of one operator each, which are nearly all structure, and the small real ones."""
    files = []
    for name, case in CASES.items():
        files.append(folder / f"{name}.tflite")
        files[-1].write_bytes(case(np.random.default_rng(1)))
    return files + [p for p in corpus("*_int8.tflite") if p.stat().st_size < 100_000]


@pytest.mark.parametrize("seed", [1])
def test_damaged_files(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-m", "tests.frontends.tflite_fuzz", str(seed), str(COUNT)]
    result = subprocess.run(
        [*command, *map(str, seeds(tmp_path))],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["tried"] == COUNT >= 1000
    assert found["refused"] > COUNT / 4 and found["accepted"] > 0
    assert not found["failures"], "\n".join(found["failures"][:3])
