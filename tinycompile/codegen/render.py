"""``Program`` to ``Sources``: finished numbers and names go into the templates, which only print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import jinja2

from tinycompile import resources
from tinycompile.codegen import checked as canaries
from tinycompile.codegen.arguments import arguments, extents, fold, parameters
from tinycompile.codegen.constants import declaration, definition, fixed_point, number
from tinycompile.codegen.layer import Layer
from tinycompile.codegen.names import bank_name, bank_symbols, comment_text, identifier, snake
from tinycompile.codegen.sources import Sources
from tinycompile.codegen.stream import stream
from tinycompile.errors import InternalError
from tinycompile.ir import Array
from tinycompile.schedule.program import Call, Program, Stream, View
from tinycompile.schedule.pushed import Pushed, pushed

RUNTIME = ("include/tc.h", "include/tc_numerics.h")


def render(program: Program, *, name: str | None = None, checked: bool = False) -> Sources:
    """The C of a program. ``checked`` builds watch every free byte of the arena around every call.

    Raises InternalError where a kernel's template or arguments are inconsistent.
    """
    prefix = identifier(name or program.graph.name)
    layers = _layers(program, prefix)
    arrays = {layer.array_name(n): a for layer in layers for n, a in layer.arrays.items()}
    context = _context(program, prefix, layers, arrays, checked=checked)
    files = {
        f"{prefix}.h": _print("model.h.j2", context),
        f"{prefix}.c": _print("model.c.j2", context),
        f"{prefix}_weights.h": _print("weights.h.j2", context),
        f"{prefix}_weights.c": _print("weights.c.j2", context),
        "tc_firmware_model.h": _print("firmware_model.h.j2", context),
    }
    runtime = resources.folder("runtime_c")
    for source in (*RUNTIME, *context["includes"]):
        files[source.rsplit("/", 1)[-1]] = (runtime / source).read_text(encoding="utf-8")
    names = {layer.symbol: layer.op.name for layer in layers}
    return Sources(prefix, files, f"{prefix}_run", names, push=f"{prefix}_push_rows" if context["pushed"] else None)


def _context(
    program: Program, prefix: str, layers: Sequence[Layer], arrays: Mapping[str, Array], *, checked: bool
) -> dict[str, Any]:
    """All that the templates of a model's files name."""
    guards = canaries.Guards(program) if checked else None
    return {
        "name": prefix,
        "NAME": prefix.upper(),
        **_arena(program, prefix, checked=checked),
        "pushed": pushed(program),
        "inputs": _ports(program, prefix, program.inputs, "input"),
        "outputs": _ports(program, prefix, program.outputs, "output"),
        "declarations": [declaration(n, a) for n, a in arrays.items()],
        "definitions": (definition(n, a) for n, a in arrays.items()),
        "functions": [_function(layer) for layer in layers],
        "statements": list(_statements(program, {(x.op.name, x.kernel.name): x for x in layers}, prefix, guards)),
        "includes": sorted({s for layer in layers for s in layer.kernel.sources}),
        "guards": guards,
        "number": number,
        "fixed_point": fixed_point,
    }


def _arena(program: Program, prefix: str, *, checked: bool) -> dict[str, Any]:
    """What the templates tell of the arena and its banks; a checked build has a guard behind the last one."""
    banks, last = [], program.banks[-1]
    for i, bank in enumerate(program.banks):
        banks.append(
            {
                "name": bank_name(i),
                "MACRO": f"{prefix}_{bank_name(i)}".upper(),
                "bytes": bank.size + (canaries.TAIL if checked and bank is last else 0),
                "used": bank.size,
                "region": bank.region,
                "section": ".noinit" if bank.region == "sram" else f".arena.{bank.region}",
            }
        )
    names = [bank_name(i) for i in range(len(banks))]
    first = program.inputs[0].offset if program.inputs else 0
    return {
        "banks": banks,
        "split": len(banks) > 1,
        "placed": [bank.region for bank in program.banks] != ["sram"],
        "arena_names": ", ".join(names),
        "arena_symbols": ", ".join(bank_symbols(len(banks))),
        "arena_parameters": ", ".join(f"uint8_t *{name}" for name in names),
        "const_arena_parameters": ", ".join(f"const uint8_t *{name}" for name in names),
        "no_arena": " || ".join(f"{n} == NULL || ((uintptr_t){n} & (TC_ARENA_ALIGN - 1u)) != 0" for n in names),
        "ring": _place(program, first),
        "position": _place(program, program.position or 0),
    }


