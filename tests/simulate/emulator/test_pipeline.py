"""Cycle models against the sums that the manuals give for short sequences."""

import pytest

from tests.simulate.emulator.programs import build
from tinycompile.simulate.emulator.cores import CORES
from tinycompile.simulate.emulator.decode import NOTHING, Block, Kind, decode
from tinycompile.simulate.emulator.image import read_image


def assemble(lines: str):
    """The instructions of some lines of assembly, separated by semicolons, at an aligned address."""
    body = "\\n\\t".join(line.strip() for line in lines.split(";"))
    source = f'__attribute__((naked, used, aligned(16))) void probe(void) {{ __asm__("{body}\\n\\tudf #7"); }}'
    image = read_image(build(source + " int main(void) { return 0; }", "cortex-m33"))
    start = image.symbols["probe"].address
    for address, data in image.segments:
        if address <= start < address + len(data):
            code = decode(data[start - address : start - address + 200], start).code
            end = next(n for n, i in enumerate(code) if i.name == "udf")
            return Block(start, code[:end])
    raise AssertionError("no code")


def cycles(core, lines, before=""):
    return CORES[core].pipeline.cycles(assemble(before) if before else NOTHING, assemble(lines))


# Arm DDI 0337I and DDI 0439B, 3.3.2: "normally three cycles total", and so on.
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4"])
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("ldr r0, [r1]; ldr r1, [r2]", 3),
        ("ldr r0, [r1, r2]; str r0, [r3, #20]", 3),
        ("ldr r0, [r1, r2]; str r1, [r3, r2]", 3),
        ("ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]", 4),
        ("ldr r0, [r1]; ldr r2, [r0]", 4),  # the second needs the first's result as its address
        ("ldr r0, [r1], #4; ldr r2, [r1]", 4),  # or the base that it moves
        ("str r0, [r1, #4]", 1),
        ("str r0, [r1, r2]", 2),
        ("ldrd r0, r1, [r2]", 3),
        ("ldm r0, {r1, r2, r3}", 4),
        ("stm r0, {r1, r2, r3, r4, r5, r6, r7, r8}", 9),
        ("push {r4, r5}", 3),
        ("add r1, r2; ldr r0, [r1]", 1 + 3),  # no forwarding from the ALU to the address
        ("add r1, r2; ldr r0, [r3]", 1 + 2),
        ("mul r0, r1, r2; add r0, r0, r3", 2),
        ("nop; it eq; moveq r0, r1", 2),  # IT folds into the 16-bit instruction before it
    ],
)
def test_documented_pairs(core, lines, expected):
    assert cycles(core, lines) == expected


@pytest.mark.parametrize(
    ("core", "lines", "expected"),
    [
        ("cortex-m4", "smlal r0, r1, r2, r3", 1),
        ("cortex-m3", "smlal r0, r1, r2, r3", 5),
        ("cortex-m3", "mla r0, r1, r2, r3", 2),
        ("cortex-m4", "vmla.f32 s0, s1, s2", 3),
        ("cortex-m4", "vdiv.f32 s0, s1, s2", 14),
        ("cortex-m0plus", "ldr r0, [r1]; str r0, [r1]", 4),
        ("cortex-m0plus", "push {r4, r5, lr}; pop {r4, r5, pc}", 4 + 6),
        ("cortex-m0plus", "muls r0, r1, r0; adds r0, r0, r1", 2),
        ("cortex-m0plus", "dmb sy", 3),
    ],
)
def test_single_issue_costs(core, lines, expected):
    assert cycles(core, lines) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("adds r0, r1, r2; adds r3, r4, r5", 1),  # two independent operations together
        ("adds r0, r1, r2; adds r3, r0, r5", 2),
        ("ldr r0, [r1]; ldr r2, [r3]", 1),
        ("ldr r0, [r1]; str r2, [r3]", 2),  # a store needs the load-store unit to itself
        ("ldr r0, [r1]; nop; nop; nop; adds r0, r0, r2", 3),
        ("ldr r0, [r1]; adds r0, r0, r2", 3),  # a load's result takes two cycles
        ("smlabb r0, r1, r2, r0; smlabb r0, r3, r4, r0", 2),  # accumulators are forwarded
        ("mul r0, r1, r2; add r0, r0, r3", 3),
        ("ldr r0, [r1], #4; adds r1, r1, r2", 2),  # the updated base is ready at once
    ],
)
def test_m7_dual_issue(lines, expected):
    assert cycles("cortex-m7", lines) == expected


def test_m33_pairs_narrow_instructions_only():
    assert cycles("cortex-m33", "adds r0, r1, r2; adds r3, r4, r5") == 1
    assert cycles("cortex-m33", "add.w r8, r1, r2; add.w r9, r4, r5") == 2
    assert cycles("cortex-m33", "ldr r0, [r1]; ldr r2, [r3]") == 2


@pytest.mark.parametrize("core", sorted(CORES))
def test_history_matters_only_at_the_seam(core):
    """A block cut in two costs as much as the whole."""
    whole = assemble("ldr r0, [r1]; adds r2, r0, r3; muls r2, r3, r2; str r2, [r1]; adds r1, r2; ldr r4, [r1]")
    model = CORES[core].pipeline
    for cut in range(1, len(whole.code)):
        first = Block(whole.location, whole.code[:cut])
        second = Block(first.end, whole.code[cut:])
        assert model.cycles(NOTHING, first) + model.cycles(first, second) == model.cycles(NOTHING, whole)


@pytest.mark.parametrize(
    ("core", "taken", "indirect"),
    [
        ("cortex-m0plus", 1, 1),
        ("cortex-m3", 1, 2),
        ("cortex-m4", 1, 2),
        ("cortex-m33", 1, 2),
        ("cortex-m7", 1, 2),
    ],
)
def test_taken_branches(core, taken, indirect):
    target = assemble("nop")
    model = CORES[core].pipeline
    for lines, refill in (("nop; nop; beq probe", taken), ("nop; nop; bx r3", indirect)):
        before = assemble(lines)
        alone = model.cycles(NOTHING, before)
        elsewhere = decode(b"\x00\xbf", before.end + 0x100)
        assert alone + model.cycles(before, elsewhere) >= alone + refill
        assert model.cycles(before, elsewhere) == model.cycles(NOTHING, target) + refill


def instructions(lines):
    return assemble(lines).code


def test_decoded_facts():
    (i,) = instructions("ldm r0!, {r1, r2, r3}")
    assert (i.kind, i.words, i.reads, i.writes, i.results) == (
        Kind.LOAD_MANY,
        3,
        {0},
        {0, 1, 2, 3},
        {1, 2, 3},
    )
    (i,) = instructions("vpush {d8, d9}")
    assert (i.kind, i.words, i.writes, i.is_fp) == (Kind.STORE_MANY, 4, {13}, True)
    (i,) = instructions("smlad r0, r1, r2, r3")
    assert (i.kind, i.accumulator) == (Kind.ACCUMULATE, {3})
    (i,) = instructions("pop {r4, pc}")
    assert i.writes_pc
    (i,) = instructions("vmov.f32 s0, #1.0")
    assert (i.name, i.is_fp, i.kind) == ("vmov", True, Kind.FP_MOVE)
