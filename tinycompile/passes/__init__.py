"""Passes: ``Graph -> Graph``, meaning kept. ``optimize`` runs them all, with the verifier after each."""

from __future__ import annotations

from collections.abc import Callable

from tinycompile.ir import DType, Graph, verify
from tinycompile.passes.broadcast import use_broadcasting
from tinycompile.passes.dead_channels import without_dead_channels
from tinycompile.passes.dense_of_images import dense_of_images
from tinycompile.passes.fold_affine import fold_affine
from tinycompile.passes.fuse_clip import fuse_clip
from tinycompile.passes.fuse_pad import fuse_pad
from tinycompile.passes.image_views import image_views
from tinycompile.passes.layout import settle_layout
from tinycompile.passes.match_functions import match_functions
from tinycompile.passes.merge_reductions import merge_reductions
from tinycompile.passes.merge_unary import merge_unary
from tinycompile.passes.restore_names import restore_names
from tinycompile.passes.rewrite import without_dead
from tinycompile.passes.share_quantisation import share_quantisation

__all__ = [
    "FLOAT", "INTEGER", "dense_of_images", "fold_affine", "fuse_clip", "fuse_pad", "image_views", "match_functions",
    "merge_reductions", "merge_unary", "optimize", "restore_names", "settle_layout", "share_quantisation",
    "use_broadcasting", "without_dead", "without_dead_channels",
]  # fmt: skip

Pass = Callable[[Graph], Graph]

FLOAT: tuple[Pass, ...] = (
    without_dead, share_quantisation, use_broadcasting, match_functions, settle_layout, merge_reductions, fuse_pad,
    fold_affine, merge_unary, fuse_clip, fuse_pad, settle_layout, share_quantisation, dense_of_images,
    image_views, restore_names,
)  # fmt: skip
"""For graphs that are not quantised, or whose float tensors carry parameters (QDQ)."""

INTEGER: tuple[Pass, ...] = (without_dead, fuse_pad, dense_of_images, image_views)
"""For graphs of integers: only what is exact to the last bit."""


def optimize(graph: Graph) -> Graph:
    """The graph with layout settled, constants folded into weights, and activations fused.

    A float graph keeps its meaning up to float rounding, an integer graph to the last bit.
    """
    floats = any(t.dtype is DType.FLOAT32 for t in graph.tensors.values() if t.data is None)
    for run in FLOAT if floats else INTEGER:
        graph = verify(run(graph), run.__name__)
    return graph
