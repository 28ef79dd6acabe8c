"""Small programs for an invented board, built with the zig wheel's compiler."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

from tinycompile.boards import Board, MemoryRegion, load_board

HERE = Path(__file__).parent
CPUS = {
    "cortex-m0plus": ("cortex_m0plus", frozenset()),
    "cortex-m3": ("cortex_m3", frozenset()),
    "cortex-m4": ("cortex_m4+vfp4d16sp", frozenset({"dsp", "fpu-sp"})),
    "cortex-m7": ("cortex_m7+fp_armv8d16sp", frozenset({"dsp", "fpu-sp"})),
    "cortex-m33": ("cortex_m33+dsp+fp_armv8d16sp", frozenset({"dsp", "fpu-sp"})),
    "cortex-m55": ("cortex_m55+mve_fp+fp_armv8d16", frozenset({"dsp", "fpu-dp", "mve"})),
}
EMULATED = [core for core in CPUS if core != "cortex-m55"]
QEMU_MACHINES = {
    "cortex-m0plus": "mps2-an385",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an500",
    "cortex-m55": "mps3-an547",
}


@cache
def board(core: str = "cortex-m4") -> Board:
    """A board with 256 KiB of flash at 0 and 64 KiB of RAM, on any core."""
    memory = (MemoryRegion("flash", 0, 256 << 10), MemoryRegion("sram", 0x2000_0000, 64 << 10))
    return replace(
        load_board("mps2-an386"),
        name=f"test-{core}",
        core=core,
        features=CPUS[core][1],
        memory=memory,
        emulator=core if core in EMULATED else None,
        qemu=QEMU_MACHINES[core],
    )


@cache
def _scratch() -> Path:
    return Path(mkdtemp(prefix="tinycompile-emulator-"))


@cache
def build(source: str, core: str = "cortex-m4", *flags: str) -> Path:
    """An ELF file of a program in C, with `runtime.h` in front of it, for ``core``."""
    path = _scratch() / (sha256(repr((source, core, flags)).encode()).hexdigest()[:16] + ".elf")
    abi = "eabi" if core in ("cortex-m0plus", "cortex-m3") else "eabihf"
    command = [
        *(
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "-target",
            f"thumb-freestanding-{abi}",
            f"-mcpu={CPUS[core][0]}",
        ),
        *(
            "-O2",
            "-fno-sanitize=all",
            "-fno-vectorize",
            "-ffreestanding",
            "-include",
            str(HERE / "runtime.h"),
        ),
        *("-Wl,-e,Reset_Handler", "-Wl,-z,max-page-size=4096", f"-Wl,-T,{HERE / 'link.ld'}"),
        *("-x", "c", "-", "-o", str(path), *flags),
    ]
    done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return path
