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


ARENA = """
uint8_t tc_arena[4096];
NEVER_INLINE static void fill(volatile uint8_t *at, int n, int step, uint32_t value) {
    for (int i = 0; i < n; i += step) at[i] = (uint8_t)(value * (uint32_t)i);
}
int main(void) { fill(tc_arena + 16, 1000, 1, 1); fill(tc_arena + 2000, 500, 5, 0); return 0; }
"""


def test_touched_bytes_are_exact():
    """Any value may be written, zero and the paint itself included: no byte is missed, and none is invented."""
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
