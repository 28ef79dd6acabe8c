"""Scores: what is compared with what."""

from __future__ import annotations

from pathlib import Path

import pytest

import tinycompile
from tinycompile.api import Options


@pytest.mark.corpus
def test_outputs_of_a_quantised_file_are_compared_as_real_values(shared: Path, tmp_path: Path) -> None:
    model = shared / "models" / "mlperf_kws_dscnn_qdq.onnx"
    made = tinycompile.build(model, "stm32l4r5", tmp_path / "kws", Options(emulate=False, verify_samples=0))
    scores = tinycompile.evaluate(made.folder, shared / "data" / "kws01_mfcc.npz", limit=100, emulated=0)
    snr = scores["host"].snr_db
    assert scores["host"].agreement == 1.0
    assert snr is None or snr > 20
