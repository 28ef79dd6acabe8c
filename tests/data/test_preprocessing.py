"""Preprocessing from text and TOML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinycompile.data import Preprocessing, parse_preprocessing
from tinycompile.errors import UsageError


def test_text_and_toml_mean_the_same(tmp_path: Path) -> None:
    file = tmp_path / "imagenet.toml"
    file.write_text('scale = "1/255"\nmean = [0.5, 0.25, 0]\nstd = 0.5\nresize = 256\ncrop = [224, 192]\n')
    text = "scale=1/255,mean=0.5:0.25:0,std=0.5,resize=256,crop=224x192"
    expected = Preprocessing(256, (224, 192), None, (1 / 255,), (0.5, 0.25, 0.0), (0.5,))
    assert parse_preprocessing(text) == parse_preprocessing(str(file)) == expected


def test_formula_per_channel_and_reversed_channels() -> None:
    raw = np.array([[[10, 20, 30]]], np.uint8)
    how = Preprocessing(scale=(0.1,), mean=(1, 2, 3), std=(1, 2, 4))
    np.testing.assert_allclose(how.apply(raw, where=""), [[[0, 0, 0]]], atol=1e-7)
    np.testing.assert_array_equal(Preprocessing(channels="bgr").apply(raw, where=""), [[[30, 20, 10]]])


@pytest.mark.parametrize(("text", "number"), [("2", 2), ("1/31.5", 1 / 31.5), (" -3e-2 ", -0.03), ("1 / 4", 0.25)])
def test_numbers_and_fractions(text: str, number: float) -> None:
    assert parse_preprocessing(f"mean={text}").mean == (number,)


def test_channel_counts_must_agree() -> None:
    with pytest.raises(UsageError, match="mean has 3 numbers, the input has 1 channels"):
        Preprocessing(mean=(1, 2, 3)).apply(np.zeros((2, 1), np.float32), where="x")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("scale", "KEY=VALUE"),
        ("scal=1", "unknown preprocessing key 'scal'"),
        ("scale=1/0", "not a number"),
        ("scale=abc", "not a number"),
        ("scale=1/2/3", "not a number"),
        ("scale=", "not a number"),
        ("mean=nan", "not a number|not finite"),
        ("std=0", "std must not be 0"),
        ("crop=0x8", "not a size"),
        ("crop=1x2x3", "not a size"),
        ("channels=cmyk", "none of rgb, bgr, gray"),
        ("missing.toml", "cannot be read"),
    ],
)
def test_mistakes_are_named(text: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        parse_preprocessing(text)


def test_toml_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text("scale = ")
    with pytest.raises(UsageError, match="not TOML"):
        parse_preprocessing(str(file))
