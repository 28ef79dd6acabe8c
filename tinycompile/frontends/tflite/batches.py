"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: how TensorFlow spells a dilated convolution.

Between the two, every batch of the file is one phase of a signal or image. Here all phases stay together in the tensor
that was spread, and a convolution of each phase is a dilated convolution of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod

from tinycompile.frontends.tflite.builder import Builder, Spread
from tinycompile.frontends.tflite.node import Node, Rejected
from tinycompile.frontends.tflite.registry import importer
from tinycompile.ir import Shape
from tinycompile.ops.pad import PadOp
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice

MAX_BLOCK = 1 << 12


def _block(b: Builder, node: Node, rank: int) -> Shape:
    """The block's extents, by axis."""
    block = b.integers(node.input(1), "block shape")
    if not 1 <= len(block) <= rank - 2 or not all(1 <= n <= MAX_BLOCK for n in block):
        raise Rejected(f"has the block {block} for {rank} axes")
    return (1, *block, *(1,) * (rank - 1 - len(block)))


def _margins(b: Builder, node: Node, rank: int) -> tuple[Shape, Shape]:
    """Elements added or cropped before and after each axis."""
    pairs = b.integers(node.input(2), "list of margins")
    if len(pairs) % 2 or len(pairs) // 2 > rank - 2 or min(pairs, default=0) < 0:
        raise Rejected(f"has the margins {pairs} for {rank} axes")
    rest = (0,) * (rank - 1 - len(pairs) // 2)
    return (0, *pairs[::2], *rest), (0, *pairs[1::2], *rest)


@importer("SPACE_TO_BATCH_ND", rule="before convolutions, where it means dilation; constant block and paddings")
def _space_to_batch(b: Builder, node: Node) -> None:
    x = b.tensor(node.input(0))
    block = _block(b, node, len(x.shape))
    before, after = _margins(b, node, len(x.shape))
    name = x.name
    if any(before) or any(after):
        name = b.step(PadOp, (name,), f"{name}/padded", x, before=before, after=after)
    if x.shape[0] != 1 or any(d % n for d, n in zip(b.tensors[name].shape, block, strict=True)):
        raise Rejected(f"has the block {block} for the shape {b.tensors[name].shape}")
    b.spread[node.outputs[0]] = Spread(name, block)


@importer("BATCH_TO_SPACE_ND", rule="behind convolutions, with the block of the SPACE_TO_BATCH_ND before them")
def _batch_to_space(b: Builder, node: Node) -> None:
    spread = b.spread.get(node.input(0))
    if spread is None:
        raise Rejected("joins what no SPACE_TO_BATCH_ND has spread")
    x = b.tensors[spread.name]
    if _block(b, node, len(x.shape)) != spread.block:
        raise Rejected("has another block than the SPACE_TO_BATCH_ND before it")
    before, after = _margins(b, node, len(x.shape))
    stops = tuple(d - a for d, a in zip(x.shape, after, strict=True))
    steps = (1,) * len(x.shape)
    b.emit(Slice, (x.name,), node.outputs[0], starts=before, stops=stops, steps=steps)


def reshape_spread(b: Builder, node: Node) -> None:
    """Axes of extent 1 come and go; others stay, so the phases do."""
    spread = b.spread[node.input(0)]
    x = b.tensors[spread.name]
    old, new = b.file.tensors[node.input(0)].shape, b.file.tensors[node.outputs[0]].shape
    core = [i for i, d in enumerate(old) if i == 0 or d != 1 or spread.block[i] != 1]
    # The last place that fits: a signal becomes the one row of an image, whose columns are time.
    places = next(
        (p for p in reversed(list(combinations(range(len(new)), len(core)))) if _fits(old, new, core, p)), None
    )
    if places is None:
        raise Rejected("changes more than axes of extent 1 between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND")
    shape, block = [1] * len(new), [1] * len(new)
    for place, axis in zip(places, core, strict=True):
        shape[place], block[place] = x.shape[axis], spread.block[axis]
    b.emit_spread(Reshape, (x.name,), node.outputs[0], tuple(block), shape=tuple(shape))


def _fits(old: Shape, new: Shape, core: Sequence[int], places: Sequence[int]) -> bool:
    """Whether the ``core`` axes of ``old`` can be the axes ``places`` of ``new``, whose others have the extent 1."""
    others = prod(d for i, d in enumerate(new) if i not in places)
    return places[0] == 0 and others == 1 and all(new[p] == old[c] for p, c in zip(places, core, strict=True))