def _place(program: Program, offset: int) -> dict[str, Any]:
    """The pointer to the bank in which a byte of the arena lies, and its offset there."""
    bank, start = program.place(offset)
    return {"arena": bank_name(bank), "offset": start}


def _layers(program: Program, prefix: str) -> list[Layer]:
    graph = program.graph
    index = {op.name: i for i, op in enumerate(graph.ops)}
    whole = {op.name: op for op in graph.ops}
    found: dict[tuple[str, str], Layer] = {}
    for key, calls in _calls(program).items():
        op, kernel = whole[key[0]], calls[0].kernel
        symbol = f"{prefix}_{index[op.name]:02d}_{snake(type(op).__name__)}"
        if any(layer.symbol == symbol for layer in found.values()):
            symbol = f"{symbol}_{identifier(kernel.name)}"
        found[key] = Layer(symbol, op, graph.io(op), kernel, _fixed(calls, program))
    return list(found.values())


def _calls(program: Program) -> Mapping[tuple[str, str], list[Call]]:
    """By op and kernel, all calls that the program ever makes."""
    found: dict[tuple[str, str], list[Call]] = {}
    for step in program.steps:
        windows = (step.events, *step.hops) if isinstance(step, Stream) else ((step,),)
        for event in (event for window in windows for event in window):
            if isinstance(event, Call):
                found.setdefault((event.op.name, event.kernel.name), []).append(event)
    return found


def _fixed(calls: Sequence[Call], program: Program) -> Mapping[str, int]:
    """The arguments that are the same in all calls."""
    values = [extents(call, program) for call in calls]
    return {name: value for name, value in values[0].items() if all(other[name] == value for other in values)}


def _function(layer: Layer) -> str:
    op, io, kernel = layer.op, layer.io, layer.kernel
    head = parameters(kernel.arguments, io, kernel.scratch(op, io) > 0)
    comment = comment_text(f"{op.name}: {op.label()}, {io.out}, by {kernel.name}")
    signature = f"/* {comment} */\nTC_LAYER void {layer.symbol}({head})"
    context = {
        "signature": signature,
        "op": op,
        "io": io,
        "c": SimpleNamespace(**{n: layer.array_name(n) for n in layer.arrays}),
        "n": SimpleNamespace(**kernel.numbers(op, io)),
        "p": op.parameters(io),
        "layer": {
            "signature": signature,
            "symbol": layer.symbol,
            "arguments": kernel.arguments,
            "fixed": layer.fixed,
        },
    }
    return _print(kernel.template, context)


def _statements(
    program: Program, layers: Mapping[tuple[str, str], Layer], prefix: str, guards: canaries.Guards | None
) -> Iterator[dict[str, Any]]:
    """One entry a step: a call with literal arguments, or a stream."""
    number_of_call = 0
    arriving: Pushed | None = pushed(program)
    for position, step in enumerate(program.steps):
        if isinstance(step, Stream):
            free = guards.tables(position, number_of_call, len(step.calls)) if guards else None
            number_of_call += len(step.calls)
            printed = stream(step, program, layers, f"{prefix}_{position}", arriving)
            yield {"free": free, "stream": printed}
            arriving = None
            continue
        symbol = layers[step.op.name, step.kernel.name].symbol
        text = fold([arguments(step, program)], [[]])
        free = guards.tables(position, number_of_call, 1) if guards else None
        yield {"free": free, "stream": None, "symbol": symbol, "arguments": text}
        number_of_call += 1


def _ports(program: Program, prefix: str, views: tuple[View, ...], kind: str) -> list[dict[str, Any]]:
    """What the header tells of each input or output."""
    found = []
    for i, view in enumerate(views):
        tensor, port = program.graph.tensors[view.tensor], program.graph.port(view.tensor)
        suffix = str(i) if len(views) > 1 else ""
        found.append(
            {
                "argument": f"{kind}{suffix}",
                "MACRO": f"{prefix}_{kind}{suffix}".upper(),
                "tensor": tensor,
                "port": port,
                "layout": port.layout,
                **_place(program, view.offset),
                "streamed": kind == "input" and program.position is not None,
                "scale": tensor.quant.scalar if tensor.quant else 1.0,
                "zero_point": tensor.zero_point,
            }
        )
    return found


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.folder("codegen_templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["comment"] = comment_text
    return environment


def _print(template: str, context: Mapping[str, Any]) -> str:
    try:
        return _environment().get_template(template).render(**context)
    except jinja2.TemplateError as error:
        raise InternalError(f"template {template}: {error}") from error
