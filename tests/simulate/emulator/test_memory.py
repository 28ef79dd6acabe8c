"""Stack depth and touched bytes are measured, not guessed."""

import pytest

from tests.simulate.emulator.programs import board, build
from tinycompile.errors import UsageError
from tinycompile.simulate.emulator import Touched, emulate

pytestmark = pytest.mark.emulator

STACK = """
NEVER_INLINE static uint32_t deep(int bytes) {
    volatile uint8_t block[%d];
    for (int i = 0; i < bytes; ++i) block[i] = (uint8_t)i;
    return block[bytes - 1];
}
int main(void) { return deep(%d) == 0; }
"""


def test_stack_depth():
    depth = {size: emulate(build(STACK % (size, size)), board()).stack_bytes for size in (64, 1064)}
    assert depth[1064] - depth[64] == 1000
    assert 64 < depth[64] < 200


def test_stack_of_the_region():
    """What is called before and after the region may go deeper."""
    source = """
    NEVER_INLINE static uint32_t use(int bytes) {
        volatile uint8_t block[1000];
        for (int i = 1000 - bytes; i < 1000; ++i) block[i] = (uint8_t)i;
        return block[999];
    }
    NEVER_INLINE static uint32_t region(void) {
        volatile uint8_t block[200];
        for (int i = 0; i < 200; ++i) block[i] = (uint8_t)i;
        return block[3];
    }
    int main(void) { return (int)(use(900) + region() + use(1000) + region()) * 0; }
    """
    run = emulate(build(source), board(), roi="region")
    assert 200 <= run.region_stack_bytes <= 232
    assert 1000 < run.stack_bytes < 1200
    assert emulate(build(source), board()).stack_bytes == run.stack_bytes
    assert emulate(build(source), board()).region_stack_bytes is None


def test_objects_can_be_read_at_the_end():
    source = "uint8_t tc_arena[3]; int main(void) { tc_arena[0] = 7; tc_arena[2] = tc_arena[1] = 9; return 0; }"
    assert emulate(build(source), board(), dump=["tc_arena"]).objects == {"tc_arena": bytes([7, 9, 9])}


ARENA = """
uint8_t tc_arena[4096];
NEVER_INLINE static void fill(volatile uint8_t *at, int n, int step, uint32_t value) {
    for (int i = 0; i < n; i += step) at[i] = (uint8_t)(value * (uint32_t)i);
}
int main(void) { fill(tc_arena + 16, 1000, 1, 1); fill(tc_arena + 2000, 500, 5, 0); return 0; }
"""


def test_touched_bytes_are_exact():
    """Any value may be written, zero and the paint itself included: none is missed, none invented."""
    run = emulate(build(ARENA), board(), touched=["tc_arena"])
    assert run.touched == {"tc_arena": Touched(count=1000 + 100, high_water=2000 + 495 + 1)}


def test_painting_needs_main():
    """The program's `main` is called `other`, and what is called `main` never runs."""
    source = """
    uint8_t tc_arena[64];
    __attribute__((used)) int unused(void) __asm__("main");
    int unused(void) { return 1; }
    int main(void) { return tc_arena[1]; }
    """
    with pytest.raises(UsageError, match="never calls main"):
        emulate(build(source, "cortex-m4", "-Dmain=other"), board(), touched=["tc_arena"])


def test_reads_do_not_touch():
    source = "uint8_t tc_arena[64]; int main(void) { volatile uint8_t *a = tc_arena; return a[5] * 0; }"
    assert emulate(build(source), board(), touched=["tc_arena"]).touched["tc_arena"] == Touched(0, 0)
