"""Importers of resizing."""

from __future__ import annotations

from typing import TypeVar

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.images import from_image, to_image
from tinycompile.frontends.onnx.movement import normalized_axis
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ir import Shape
from tinycompile.ops import Resize2D

T = TypeVar("T", int, float)

RULE = (
    "images; nearest or linear; constant scales or sizes; height and width only; coordinates half_pixel, "
    "pytorch_half_pixel, asymmetric, align_corners; no antialias"
)
COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")


@importer("Resize", rule=RULE)
def _resize(b: Builder, node: Node) -> None:
    coordinates = node.text("coordinate_transformation_mode", "half_pixel") if b.model.opset > 10 else "asymmetric"
    nearest = node.text("nearest_mode", "round_prefer_floor") if b.model.opset > 10 else "floor"
    scales_at = 2 if b.model.opset > 10 else 1
    if node.integer("antialias") or node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Rejected("it uses antialias or keep_aspect_ratio_policy")
    sizes = b.integers(node.input(3), "sizes") if node.input(3) else ()
    scales: tuple[float, ...] = ()
    if not sizes and node.input(scales_at):
        scales = tuple(float(s) for s in b.constant(node.input(scales_at), "scales").ravel())
    axes = node.integers("axes")
    if axes is not None:
        shape = b.shape(node.inputs[0])
        places = [normalized_axis(a, len(shape)) for a in axes]
        sizes = _spread(sizes, places, shape)
        scales = _spread(scales, places, (1.0,) * len(shape))
    _resized(b, node, scales, sizes, coordinates, nearest)


def _spread(values: tuple[T, ...], places: list[int], default: tuple[T, ...]) -> tuple[T, ...]:
    """One value for every axis: those of ``axes`` as given, the others by default; none where none are given."""
    if not values:
        return ()
    full = list(default)
    for place, value in zip(places, values, strict=True):
        full[place] = value
    return tuple(full)


@importer("Upsample", rule="images; nearest or linear; constant scales of height and width")
def _upsample(b: Builder, node: Node) -> None:
    scales = node.reals("scales")
    if node.input(1):
        scales = tuple(float(s) for s in b.constant(node.input(1), "scales").ravel())
    _resized(b, node, scales, (), "asymmetric", "floor")


def _resized(b: Builder, node: Node, scales: tuple[float, ...], sizes: Shape, coordinates: str, nearest: str) -> None:
    x = b.tensor(node.inputs[0])
    mode = node.text("mode", "nearest")
    if len(x.shape) not in (3, 4):
        raise Rejected(f"its input {x.shape} is no signal and no image")
    if mode not in ("nearest", "linear") or coordinates not in COORDINATES:
        raise Rejected(f"its mode is {mode!r} with coordinates {coordinates!r}")
    if scales and len(scales) != len(x.shape):
        raise Rejected(f"has {len(scales)} scales for {len(x.shape)} axes")
    wanted = sizes or tuple(int(d * s + 1e-6) for d, s in zip(x.shape, scales, strict=True))
    if len(wanted) != len(x.shape) or wanted[:2] != x.shape[:2]:
        raise Rejected(f"resizes {x.shape} to {wanted}; batch and channels must stay")
    image = to_image(b, x.name)
    size = (wanted[2], wanted[3] if len(wanted) == 4 else 1)
    y = b.add(
        Resize2D, (image,), node.output, size=size, mode="nearest" if mode == "nearest" else "bilinear",
        coordinates=coordinates, nearest=nearest, scales=_image_scales(scales),
    )  # fmt: skip
    b.bind(node.output, from_image(b, y, len(x.shape), node.output))


def _image_scales(scales: tuple[float, ...]) -> tuple[float, float] | None:
    """Scales of rows and columns, where the file gives them."""
    if not scales:
        return None
    return scales[2], scales[3] if len(scales) == 4 else 1.0
