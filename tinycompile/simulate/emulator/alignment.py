"""Accesses that must be word-aligned on every Cortex-M, and that Unicorn carries out wherever they point.

Plain loads and stores may be unaligned on Armv7-M and Armv8-M Main; LDRD, STRD, LDM, STM and the loads and
stores of the floating-point unit fault (Arm DDI 0403E, A3.2.1; DDI 0553B, B7.1). They are found by their
encodings, and each gets a hook that looks at its base register.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tinycompile.simulate.emulator.image import Image

SP, PC = 13, 15


def aligned_accesses(image: Image) -> Iterator[tuple[int, int]]:
    """Address and base register of each such access in the image.

    Left out are those through SP, which is always aligned, and through PC; and those in IT blocks, which may
    not run.
    """
    for location, code in image.thumb_code():
        halves = struct.unpack(f"<{len(code) // 2}H", code[: len(code) // 2 * 2])
        at = conditional = 0
        while at < len(halves):
            size = 2 if halves[at] >> 11 >= 0b11101 and at + 1 < len(halves) else 1
            base = base_register(halves[at], halves[at + 1] if size == 2 else 0)
            if conditional:
                conditional -= 1
            elif halves[at] & 0xFF00 == 0xBF00 and halves[at] & 0xF:  # IT: the lowest set bit ends its mask
                conditional = 4 - ((halves[at] & -halves[at]).bit_length() - 1)
            elif base is not None and base not in (SP, PC):
                yield location + 2 * at, base
            at += size


def base_register(first: int, second: int) -> int | None:
    """The base register of an access that must be aligned, None for any other instruction (``second``: 0 if
    narrow).
    """
    if first & 0xF000 == 0xC000:  # LDM, STM, 16 bits
        return first >> 8 & 7
    if first & 0xFE40 == 0xE840 and first & 0x0120:  # LDRD, STRD
        return first & 15
    if first & 0xFE40 == 0xE800 and first >> 7 & 3 in (1, 2):  # LDM, STM, 32 bits
        return first & 15
    if first & 0xFE00 == 0xEC00 and second & 0x0E00 == 0x0A00 and first & 0xFFE0 != 0xEC40:  # VLDR, VSTR, VLDM, VSTM
        return first & 15
    return None
