"""Image files as arrays of the size and channels that a model's input has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinycompile.data.preprocessing import Preprocessing, Size
from tinycompile.errors import UsageError
from tinycompile.ir import Array

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def find_images(path: Path) -> tuple[list[Path], Array | None]:
    """The images of a file or folder in the order of their names, and labels.

    Images in sub-folders are labelled with the rank of their folder's name; a folder of plain images has
    none. UsageError where there are no images, or both kinds.
    """
    if path.is_file():
        return [path], None
    plain = _images_in(path)
    classes = [(folder, _images_in(folder)) for folder in sorted(p for p in path.iterdir() if p.is_dir())]
    classes = [(folder, files) for folder, files in classes if files]
    if plain and classes:
        raise UsageError(
            f"holds {len(plain)} images and {len(classes)} sub-folders of images",
            where=str(path),
            hint="a folder holds either images, or one sub-folder of images a class",
        )
    if not plain and not classes:
        raise UsageError("holds no images", where=str(path), hint=f"file names end in {', '.join(SUFFIXES)}")
    if plain:
        return plain, None
    labels = [rank for rank, (_, files) in enumerate(classes) for _ in files]
    return [file for _, files in classes for file in files], np.asarray(labels, np.int64)


def load_images(paths: Sequence[Path], hwc: tuple[int, int, int], how: Preprocessing) -> Array:
    """uint8 (N, height, width, channels), channels as R, G, B; UsageError names a file that fails."""
    return np.stack([_load(path, hwc, how) for path in paths])


def _images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _load(path: Path, hwc: tuple[int, int, int], how: Preprocessing) -> Array:
    from PIL import Image

    height, width, channels = hwc
    if channels not in MODES:
        raise UsageError(
            f"an image cannot fill an input of {channels} channels",
            where=str(path),
            hint="give an .npz instead",
        )
    try:
        with Image.open(path) as file:
            image = file.convert("L" if how.channels == "gray" else MODES[channels])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(f"is not an image that can be read: {error}", where=str(path)) from error
    image = _sized(image, (height, width), how)
    pixels = np.asarray(image, np.uint8).reshape(height, width, -1)
    return np.broadcast_to(pixels, hwc) if how.channels == "gray" else pixels


def _sized(image: Image, hw: Size, how: Preprocessing) -> Image:
    if isinstance(how.resize, int):
        image = _scaled(image, how.resize / min(image.size))
    elif how.resize is not None:
        image = _resample(image, how.resize)
    if how.crop is not None:
        image = _centre(image, how.crop)
    if (image.height, image.width) != hw:
        image = _centre(_scaled(image, max(hw[0] / image.height, hw[1] / image.width)), hw)
    return image


def _scaled(image: Image, factor: float) -> Image:
    return _resample(image, (max(round(image.height * factor), 1), max(round(image.width * factor), 1)))


def _resample(image: Image, hw: Size) -> Image:
    from PIL.Image import Resampling

    return image.resize((hw[1], hw[0]), Resampling.BILINEAR)


def _centre(image: Image, hw: Size) -> Image:
    left, top = (image.width - hw[1]) // 2, (image.height - hw[0]) // 2
    return image.crop((left, top, left + hw[1], top + hw[0]))
