"""The encodings that must be aligned, against a disassembler."""

import random
import struct

import capstone
import pytest

from tinycompile.simulate.emulator.alignment import aligned_accesses, base_register
from tinycompile.simulate.emulator.image import Image

MODE = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
ALIGNED = {"ldrd", "strd", "ldm", "stm", "ldmdb", "stmdb", "vldr", "vstr", "vldmia", "vstmia", "vldmdb", "vstmdb"}
STACK = {"push", "pop", "vpush", "vpop"}
OTHERS = {
    "ldrex",
    "strex",
    "ldrexb",
    "strexh",
    "tbb",
    "tbh",
    "lda",
    "stl",
    "ldaex",
    "ldaexb",
    "stlexh",
    "vmov",
    "and",
    "orr",
}


@pytest.fixture(scope="module")
def disassembler():
    engine = capstone.Cs(capstone.CS_ARCH_ARM, MODE)
    engine.detail = True
    return engine


def base_by_disassembly(raw):
    """The base register's number, None where the access may be unaligned or is none."""
    name = raw.insn_name()
    if name in STACK:
        return 13
    if name not in ALIGNED:
        return None
    memory = [o.mem.base for o in raw.operands if o.type == capstone.arm.ARM_OP_MEM]
    named = raw.reg_name(memory[0] if memory else raw.operands[0].reg)
    return {"sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}.get(named) or int(named[1:])


def test_narrow_encodings(disassembler):
    for half in range(0xE800):
        for raw in disassembler.disasm(struct.pack("<H", half), 0, 1):
            base, expected = base_register(half, 0), base_by_disassembly(raw)
            assert base == expected or (expected == 13 and base is None), raw


def test_wide_encodings(disassembler):
    rng, met = random.Random(0), set()
    for _ in range(60_000):
        first = rng.choice([0xE800, 0xE900, 0xEC00, 0xED00]) | rng.getrandbits(8) | rng.getrandbits(1) << 9
        second = rng.getrandbits(16) & ~0x0500 | 0x0A00 if first & 0x0C00 == 0x0C00 else rng.getrandbits(16)
        for raw in disassembler.disasm(struct.pack("<HH", first, second), 0, 1):
            if raw.insn_name() in ALIGNED | STACK | OTHERS:  # capstone also finds instructions of other profiles
                expected = base_by_disassembly(raw)
                met.add(raw.insn_name())
                assert base_register(first, second) == expected, (raw.mnemonic, raw.op_str, hex(first), hex(second))
    assert met >= ALIGNED


def test_only_code_outside_of_it_blocks_is_listed(tmp_path):
    ldm, nop, it_eq, itt_eq = 0xC802, 0xBF00, 0xBF08, 0xBF04
    code = struct.pack("<8H", ldm, it_eq, ldm, ldm, itt_eq, nop, ldm, ldm)
    data = struct.pack("<2H", ldm, ldm)
    image = Image(tmp_path, ((0x100, code + data),), {}, ((0x100, "$t"), (0x110, "$d")))
    assert list(aligned_accesses(image)) == [(0x100, 0), (0x106, 0), (0x10E, 0)]
