"""What a call passes to its kernel: pointers into the arena, then the extents that the kernel asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tinycompile.codegen.names import bank_name
from tinycompile.errors import InternalError
from tinycompile.ir import IO, Pad
from tinycompile.schedule.program import Call, Program


@dataclass(frozen=True)
class Argument:
    """One C argument: a byte offset into a bank with its pointer type, or a plain number (``pointer`` empty)."""

    value: int
    pointer: str = ""
    bank: int = 0

    def text(self, value: str) -> str:
        """The C expression, given the expression of its value."""
        return f"({self.pointer})(void *)({bank_name(self.bank)} + {value})" if self.pointer else value


def parameters(kernel_arguments: Sequence[str], io: IO, has_scratch: bool) -> str:
    """The C parameter list of a kernel function."""
    pointers = [f"{io.out.dtype.c_type} *out"]
    pointers += [f"const {t.dtype.c_type} *in{i}" for i, t in enumerate(io.activations)]
    if has_scratch:
        pointers.append("void *scratch")
    return ", ".join(pointers + [f"int32_t {a}" for a in kernel_arguments])


def arguments(call: Call, program: Program) -> tuple[Argument, ...]:
    """The arguments of one call, in the order of ``parameters``."""
    io = call.io(program.graph)
    found = [_pointer(program, call.output.offset, f"{io.out.dtype.c_type} *")]
    for view, tensor in zip(call.inputs, io.activations, strict=True):
        found.append(_pointer(program, view.offset, f"const {tensor.dtype.c_type} *"))
    if call.scratch is not None:
        found.append(_pointer(program, call.scratch, "void *"))
    return (*found, *map(Argument, extents(call, program).values()))


def extents(call: Call, program: Program) -> dict[str, int]:
    """The arguments of one call behind its pointers, by name."""
    io = call.io(program.graph)
    return {name: _extent(call, io, name) for name in call.kernel.arguments}


def _pointer(program: Program, offset: int, pointer: str) -> Argument:
    bank, start = program.place(offset)
    return Argument(start, pointer, bank)


def fold(variants: Sequence[tuple[Argument, ...]], rows: Sequence[list[int]]) -> str:
    """Arguments of the same call as C text: a literal where all variants agree, else a new column of ``rows``.

    ``rows`` has a list for each variant, which gets its value; in C, ``t`` is that variant's row of the table.
    """
    texts = []
    for column in zip(*variants, strict=True):
        if all(argument == column[0] for argument in column):
            texts.append(column[0].text(str(column[0].value)))
            continue
        if len({argument.bank for argument in column}) > 1:
            raise InternalError("the calls of one layer find a tensor in different banks")
        texts.append(column[0].text(f"t[{len(rows[0])}]"))
        for row, argument in zip(rows, column, strict=True):
            row.append(argument.value)
    return ", ".join(texts)


def _extent(call: Call, io: IO, name: str) -> int:
    """The value of an argument; pitches and rings in elements, which is what pointer arithmetic in C counts."""
    if name in ("pad_top", "pad_left"):
        pad: Pad = getattr(call.op, "pad", Pad())
        return pad.top if name == "pad_top" else pad.left
    match = re.fullmatch(r"(out|in(\d+))_(h|w|top|left|pitch|turn|ring|first|last)", name)
    if match is None:
        raise InternalError(f"kernel {call.kernel.name!r} asks for the unknown argument {name!r}")
    view = call.output if match[1] == "out" else call.inputs[int(match[2])]
    dtype = io.out.dtype if match[1] == "out" else io.activations[int(match[2])].dtype
    if match[3] in ("pitch", "ring"):
        return (view.pitch if match[3] == "pitch" else view.ring_bytes) // dtype.size
    if match[3] in ("first", "last"):
        return int(call.part is None or (call.part.starts if match[3] == "first" else call.part.ends))
    if match[3] in ("top", "left"):
        return view.top if match[3] == "top" else view.left
    if match[3] == "turn":
        return view.turn
    return view.hw[0] if match[3] == "h" else view.hw[1]
