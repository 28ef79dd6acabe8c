"""Feeds damaged TensorFlow Lite files to the front end: ``python -m tests.frontends.tflite_fuzz SEED COUNT FILE...``

Runs in a process of its own, limited to 2 GB of memory and 10 s a file, and prints one JSON object: how many files
were tried, how many were accepted, and every one that ended in anything but a graph or a TinycompileError.
"""

from __future__ import annotations

import random
import struct

from tests.frontends.fuzz import main

WORDS = (0, 1, 2, 3, 4, 8, 127, 128, 255, 256, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
"""Lengths, offsets, extents and enum values that break readers."""


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A damaged copy of a file, by one to four of the kinds of damage below."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if len(damaged) > 16:
            rng.choice(DAMAGES)(damaged, rng)
    return bytes(damaged)


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 8))):
        data[rng.randrange(8, len(data))] ^= 1 << rng.randrange(8)


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(8, len(data)) :]


def _word(data: bytearray, rng: random.Random) -> None:
    """Overwrite an aligned word: an offset, a vector's length, an extent or an index."""
    at = 4 * rng.randrange(2, len(data) // 4)
    value = rng.choice((*WORDS, len(data), rng.randrange(2 * len(data)), rng.getrandbits(32)))
    data[at : at + 4] = struct.pack("<I", value)


def _half_word(data: bytearray, rng: random.Random) -> None:
    """Overwrite half a word: an entry of a vtable."""
    at = 2 * rng.randrange(4, len(data) // 2)
    data[at : at + 2] = struct.pack("<H", rng.choice((0, 1, 4, 6, 8, 0xFFFF, rng.getrandbits(16))))


def _nudge(data: bytearray, rng: random.Random) -> None:
    """Change a word a little: another table, one more element."""
    at = 4 * rng.randrange(2, len(data) // 4)
    if at + 4 <= len(data):
        (value,) = struct.unpack_from("<I", data, at)
        data[at : at + 4] = struct.pack("<I", (value + rng.choice((-8, -4, -1, 1, 4, 8, 16))) % 2**32)


def _copy(data: bytearray, rng: random.Random) -> None:
    """Copy one part of the file over another."""
    size = rng.choice((4, 8, 32))
    source, target = rng.randrange(len(data)), rng.randrange(8, len(data))
    part = data[source : source + size]
    data[target : target + len(part)] = part


DAMAGES = (_flip, _truncate, _word, _word, _half_word, _nudge, _copy)


def attempt(data: bytes) -> str:
    """ "accepted" or "refused"; anything else that happens is raised."""
    from tinycompile.errors import TinycompileError
    from tinycompile.frontends import tflite

    try:
        tflite.convert(tflite.parse(data, "damaged"))
    except TinycompileError as error:
        assert str(error)
        return "refused"
    return "accepted"


if __name__ == "__main__":
    main(mutate, attempt)
