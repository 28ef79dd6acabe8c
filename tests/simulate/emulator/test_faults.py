"""What the chip forbids stops the run, and the message says what, where, and why."""

from dataclasses import replace

import pytest

from tests.simulate.emulator.programs import board, build
from tinycompile.boards import MemoryRegion
from tinycompile.errors import EmulationFault, UsageError
from tinycompile.simulate.emulator import emulate

pytestmark = pytest.mark.emulator


def fault(body, core="cortex-m4", *flags, run_on=None, **options):
    """The text of the fault of a program that does ``body`` in a function called culprit."""
    source = f"NEVER_INLINE void culprit(void) {{ {body} }}\nint main(void) {{ culprit(); return 0; }}"
    with pytest.raises(EmulationFault) as caught:
        emulate(build(source, core, *flags), board(run_on or core), **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("(void)REGISTER(0x30000000);", "reads address 0x30000000"),
        ("REGISTER(0x20010000) = 1;", "writes address 0x20010000"),  # one past the end of RAM
        ("REGISTER(0x100) = 1;", "writes to the read-only address"),
        ("((void (*)(void))0x10000001)();", "jumps to address 0x10000000"),
        ('__asm__ volatile("udf #0");', "executes an undefined instruction"),
        ('__asm__ volatile("svc #0");', "stops with SVC"),
        ('__asm__ volatile("bkpt #1");', "stops with BKPT"),
        ('__asm__ volatile("wfi");', "sleeps"),
        ("REGISTER(0xE000E010) = 3;", "enables an interrupt"),
        ("REGISTER(0xE000E100) = 1;", "enables an interrupt"),
        ("REGISTER(0xE000ED0C) = 0x05FA0004;", "resets the chip"),
        ("(void)host(0x99, 0);", "semihosting operation 0x99"),
        ("(void)host(0x04, (void *)0x70000000);", "pointer outside its memory"),
    ],
)
def test_forbidden(body, what):
    text = fault(body)
    assert what in text
    assert text.startswith("culprit") or "jumps" in what or "semihosting" in what or "pointer" in what


def test_message_names_the_nearest_symbol_and_last_words():
    text = fault('print("so far so good\\n"); (void)REGISTER(0x30000000);')
    assert text.startswith("culprit+0x")
    assert "so far so good" in text


def test_data_symbols_are_named():
    text = fault("static volatile uint32_t table[4]; (*(volatile uint32_t *)((uintptr_t)table + 0x10000000)) = 1;")
    assert "0x30000000" in text


def test_unaligned_access_on_m0plus():
    body = "static uint32_t two[2]; REGISTER((uintptr_t)two + 1) = 1;"
    assert "unaligned" in fault(body, "cortex-m0plus")


@pytest.mark.parametrize(
    "access", ["ldrd r0, r1, [%0]", "stm %0, {r0, r1}", "ldm.w %0!, {r8, r9}", "vldr s0, [%0, #4]"]
)
def test_unaligned_words(access):
    """Unicorn carries these out; chips do not."""
    body = 'static uint32_t four[4]; uintptr_t at = (uintptr_t)four + %d; __asm__ volatile("%s" : "+r"(at) :: %s);'
    clobbers = '"r0", "r1", "r8", "r9", "s0", "memory"'
    assert "unaligned" in fault(body % (2, access, clobbers))
    source = f"int main(void) {{ {body % (4, access, clobbers)} return 7; }}"
    assert emulate(build(source), board()).exit_status == 7


def test_unaligned_access_that_is_not_executed():
    body = '__asm__ volatile("cmp %0, #0\\n\\tit eq\\n\\tldrdeq r0, r1, [%0]" :: "r"(3) : "r0", "r1", "cc");'
    assert emulate(build(f"int main(void) {{ {body} return 7; }}"), board()).exit_status == 7


def test_never_ending_firmware():
    assert "longer than 1,000,000 instructions" in fault("for (;;) REGISTER(0x20000000);", max_instructions=1_000_000)
    assert "longer than 0 s" in fault("for (;;) REGISTER(0x20000000);", timeout_s=0)


@pytest.mark.parametrize(
    ("body", "core", "run_on", "why"),
    [
        ('__asm__ volatile("smuad r0, r0, r0" ::: "r0");', "cortex-m4", "cortex-m3", "DSP extension"),
        ('__asm__ volatile(".inst.w 0xFB90F0F0");', "cortex-m0plus", "cortex-m0plus", "Armv6-M"),  # sdiv
        ('__asm__ volatile(".inst.n 0xB100");', "cortex-m0plus", "cortex-m0plus", "Armv6-M"),  # cbz
        (
            '__asm__ volatile("vmov.f32 s0, #1.0" ::: "s0");',
            "cortex-m4",
            "cortex-m3",
            "no floating-point unit",
        ),
        ('__asm__ volatile("vrinta.f32 s0, s0" ::: "s0");', "cortex-m7", "cortex-m4", "FPv5"),
        ('__asm__ volatile("lda r0, [sp]" ::: "r0");', "cortex-m33", "cortex-m7", "Armv8-M"),
        ('__asm__ volatile(".inst.w 0xEE300B00");', "cortex-m7", "cortex-m7", "single precision"),  # vadd.f64
    ],
)
def test_instructions_the_core_lacks(body, core, run_on, why):
    text = fault(body, core, "-DFPU_STAYS_OFF", run_on=run_on)
    assert why in text
    assert text.startswith("culprit")


def test_fpu_must_be_switched_on():
    body = '__asm__ volatile("vmov.f32 s0, #1.0" ::: "s0");'
    assert "switched off" in fault(body, "cortex-m4", "-DFPU_STAYS_OFF")


def test_double_precision_where_the_board_has_it():
    source = 'int main(void) { __asm__ volatile(".inst.w 0xEE300B00"); return 0; }'
    dp = replace(board("cortex-m7"), features=frozenset({"dsp", "fpu-dp"}))
    assert emulate(build(source, "cortex-m7"), dp).exit_status == 0


def test_image_must_fit_the_memory_map():
    small = replace(board(), memory=(MemoryRegion("flash", 0x10000, 4096), *board().memory[1:]))
    with pytest.raises(EmulationFault, match=r"outside the memory of test-cortex-m4"):
        emulate(build("int main(void) { return 0; }"), small)


def test_wrong_calls(tmp_path):
    elf = build("int main(void) { return 0; }")
    with pytest.raises(UsageError, match="no symbol 'nothing'"):
        emulate(elf, board(), roi="nothing")
    with pytest.raises(UsageError, match="cannot be emulated"):
        emulate(elf, board("cortex-m55"))
    with pytest.raises(UsageError, match="whole pages"):
        emulate(elf, replace(board(), memory=(replace(board().memory[0], size=5000), board().memory[1])))
    (tmp_path / "text.elf").write_text("no firmware")
    with pytest.raises(UsageError, match="cannot be read as an ELF file"):
        emulate(tmp_path / "text.elf", board())
    with pytest.raises(UsageError, match="cannot be read"):
        emulate(tmp_path / "missing.elf", board())
