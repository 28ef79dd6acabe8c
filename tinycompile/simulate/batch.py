"""Many programs as one image: a model whose single input and output are all of theirs, end to end.

Compilers and emulators take a second to start; with a batch they start once. Tests compare the output's bytes, and
benchmarks ask what each program's functions cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tinycompile.backends import Kernel
from tinycompile.codegen import Sources, render
from tinycompile.ir import Array, Graph, Tensor, Window
from tinycompile.schedule.program import Call, Program, Stream, View
from tinycompile.simulate.reference import reference


@dataclass(frozen=True)
class Batch:
    """The sources of one image, the bytes of its input, and the bytes that its output must have.

    ``layers`` has, for each program, the C functions of its layers.
    """

    sources: Sources
    given: bytes
    expected: bytes
    layers: tuple[tuple[str, ...], ...]


def combine(programs: Sequence[Program], inputs: Sequence[Mapping[str, Array]]) -> Batch:
    """One image of all programs, which run one after the other in the same arena, each on its own inputs."""
    files: dict[str, str] = {}
    calls, layers = [], []
    given, expected, work = b"", b"", 0
    for i, (program, values) in enumerate(zip(programs, inputs, strict=True)):
        sources = render(program, name=f"case{i}")
        layers.append(tuple(sources.layers))
        files.update({name.replace(".c", ".inc"): text for name, text in sources.files.items()})
        outputs = reference(program.graph, values)
        places, results = [], []
        for name in program.graph.inputs:
            places.append(len(given))
            given += _padded(values[name])
        for name in program.graph.outputs:
            results.append(len(expected))
            expected += _padded(outputs[name])
        pointers = [f"(const void *)(in + {p})" for p in places] + [f"(void *)(out + {p})" for p in results]
        calls.append(f"status |= (unsigned)case{i}_run(work, {', '.join(pointers)});\n")
        work = max(work, program.arena_bytes)
    files.pop("tc_firmware_model.inc", None)
    start = -(-(len(given) + len(expected)) // 16) * 16
    files |= _model(len(given), len(expected), start, start + work, calls)
    return Batch(Sources("batch", files, "batch_run", {}), given, expected, tuple(layers))


def alone(graph: Graph, kernel: Kernel) -> Program:
    """The program of a graph with one op: its inputs, its output and the kernel's scratch side by side."""
    (op,) = graph.ops
    io = graph.io(op)
    views, cursor = {}, 0
    for tensor in dict.fromkeys((*io.activations, io.out)):
        views[tensor.name] = _view(tensor, cursor)
        cursor += -(-tensor.nbytes // 4) * 4
    scratch = kernel.scratch(op, io)
    call = Call(op, kernel, tuple(views[t.name] for t in io.activations), views[op.output], cursor if scratch else None)
    inputs = tuple(views[name] for name in graph.inputs)
    return Program(graph, (call,), cursor + scratch, inputs, (views[op.output],))


def in_rows(graph: Graph, kernel: Kernel) -> Program | None:
    """The same with one call for each row of the output; None where the op or the kernel cannot be cut so."""
    program = alone(graph, kernel)
    (op,), (full,) = graph.ops, program.unrolled()
    io, calls = graph.io(op), []
    if len(io.out.shape) != 4 or "out_pitch" not in kernel.arguments or {"out_top", "in0_top"} & set(kernel.arguments):
        return None
    height, width = io.out.hw
    for y in range(height):
        cut = op.restrict(io, Window(y, 0, 1, width))
        if cut is None:
            return None
        windows = [w for t, w in zip(io.inputs, cut.windows, strict=True) if t.data is None]
        sources = tuple(
            view if w is None else _strip(view, w.top, w.height) for view, w in zip(full.inputs, windows, strict=True)
        )
        call = Call(cut.op, kernel, sources, _strip(full.output, y, 1), full.scratch)
        if not kernel.fits(cut.op, call.io(graph)):
            return None
        calls.append(call)
    return Program(graph, (Stream(tuple(calls)),), program.arena_bytes, program.inputs, program.outputs)


def _strip(view: View, top: int, height: int) -> View:
    """Some rows of a whole tensor's view."""
    shape = (view.shape[0], height, *view.shape[2:])
    return replace(view, offset=view.offset + top * view.pitch, shape=shape, top=top)


def _view(tensor: Tensor, offset: int) -> View:
    pixels = tensor.shape[2:] if len(tensor.shape) == 4 else tensor.shape
    row = tensor.dtype.size
    for extent in pixels:
        row *= extent
    return View(tensor.name, offset, tensor.shape, row)


def _padded(array: Array) -> bytes:
    """The array's bytes, up to a multiple of 4."""
    return array.tobytes() + b"\0" * (-array.nbytes % 4)


def _model(given: int, expected: int, start: int, arena: int, calls: Sequence[str]) -> dict[str, str]:
    """The files that make one model of all cases: inputs and outputs end to end, then the arena they share."""
    cases = range(len(calls))
    includes = "\n".join(f'#include "case{i}_weights.inc"\n#include "case{i}.inc"' for i in cases)
    header = f"""#include "tc.h"
#define BATCH_ARENA_BYTES {arena}
tc_status batch_run(uint8_t *arena, const int8_t *input, int8_t *output);
"""
    body = f"""#include "batch.h"
{includes}

tc_status batch_run(uint8_t *arena, const int8_t *input, int8_t *output)
{{
    uint8_t *in = arena, *out = arena + {given}, *work = arena + {start};
    unsigned status = 0;
    (void)input;
    (void)output;
{"".join(f"    {call}" for call in calls)}    return (tc_status)status;
}}
"""
    firmware = f"""#include "batch.h"
#define TC_MODEL_NAME "batch"
#define TC_MODEL_ARENAS(X) X(tc_arena, ".noinit", BATCH_ARENA_BYTES)
#define TC_MODEL_ARENA_ALIGN TC_ARENA_ALIGN
#define TC_MODEL_STREAMED 0
#define TC_MODEL_RUN() batch_run(tc_arena, NULL, NULL)
#define TC_MODEL_INPUT_COUNT 1
#define TC_MODEL_INPUTS {{ {{ tc_arena, {given}, {{ 1, 0, 0 }}, 0, 1 }} }}
#define TC_MODEL_INPUT_BYTES {given}
#define TC_MODEL_OUTPUT_BYTES {expected}
#define TC_MODEL_OUTPUT_COUNT 1
#define TC_MODEL_OUTPUTS {{ {{ tc_arena + {given}, {expected}, {{ 1, 0, 0 }}, 0, 1 }} }}
"""
    return {"batch.h": header, "batch.c": body, "tc_firmware_model.h": firmware}
