"""Samples from files of every kind, and what is wrong with bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.graphs import integer, nchw, one, plain
from tinycompile.data import Preprocessing, Samples, load_samples, samples_from_arrays
from tinycompile.errors import UsageError
from tinycompile.ir import Graph, Port, Quant, Tensor


def test_npz_with_labels_and_limit(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (10, 4, 5, 3)).astype(np.uint8)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(10, dtype=np.uint8), index=np.arange(10))
    samples = load_samples(tmp_path / "d.npz", nchw(3, 4, 5), limit=4)
    assert len(samples) == 4 and samples.inputs["image"].dtype == np.float32
    np.testing.assert_array_equal(samples.labels, [0, 2, 5, 7])
    np.testing.assert_array_equal(samples.inputs["image"][:, 0], x[[0, 2, 5, 7]])


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.ones((2, 7)))
    assert load_samples(tmp_path / "d.npy", plain(7)).inputs["x"].shape == (2, 1, 7)


def test_inputs_by_name_and_by_number() -> None:
    graph = Graph("g", ("a", "b"), ("a",), (), {n: Tensor(n, (1, 2)) for n in "ab"})
    named = samples_from_arrays({"a": np.zeros((3, 2)), "b": np.ones((3, 2))}, graph)
    assert len(named) == 3
    numbered = {f"in{i}/{n}": np.full((1, 2), i, np.float32) for i in (0, 1, 10, 2) for n in "ab"}
    np.testing.assert_array_equal(samples_from_arrays(numbered, graph).inputs["b"][:, 0, 0], [0, 1, 2, 10])


def test_carried_quantisation_dequantises() -> None:
    arrays = {"x": np.array([[-128, 0, 127]], np.int8), "scale": np.float32(0.5), "zero_point": np.int32(-28)}
    samples = samples_from_arrays(arrays, plain(3))
    np.testing.assert_array_equal(samples.inputs["x"][0], [[-50, 14, 77.5]])
    assert samples.quants["x"] == Quant.per_tensor(0.5, -28)


def test_preprocessing_drops_the_stored_quantisation() -> None:
    arrays = {"x": np.array([[1, 2]], np.int8), "scale": np.float32(1), "zero_point": np.int32(0)}
    samples = samples_from_arrays(arrays, plain(2), Preprocessing(scale=(2.0,)))
    assert not samples.quants
    np.testing.assert_array_equal(samples.inputs["x"][0], [[2, 4]])


def test_integers_of_the_model_files_own_type_are_codes() -> None:
    codes, quant = np.array([[-128, 5, 127]], np.int8), Quant.per_tensor(0.25, 3)
    taken = samples_from_arrays({"x": codes}, integer((1, 3), quant, "int8"))
    assert taken.inputs["x"].dtype == np.int8
    np.testing.assert_array_equal(taken.inputs["x"][0], codes)
    shifted = samples_from_arrays({"x": codes.astype(np.int16).astype(np.uint8)}, integer((1, 3), quant, "uint8"))
    np.testing.assert_array_equal(shifted.inputs["x"][0], [[0, -123, -1]])


def test_integers_of_another_type_are_real_values() -> None:
    graph = integer((1, 2), Quant.per_tensor(1.0, -128), "int8")
    samples = samples_from_arrays({"x": np.array([[0, 255]], np.uint8)}, graph)
    np.testing.assert_array_equal(samples.inputs["x"][0], [[0.0, 255.0]])
    np.testing.assert_array_equal(samples.encoded(graph).inputs["x"][0], [[-128, 127]])


def test_real_values_stay_real_until_encoded() -> None:
    graph = integer((1, 2), Quant.per_tensor(0.5, 1), "float32")
    samples = samples_from_arrays({"x": np.array([[1.0, -3.0]], np.float32)}, graph)
    assert samples.inputs["x"].dtype == np.float32
    np.testing.assert_array_equal(samples.encoded(graph).inputs["x"][0], [[3, -5]])
    assert samples.encoded(graph).encoded(graph).inputs["x"].dtype == np.int8


def test_spread_is_even_and_ordered() -> None:
    samples = Samples({"x": np.arange(10, dtype=np.float32)[:, None, None]})
    np.testing.assert_array_equal(samples.spread(5).inputs["x"].ravel(), [0, 2, 4, 6, 8])
    assert len(samples.spread(99)) == 10 and len(samples.spread(None)) == 10
    with pytest.raises(UsageError):
        samples.spread(0)


def save(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_folder_of_images_with_classes(tmp_path: Path) -> None:
    for kind, red in (("cat", 10), ("dog", 200)):
        for i in range(2):
            save(tmp_path / kind / f"{i}.png", (red, i, 7))
    samples = load_samples(tmp_path, nchw(3, 4, 6), Preprocessing(scale=(0.5,)))
    np.testing.assert_array_equal(samples.labels, [0, 0, 1, 1])
    np.testing.assert_array_equal(samples.inputs["image"][3, 0, 0, 0], [100, 0.5, 3.5])


def test_one_image_is_resized_and_cropped(tmp_path: Path) -> None:
    image = Image.new("RGB", (12, 4), (255, 0, 0))
    image.paste((0, 0, 255), (4, 0, 8, 4))
    image.save(tmp_path / "wide.png")
    whole = load_samples(tmp_path / "wide.png", nchw(3, 4, 4)).inputs["image"]
    assert whole.shape == (1, 1, 4, 4, 3)
    np.testing.assert_array_equal(np.unique(whole.reshape(-1, 3), axis=0), [[0, 0, 255]])
    squeezed = load_samples(tmp_path / "wide.png", nchw(3, 4, 4), Preprocessing(resize=(4, 4))).inputs["image"]
    assert squeezed[0, 0, 0, 0, 0] > 200
    gray = load_samples(tmp_path / "wide.png", nchw(3, 4, 4), Preprocessing(channels="gray")).inputs["image"]
    assert (gray[..., 0] == gray[..., 2]).all()


def test_bgr_reverses_images(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (1, 2, 3))
    samples = load_samples(tmp_path / "a.png", nchw(3, 4, 6), Preprocessing(channels="bgr"))
    np.testing.assert_array_equal(samples.inputs["image"][0, 0, 0, 0], [3, 2, 1])


def test_images_need_an_image_input(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (1, 2, 3))
    with pytest.raises(UsageError, match="image input"):
        load_samples(tmp_path / "a.png", plain(7))
    with pytest.raises(UsageError, match="5 channels"):
        load_samples(tmp_path / "a.png", nchw(5, 4, 6))


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({}, "has the arrays nothing"),
        ({"z": np.zeros((1, 3))}, "has the arrays z"),
        ({"x": np.zeros((0, 3), np.float32)}, "empty"),
        ({"x": np.array([[1, np.nan, np.inf]], np.float32)}, "2 of 3 values are not finite"),
        ({"x": np.array([["a", "b", "c"]])}, "not numbers"),
        ({"x": np.zeros((1, 3), np.complex64)}, "not numbers"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(3, np.int64)}, "3 labels for 2 samples"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(2)}, "y holds float64"),
        ({"x": np.zeros((1, 3), np.int8), "scale": np.float32(0), "zero_point": np.int8(0)}, "scale is 0"),
        ({"x": np.zeros((1, 3), np.int8), "scale": np.ones(2), "zero_point": np.int8(0)}, "one number"),
    ],
)
def test_bad_arrays(arrays: dict[str, np.ndarray], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        samples_from_arrays(arrays, plain(3))


def test_bad_files(tmp_path: Path) -> None:
    graph = plain(3)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("missing.npz", "broken.npz", "broken.npy", "objects.npy", "notes.txt"):
        with pytest.raises(UsageError, match=name):
            load_samples(tmp_path / name, graph)
    for name in ("broken.png", "empty"):
        with pytest.raises(UsageError, match=name):
            load_samples(tmp_path / name, nchw(3, 4, 4))


def test_truncated_npz_at_every_length(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "d.npz", x=np.random.default_rng(0).random((4, 3)))
    whole = (tmp_path / "d.npz").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "t.npz").write_bytes(whole[:length])
        with pytest.raises(UsageError):
            load_samples(tmp_path / "t.npz", plain(3))


def test_mixed_folder(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (0, 0, 0))
    save(tmp_path / "sub" / "b.png", (0, 0, 0))
    with pytest.raises(UsageError, match="1 images and 1 sub-folders"):
        load_samples(tmp_path, nchw(3, 4, 6))


def test_input_named_with_a_slash() -> None:
    graph = one("model/input", (1, 2), Port.same((1, 2)))
    arrays = {"in0/model/input": np.ones((1, 2), np.float32)}
    assert samples_from_arrays(arrays, graph).inputs["model/input"].shape == (1, 1, 2)
