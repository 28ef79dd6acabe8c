"""Instructions are counted exactly, and attributed to where they belong."""

import subprocess

import pytest

from tests.simulate.emulator.programs import CPUS, EMULATED, board, build
from tinycompile.simulate.emulator import emulate, emulate_in_qemu, qemu_version

pytestmark = pytest.mark.emulator
needs_qemu = pytest.mark.skipif(qemu_version() is None, reason="qemu-system-arm is not installed")

LOOP = """
__attribute__((naked, used)) int count_down(int n) {
    __asm__("1: subs r0, #1\\n\\tbne 1b\\n\\tbx lr");
}
int main(void) { int a = count_down(1000); return a + count_down(5); }
"""

MIXED = """
static int8_t a[512], b[512];
NEVER_INLINE static int32_t dot(const volatile int8_t *x, const volatile int8_t *y, int n) {
    int32_t sum = 0;
    for (int i = 0; i < n; ++i) sum += x[i] * y[i];
    return sum;
}
NEVER_INLINE static uint32_t twice(int n) {
    uint32_t sum = 0;
    for (int i = 0; i < 2; ++i) sum += (uint32_t)dot(a, b, n);
    return sum;
}
NEVER_INLINE static uint32_t divide(volatile uint32_t *x) {
    return x[0] / x[1] + (uint32_t)((uint64_t)x[0] * x[1] >> 32);
}
NEVER_INLINE static uint32_t fibonacci(uint32_t n) {
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
NEVER_INLINE static uint32_t region(int n) { return twice(n) + dot(a, b, 7); }
int main(void) {
    uint32_t pair[2] = { 1000003, 17 };
    for (int i = 0; i < 512; ++i) { a[i] = (int8_t)(i * 7); b[i] = (int8_t)(i * 13); }
    uint32_t sum = region(300) + dot(b, a, 100) + divide(pair) + fibonacci(9);
    sum += region(20);
    print("done");
    return (int)(sum & 63);
}
"""


@pytest.mark.parametrize("core", EMULATED)
def test_hand_counted_loop(core):
    run = emulate(build(LOOP, core), board(core), roi="count_down")
    assert run.instructions == (2 * 1000 + 1) + (2 * 5 + 1)
    assert [(f.name, f.calls, f.instructions) for f in run.functions] == [("count_down", 2, 2012)]


# Per turn SUBS 1 and BNE 2 (Arm DDI 0484C; DDI 0439B with a refill of one), the last BNE 1, then BX 1.
# The call counts in the caller on the M0+, where BL takes three cycles; on the M4 its refill in the callee.
@pytest.mark.parametrize(("core", "call"), [("cortex-m0plus", 0), ("cortex-m4", 1)])
def test_hand_counted_cycles(core, call):
    run = emulate(build(LOOP, core), board(core), roi="count_down")
    assert run.cycles == sum(call + 3 * turns - 1 + 1 for turns in (1000, 5))


@needs_qemu
@pytest.mark.qemu
@pytest.mark.parametrize("core", EMULATED)
def test_equals_qemu(core):
    elf = build(MIXED, core)
    ours = emulate(elf, board(core), roi="region")
    theirs = emulate_in_qemu(elf, board(core), roi="region")
    assert (ours.exit_status, ours.console) == (theirs.exit_status, theirs.console)
    assert ours.total_instructions == theirs.total_instructions
    assert ours.instructions == theirs.instructions
    assert {(f.name, f.calls, f.instructions) for f in ours.functions} == {
        (f.name, f.calls, f.instructions) for f in theirs.functions
    }


@needs_qemu
@pytest.mark.qemu
def test_equals_qemu_one_instruction_at_a_time(tmp_path):
    """QEMU's plainest log, a line for each instruction, against both of our ways to count."""
    single = ["-accel", "tcg,one-insn-per-tb=on"] if qemu_version() >= (8, 1) else ["-singlestep"]
    elf, log = build(MIXED), tmp_path / "log"
    command = [
        "qemu-system-arm",
        "-M",
        "mps2-an386",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "none",
    ]
    options = ["-semihosting-config", "enable=on,target=native", "-d", "exec,nochain", "-D", str(log)]
    subprocess.run([*command, *options, *single, "-kernel", str(elf)], capture_output=True, timeout=60, check=False)
    lines = sum(line.startswith("Trace") for line in log.read_text().splitlines())
    assert emulate(elf, board()).total_instructions == lines
    assert emulate_in_qemu(elf, board()).total_instructions == lines


@needs_qemu
@pytest.mark.qemu
def test_m55_runs_in_qemu():
    source = """
    static int8_t x[64];
    NEVER_INLINE static int32_t sum(const int8_t *at) {
        int32_t s = 0;
        for (int i = 0; i < 64; i += 16)
            __asm__ volatile("vldrb.u8 q0, [%1]\\n\\tvaddva.s8 %0, q0" : "+Te"(s) : "r"(at + i) : "q0");
        return s;
    }
    int main(void) { for (int i = 0; i < 64; ++i) x[i] = (int8_t)i; return sum(x) & 127; }
    """
    run = emulate_in_qemu(build(source, "cortex-m55"), board("cortex-m55"), roi="sum")
    assert run.exit_status == 63 * 64 // 2 & 127
    assert 4 * 2 < run.instructions < 100
    assert run.cycles is None


def test_layers_are_inclusive_and_nest():
    run = emulate(build(MIXED), board(), roi="region", layers=["twice", "dot"])
    twice, dot = run.layers
    assert (twice.name, twice.calls) == ("twice", 2)
    assert (dot.name, dot.calls) == ("dot", 2 * (2 + 1))  # the call from main lies outside the region
    own = {f.name: f for f in run.functions}
    assert own["dot"].instructions == dot.instructions
    assert own["twice"].instructions < twice.instructions < dot.instructions + own["twice"].instructions
    assert run.instructions == sum(f.instructions for f in run.functions)
    assert run.cycles == sum(f.cycles for f in run.functions)
    assert run.total_instructions > run.instructions


def test_recursion_is_measured_once():
    run = emulate(build(MIXED), board(), roi="fibonacci")
    (own,) = run.functions
    assert own.instructions == run.instructions
    assert emulate(build(MIXED), board(), layers=["fibonacci"]).layers[0].instructions == run.instructions


def test_whole_run_is_the_region_by_default():
    run = emulate(build(MIXED), board())
    assert (run.instructions, run.cycles) == (run.total_instructions, run.total_cycles)
    assert run.total_instructions == sum(f.instructions for f in run.functions)


def test_table_grows(monkeypatch):
    """A table too small for the program is doubled while it runs, and nothing is lost."""
    from tinycompile.simulate.emulator import profile

    elf, whole = build(MIXED), emulate(build(MIXED), board())
    made = profile.Profile.__init__
    monkeypatch.setattr(profile.Profile, "__init__", lambda self, *a, **k: made(self, *a, **{**k, "capacity": 4}))
    assert emulate(elf, board()) == whole


def test_every_core_is_covered():
    assert set(EMULATED) < set(CPUS)
