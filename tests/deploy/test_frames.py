"""Frames and bounds from single instructions: what is counted, what is refused."""

from __future__ import annotations

import pytest

from tinycompile.deploy.frames import Instruction, read_frame


def frame_of(*lines: str, literals: dict[int, int] | None = None) -> tuple[int, set[int], str]:
    code = []
    for number, line in enumerate(lines):
        mnemonic, _, operands = line.partition(" ")
        code.append(Instruction(0x100 + 2 * number, mnemonic, operands))
    frame = read_frame(code, 0x100, 0x200, (literals or {}).get)
    return frame.bytes, set(frame.calls), frame.trouble


@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        (["push {r4, r5, r7, lr}"], 16),
        (["stmdb sp!, {r4, r5, lr}"], 12),
        (["vpush {d8, d9, d10}"], 24),
        (["vpush {d8-d15}"], 64),
        (["vpush {s16, s17}"], 8),
        (["str lr, [sp, #-4]!"], 4),
        (["strd r4, r5, [sp, #-0x10]!"], 16),
        (["sub sp, #0x20"], 32),
        (["sub sp, sp, #0x300"], 768),
        (["subw sp, sp, #0x404"], 1028),
        (["movw r12, #0x1000", "sub sp, sp, r12"], 4096),
        (["movw r4, #0x1170", "movt r4, #1", "sub sp, sp, r4"], 0x11170),
        (["ldr r4, [pc, #8]", "add sp, r4"], 3000),
        (["mov r4, sp", "bfc r4, #0, #5", "mov sp, r4"], 24),
        (["sub r4, sp, #0x40", "bfc r4, #0, #4", "mov sp, r4"], 72),
        (["mov r4, sp", "lsrs r4, r4, #4", "lsls r4, r4, #4", "mov sp, r4"], 8),
        (["bfc r4, #0, #15"], 0),
        (["sub sp, r7, #0x18", "pop {r4, pc}"], 0),
        (["add sp, #0x20", "pop {r4, pc}"], 0),
        (["add r0, sp, #8", "subs r0, #1"], 0),
    ],
)
def test_frame_sizes(lines: list[str], taken: int) -> None:
    literals = {0x10C: 0x1_0000_0000 - 3000}
    assert frame_of(*lines, literals=literals) == (taken, set(), "")


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("bl #0x300", {0x300}),
        ("bl #0x100", {0x100}),  # recursion is a call, not a loop
        ("bl #0x150", set()),  # a far jump within the function, as compilers make them for ARMv6-M
        ("b #0x300", {0x300}),
        ("beq #0x300", {0x300}),
        ("blo #0x120", set()),
        ("bls #0x1fe", set()),
        ("cbz r0, #0x110", set()),
        ("bkpt #0xab", set()),
        ("bx lr", set()),
        ("ldr pc, [pc, #0]", {0x400}),
    ],
)
def test_calls_and_tail_calls(line: str, calls: set[int]) -> None:
    assert frame_of(line, literals={0x104: 0x401}) == (0, calls, "")


@pytest.mark.parametrize(
    "lines",
    [
        ["movw r12, #0x401", "movt r12, #0x800", "bx r12"],  # ld.lld
        ["push {r0}", "ldr r0, [pc, #8]", "mov ip, r0", "pop {r0}", "bx ip"],  # GNU ld for ARMv6-M
    ],
)
def test_a_linkers_long_call_is_followed(lines: list[str]) -> None:
    taken, calls, trouble = frame_of(*lines, literals={0x10C: 0x0800_0401})
    assert (calls, trouble) == ({0x0800_0400}, "") and taken == 4 * ("push {r0}" in lines)


@pytest.mark.parametrize(
    ("lines", "trouble"),
    [
        (["blx r3"], "pointer"),
        (["bx r3"], "pointer"),
        (["movw r3, #0x401", "ldr r3, [r0]", "bx r3"], "pointer"),
        (["movw r3, #0x401", "cbz r0, #0x108", "bx r3"], "pointer"),  # may come from where r3 is another
        (["movw r3, #0x401", "blx r3"], "pointer"),
        (["sub sp, sp, r3"], "unknown size"),
        (["movs r3, #8", "ldr r3, [r0]", "sub sp, sp, r3"], "unknown size"),
        (["mov r2, sp", "subs r3, r2, r3", "mov sp, r3"], "unknown size"),
    ],
)
def test_what_has_no_bound_is_told(lines: list[str], trouble: str) -> None:
    assert trouble in frame_of(*lines)[2]
