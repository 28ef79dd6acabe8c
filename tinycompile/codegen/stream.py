"""A streamed stage in C: a loop over a list of (layer, kind of row), and for each layer a table of its kinds.

Where the input is pushed, layer 0 of the list is the application: a line waits for a row, its kind is the slot of
the ring that the row belongs in, and the layers count from 1. Where a window slides over the rows, layer 1 is its
end, and the layers count from 2; behind the last line the list goes on where the second window begins.

The phases of the rings repeat, so rows differ in few ways: a table has one line for each way, not for each
row, and the list is two bytes a row. Code is one call a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinycompile.codegen.arguments import Argument, arguments, fold
from tinycompile.codegen.layer import Layer
from tinycompile.schedule.program import Arrival, Program, Stream
from tinycompile.schedule.pushed import Pushed

WINDOW_ENDS = (1, 0)
"""The line of the list behind the calls of a sliding window."""


def stream(
    step: Stream, program: Program, layers: Mapping[tuple[str, str], Layer], prefix: str, pushed: Pushed | None = None
) -> dict[str, Any]:
    """What the template prints of a streamed stage; ``prefix`` starts the names of its tables.

    ``pushed`` is the input whose rows arrive in it.
    """
    kinds: dict[str, dict[tuple[Argument, ...], int]] = {}
    position = {call.op.name: i for i, call in enumerate(step.body, (pushed is not None) + bool(step.hops))}
    order = []
    for window in (step.events, *step.hops):
        for call in window:
            if isinstance(call, Arrival):
                assert pushed is not None
                order.append((0, pushed.slot(call)))
                continue
            mine = kinds.setdefault(call.op.name, {})
            order.append((position[call.op.name], mine.setdefault(arguments(call, program), len(mine))))
        order += [WINDOW_ENDS] if step.hops else []
    calls = []
    for call in step.body:
        layer = layers[call.op.name, call.kernel.name]
        variants = list(kinds[call.op.name])
        rows: list[list[int]] = [[] for _ in variants]
        text = fold(variants, rows)
        number = position[call.op.name]
        calls.append({
            "number": number, "symbol": layer.symbol, "arguments": text, "rows": rows if rows[0] else [],
            "table": f"{prefix}_rows_{number}", "type": _type(rows),
        })  # fmt: skip
    largest = max(max(pair) for pair in order)
    kind = "uint8_t" if largest < 256 else "uint16_t"
    repeats = len(step.events) + 1 if step.hops else 0
    return {"order": order, "name": f"{prefix}_order", "type": kind, "calls": calls, "repeats": repeats}


def _type(rows: list[list[int]]) -> str:
    """The narrowest C type that holds every number of a table."""
    return "int16_t" if all(-(1 << 15) <= value < 1 << 15 for row in rows for value in row) else "int32_t"
