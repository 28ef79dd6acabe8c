"""Generated C as a program of this machine: inputs from stdin through each model to stdout."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinycompile.codegen import Sources, render
from tinycompile.ir import Array
from tinycompile.schedule import Program
from tinycompile.simulate import reference

MAIN = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "all.c"

/* Exactly as large as promised, so that a sanitizer sees the first byte beyond. */
static void *buffer(size_t bytes, int fill) {
    void *found = NULL;
    if (posix_memalign(&found, TC_ARENA_ALIGN, bytes) != 0) {
        abort();
    }
    memset(found, fill, bytes);
    return found;
}

static void *read_buffer(size_t bytes) {
    void *found = buffer(bytes, 0);
    if (fread(found, 1, bytes, stdin) != bytes) {
        abort();
    }
    return found;
}

int main(void) {
%s    return 0;
}
"""

CALL = """    {{
        uint8_t *const arena = (uint8_t *)buffer({arena}, 0xA7);
{buffers}        if ({run}(arena, {names}) != TC_OK) {{
            return 1;
        }}
{writes}        free(arena);
{frees}    }}
"""


def write(programs: Sequence[Program], folder: Path) -> list[Sources]:
    """All programs in ``folder``: ``all.c`` includes their C, ``main.c`` runs one inference of each."""
    found, calls = [], []
    for i, program in enumerate(programs):
        sources = render(program, name=f"case{i}")
        sources.write(folder)
        found.append(sources)
        calls.append(_call(program, sources.run))
    names = [f"{s.name}{part}.c" for s in found for part in ("_weights", "")]
    (folder / "all.c").write_text("".join(f'#include "{name}"\n' for name in names))
    (folder / "main.c").write_text(MAIN % "".join(calls))
    return found


def _call(program: Program, run: str) -> str:
    size = {v.tensor: program.graph.tensors[v.tensor].nbytes for v in (*program.inputs, *program.outputs)}
    types = {name: program.graph.tensors[name].dtype.c_type for name in size}
    inputs = {v.tensor: f"in{k}" for k, v in enumerate(program.inputs)}
    outputs = {v.tensor: f"out{k}" for k, v in enumerate(program.outputs)}
    pad = " " * 8
    made = {n: f"({types[n]} *)read_buffer({size[n]})" for n in inputs}
    made_out = {n: f"({types[n]} *)buffer({size[n]}, 0)" for n in outputs}
    return CALL.format(
        arena=program.arena_bytes,
        run=run,
        buffers="".join(f"{pad}{types[n]} *const {v} = {made[n]};\n" for n, v in inputs.items())
        + "".join(f"{pad}{types[n]} *const {v} = {made_out[n]};\n" for n, v in outputs.items()),
        names=", ".join((*inputs.values(), *outputs.values())),
        writes="".join(f"{pad}fwrite({v}, 1, {size[n]}, stdout);\n" for n, v in outputs.items()),
        frees="".join(f"{pad}free({v});\n" for v in (*inputs.values(), *outputs.values())),
    )


def assert_equal(program: Path, cases: Sequence[tuple[Program, dict[str, Array]]]) -> None:
    """The built ``main.c`` gives the bytes of the specification for every case, and complains of nothing."""
    given = b"".join(x[v.tensor].tobytes() for p, x in cases for v in p.inputs)
    done = subprocess.run([str(program)], input=given, capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode(errors="replace")[-4000:]
    at = 0
    for p, x in cases:
        expected = reference(p.graph, x)
        for view in p.outputs:
            want = expected[view.tensor]
            got = np.frombuffer(done.stdout[at : at + want.nbytes], want.dtype).reshape(want.shape)
            np.testing.assert_array_equal(got, want, err_msg=str(p.graph))
            at += want.nbytes
    assert at == len(done.stdout)


def assert_no_warning(program: Program, command: Sequence[str], folder: Path) -> None:
    """Both files of the program, checked and not, compile in silence with ``command``."""
    for checked in (False, True):
        render(program, name="net", checked=checked).write(folder)
        for name in ("net.c", "net_weights.c"):
            given = [*command, "-O1", "-c", "-o", str(folder / f"{name}.o"), str(folder / name)]
            result = subprocess.run(given, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stderr[-4000:]
