"""Rows for convolutions of three columns with fewer products: exact integer Winograd.

F(2x2,3x3) makes 2x2 outputs with 16 products for each pair of channels instead of 36, F(2,3) along a row 2 outputs
with 4 instead of 6 for each row of the kernel; F(2x4,3x3) and F(4,3) make 4 outputs of a row with 6 instead of 12. With
the filter transform times 2 (of F(4,3): times 24) in each direction all of it are integers, and the sums are exactly
that many times those of the direct convolution: docs/numerics.md derives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinycompile.backends.kernel import RINGED, Kernel
from tinycompile.backends.portable.linear import BLOCK, requantizer_arrays
from tinycompile.ir import IO, Array
from tinycompile.ops.conv_2d import Conv2D

FILTER = {
    2: np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.int32),
    4: np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.int32),
}
"""2 G of F(2,3) and 24 G of F(4,3): the filter transforms without fractions (Lavin and Gray, arXiv:1509.09308, sections
4.1 and 4.3)."""

SCALE = {2: 2, 4: 24}
"""What those are times G."""

CHUNK = 32
"""Most pairs of channels that the products take in without a loop: 1.4 KB of code."""

SUMS = BLOCK * 2
"""Words for the sums of four filters by two tiles at each position."""

FURTHEST = 4095
"""The largest constant offset of a load or store."""


def channel_pairs(channels: int) -> Array:
    """int64[pairs, 2]: the channels that share a word, as SXTB16 takes them from a word of four; -1 for none."""
    order: list[tuple[int, int]] = []
    for first in range(0, channels - 3, 4):
        order += [(first, first + 2), (first + 1, first + 3)]
    last, left = channels - channels % 4, channels % 4
    order += [[], [(last, -1)], [(last, last + 1)], [(last, last + 2), (last + 1, -1)]][left]
    return np.array(order)


def pair_count(channels: int) -> int:
    """How many those are."""
    return channels // 4 * 2 + (0, 1, 1, 2)[channels % 4]


def transformed(weights: Array, square: bool, columns: int = 2) -> Array:
    """(O, 3, 3, I) to int16 (O, 4, columns + 2, I): 2 G g (2 G)^T, for ``columns`` 4 with 24 G along rows; or only
    along rows, (O, rows, 3, I) to (O, rows, columns + 2, I)."""
    along = np.einsum("bx,oyxi->oybi", FILTER[columns], weights.astype(np.int32))
    return np.asarray(np.einsum("ay,oybi->oabi", FILTER[2], along) if square else along).astype(np.int16)


@dataclass(frozen=True)
class Form:
    """The kernels of F(2x2,3x3) (``square``) or F(2,3), or with 4 ``columns`` F(2x4,3x3) or F(4,3), for two tiles side
    by side."""

    square: bool
    columns: int = 2
    """Outputs of a tile, along a row."""
    dual: bool = False
    """For the Cortex-M7, which loads while it multiplies."""

    def fits(self, op: Conv2D, io: IO) -> bool:
        """Steps of one column; the sums times ``scale`` stay within int32, and loops within 16 bits."""
        columns = (op.kernel[1], op.stride[1], op.dilation[1], op.groups) == (3, 1, 1, 1)
        rows = not self.square or (op.kernel[0], op.stride[0], op.dilation[0]) == (3, 1, 1)
        if not columns or not rows or io.inputs[1].zero_point:
            return False
        taps = 3 * op.kernel[0] * io.x.channels
        return taps * 128 * 128 * self.scale < 2**31 and self.tiles_bytes(op, io) < 2**16

    @property
    def scale(self) -> int:
        """How many times the direct sums the outputs are."""
        return SCALE[self.columns] * (2 if self.square else 1)

    @property
    def tall(self) -> int:
        """Rows that a tile makes."""
        return 2 if self.square else 1

    @property
    def positions(self) -> int:
        """Elements of a transformed tile."""
        return (4 if self.square else 1) * (self.columns + 2)

    def pairs(self, op: Conv2D, io: IO) -> int:
        """Pairs of channels that are summed up at each position, those of all rows where these are not transformed."""
        return pair_count(io.x.channels) * (1 if self.square else op.kernel[0])

    def chunks(self, op: Conv2D, io: IO) -> tuple[int, int]:
        """Number and size of the equal chunks of pairs; the last ones are filled up with zeros."""
        count = -(-self.pairs(op, io) // CHUNK)
        return count, -(-self.pairs(op, io) // count)

    def step(self, op: Conv2D, io: IO) -> int:
        """Words from one position of the two tiles to the next: theirs, and the sums."""
        count, chunk = self.chunks(op, io)
        return 2 * count * chunk + SUMS

    def tiles_bytes(self, op: Conv2D, io: IO) -> int:
        """Two transformed tiles and the sums of 4 filters."""
        return 4 * self.positions * self.step(op, io)

    def scratch(self, op: Conv2D, io: IO) -> int:
        """The tiles, and either 6 pixels of their inputs (of a row at a time where rows are not transformed) or their
        outputs."""
        rows_in, rows_out = (4, 2) if self.square else (1, 1)
        pixels = 2 * self.columns * rows_out
        return self.tiles_bytes(op, io) + max(6 * rows_in * io.x.channels, pixels * io.out.channels)

    def is_fast(self, op: Conv2D, io: IO) -> bool:
        """SMMLAR alone requantises, and constant offsets reach all sums and outputs."""
        rq = op.parameters(io)["requantizer"]
        plain = rq.scheme == "native" and not np.any(rq.shift)
        half = self.positions // 2 - 1
        return (
            plain
            and 4 * (half * self.step(op, io) + 1) <= FURTHEST
            and (2 * self.columns - 1) * io.out.channels <= FURTHEST
        )

    def words(self, op: Conv2D, io: IO) -> Array:
        """uint32: for each 4 filters and position all pairs of channels, the 4 filters of a pair side by side; and a
        word that is read ahead."""
        u = transformed(io.inputs[1].values, self.square, self.columns)
        filters, channels = u.shape[0], u.shape[3]
        by_position = u.reshape(filters, self.positions, 1, channels) if self.square else u.transpose(0, 2, 1, 3)
        padded = np.pad(by_position, ((0, -filters % BLOCK), (0, 0), (0, 0), (0, 1)))  # channel -1: zeros
        paired = padded[..., channel_pairs(channels)].reshape(len(padded) // BLOCK, BLOCK, self.positions, -1, 2)
        count, chunk = self.chunks(op, io)
        filled = np.pad(paired, ((0, 0), (0, 0), (0, 0), (0, count * chunk - paired.shape[3]), (0, 0)))
        words = np.ascontiguousarray(filled.transpose(0, 2, 3, 1, 4)).view(np.uint32).ravel()
        return np.append(words, np.uint32(0))

    def pack(self, op: Conv2D, io: IO) -> Mapping[str, Array]:
        """``weights``; ``padding`` that is read in place of a row; ``rescale`` with bias and multiplier of each filter,
        or ``bias`` and what requantises."""
        p = op.parameters(io)
        bias, rq = p["bias"], p["requantizer"]
        padding = np.full(self.padding(io), io.x.zero_point, np.int8)
        arrays = {"weights": self.words(op, io), "padding": padding}
        if not self.is_fast(op, io):
            return {**arrays, "bias": bias, **requantizer_arrays(rq)}
        rescale = np.stack([bias, np.broadcast_to(rq.multiplier, len(bias))], axis=1)
        return {**arrays, "rescale": rescale.astype(np.int32)}

    def padding(self, io: IO) -> int:
        """Bytes of the constant for a row outside of the input: 6 pixels, of which lines read only 4 as such."""
        return (6 if self.square else 4) * io.x.channels

    def flash(self, op: Conv2D, io: IO) -> int:
        """Bytes of ``pack``."""
        count, chunk = self.chunks(op, io)
        blocks = -(-io.out.channels // BLOCK)
        weights = 4 * (blocks * self.positions * count * chunk * BLOCK + 1) + self.padding(io)
        if self.is_fast(op, io):
            return weights + 8 * io.out.channels
        rest = requantizer_arrays(op.parameters(io)["requantizer"])
        return weights + 4 * io.out.channels + sum(a.nbytes for a in rest.values())

    def numbers(self, op: Conv2D, io: IO) -> Mapping[str, Any]:
        """What the templates print."""
        count, chunk = self.chunks(op, io)
        groups, tail = divmod(io.x.channels, 4)
        return {
            "count": count, "chunk": chunk, "pairs": count * chunk, "groups": groups, "tail": tail,
            "row": 2 * pair_count(io.x.channels), "step": self.step(op, io), "patch": self.tiles_bytes(op, io),
            "positions": self.positions, "columns": self.columns, "fast": self.is_fast(op, io), "dual": self.dual,
        }  # fmt: skip

    def lag(self, op: Conv2D, io: IO, index: int) -> int | None:
        """As of ``sliding_lag``: a pair of tiles is read whole before any of its outputs is written."""
        if index != 0:
            return None
        (height, width), (_, columns) = io.out.hw, io.x.hw
        tops, lefts = np.arange(0, height, self.tall), np.arange(0, width, 2 * self.columns)
        rows, first = np.maximum(tops * op.stride[0] - op.pad.top, 0), np.maximum(lefts - op.pad.left, 0)
        read = ((rows[:, None] * columns + np.minimum(first, columns)) * io.x.channels).ravel()
        last = np.minimum(tops + self.tall, height)[:, None] - 1
        written = ((last * width + np.minimum(lefts + 2 * self.columns, width)) * io.out.channels).ravel()
        needed = np.minimum.accumulate(read[::-1])[::-1]
        lag = max(0, int((written[:-1] - needed[1:]).max(initial=0)))
        return lag if lag < io.out.size else None

    def work(self, op: Conv2D, io: IO) -> Mapping[str, float]:
        """Tiles come in pairs, which are computed whole where the output ends within them; ``edges`` are rows of six
        pixels that are gathered."""
        height, width = io.out.hw
        tops, lefts = np.arange(0, height, self.tall), np.arange(0, width, 2 * self.columns)
        tiles = 2 * len(tops) * len(lefts)
        blocks = -(-io.out.channels // BLOCK)
        count, chunk = self.chunks(op, io)
        return {
            "products": tiles * blocks * count * chunk,
            "blocks": tiles * blocks,
            "inputs": tiles * self.pairs(op, io),
            "tiles": tiles,
            "edges": self.edges(op, io),
            "call": 1,
        }

    def edges(self, op: Conv2D, io: IO) -> int:
        """How many rows of six pixels are gathered: padding takes the place of whole rows, and in lines that of the
        first and the last pixel."""
        height, width = io.out.hw
        tops = np.arange(0, height, self.tall)
        lefts = np.arange(0, -(-width // (2 * self.columns)) * 2 * self.columns, 4) - op.pad.left
        taps = np.arange(4) if self.square else np.arange(op.kernel[0]) * op.dilation[0]
        rows = tops[:, None] * op.stride[0] - op.pad.top + taps
        inside = np.sum((rows >= 0) & (rows < io.x.hw[0]))
        spare = 0 if self.square else 1
        return int(inside * np.sum((lefts < -spare) | (lefts + 6 - spare > io.x.hw[1])))

    def kernel(self, name: str, template: str, cycles: Mapping[str, float]) -> Kernel:
        """The row of the table."""
        return Kernel(
            name, Conv2D, template,
            isa=frozenset({"dsp", "cortex-m7"} if self.dual else {"dsp"}),
            arguments=RINGED,
            sources=("include/tc_simd.h", "kernels/dsp/tc_winograd.h"),
            fits=self.fits,
            scratch=self.scratch,
            pack=self.pack,
            numbers=self.numbers,
            lag=self.lag,
            work=self.work,
            flash=self.flash,
            together=self.tall,
            cycles=cycles,
        )  # fmt: skip


SQUARE, LINE, WIDE_SQUARE, WIDE_LINE = Form(True), Form(False), Form(True, columns=4), Form(False, columns=4)

ROWS: tuple[Kernel, ...] = (
    replace(WIDE_SQUARE, dual=True).kernel(
        "winograd_wide_m7", "dsp/winograd.c.j2",
        {"products": 239, "blocks": 843, "inputs": 351, "tiles": 465, "edges": 170, "call": 60},
    ),
    WIDE_SQUARE.kernel(
        "winograd_wide", "dsp/winograd.c.j2",
        {"products": 207, "blocks": 650, "inputs": 207, "tiles": 370, "edges": 150, "call": 60},
    ),
    replace(SQUARE, dual=True).kernel(
        "winograd_m7", "dsp/winograd.c.j2",
        {"products": 126, "blocks": 400, "inputs": 70, "tiles": 60, "edges": 80, "call": 60},
    ),
    SQUARE.kernel(
        "winograd", "dsp/winograd.c.j2",
        {"products": 128, "blocks": 410, "inputs": 70, "tiles": 60, "edges": 80, "call": 60},
    ),
    replace(WIDE_LINE, dual=True).kernel(
        "winograd_wide_line_m7", "dsp/winograd_line.c.j2",
        {"products": 59, "blocks": 317, "inputs": 44, "tiles": 167, "edges": 420, "call": 60},
    ),
    WIDE_LINE.kernel(
        "winograd_wide_line", "dsp/winograd_line.c.j2",
        {"products": 50, "blocks": 255, "inputs": 38, "tiles": 84, "edges": 320, "call": 60},
    ),
    replace(LINE, dual=True).kernel(
        "winograd_line_m7", "dsp/winograd_line.c.j2",
        {"products": 31, "blocks": 120, "inputs": 20, "tiles": 60, "edges": 80, "call": 60},
    ),
    LINE.kernel(
        "winograd_line", "dsp/winograd_line.c.j2",
        {"products": 32, "blocks": 120, "inputs": 20, "tiles": 60, "edges": 80, "call": 60},
    ),
)  # fmt: skip
