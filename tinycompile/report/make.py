"""The report as plain data; its shape is a contract that other programs rely on (``schema.json``)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycompile import __version__
from tinycompile.boards import Board
from tinycompile.codegen.names import bank_symbols
from tinycompile.ir import Graph, Op
from tinycompile.schedule import Call, View
from tinycompile.schedule.pushed import pushed

if TYPE_CHECKING:
    from tinycompile.api.compile import Compiled
    from tinycompile.api.verify import Verification
    from tinycompile.deploy import Firmware

SCHEMA_VERSION = 1


def make_report(
    model: Path,
    compiled: Compiled,
    firmware: Firmware,
    host: Path,
    verification: Verification,
    seconds: Mapping[str, float],
    *,
    board_file: str | None = None,
    budget: int | None = None,
) -> dict[str, Any]:
    """Everything that was decided and measured, as JSON-ready values. Sizes are bytes, times seconds.

    ``board_file`` is the path of the board's own .toml where it is not one that ships with tinycompile, ``budget``
    what the firmware was allowed of the SRAM (None: all of it).
    """
    layers = _layers(compiled, firmware, verification)
    graph, program, cost = compiled.graph, compiled.program, verification.emulation
    estimated = sum(layer["cycles_estimated"] for layer in layers)
    emulated = cost.cycles if cost else None
    return {
        "schema_version": SCHEMA_VERSION,
        "tinycompile": __version__,
        "model": _model(model, graph, program.graph),
        "board": _board(compiled.board, board_file),
        "fits": True,
        "memory": _memory(compiled, firmware, verification, budget),
        "macs": sum(layer["macs"] for layer in layers),
        "instructions": cost.instructions if cost else None,
        "cycles": {"estimated": estimated, "emulated": emulated},
        "milliseconds": 1e3 * (emulated or estimated) / compiled.board.clock_hz,
        "inference_function": compiled.sources.run,
        "input": _input(compiled),
        "header": compiled.sources.header,
        "host_library": host.name,
        "firmware": {"elf": firmware.elf.name, "bin": firmware.bin.name, "hex": firmware.hex.name},
        "console": firmware.console,
        "inputs": [_port(graph, view, held=program.position is None) for view in program.inputs],
        "outputs": [_port(graph, view) for view in program.outputs],
        "layers": layers,
        "quantization": _quantization(compiled),
        "verification": {
            "stages": list(verification.stages),
            "samples": verification.samples,
            "agree": bool(verification.stages),
        },
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def _input(compiled: Compiled) -> dict[str, Any]:
    """Whether the input is held as a whole, or its rows are pushed into a ring of the arena."""
    facts, program, core = pushed(compiled.program), compiled.program, compiled.board.core
    hop = facts and facts.hop
    return {
        "mode": "resident" if facts is None else "sliding" if hop else "streamed",
        "push_function": compiled.sources.push,
        "rows": facts and facts.rows,
        "row_bytes": facts and facts.row_bytes,
        "ring_rows": facts and facts.slots,
        "ring_bytes": facts and facts.ring_bytes,
        "hop_rows": hop,
        "hop_macs": _macs(program.hop, program.graph, compiled.graph) if hop else None,
        "hop_cycles_estimated": sum(c.cycles(program.graph, core) for c in program.hop) if hop else None,
    }


def _board(board: Board, file: str | None) -> dict[str, Any]:
    return {
        "name": board.name,
        "file": file,
        "core": board.core,
        "clock_hz": board.clock_hz,
        "memory": [{"name": r.name, "origin": r.origin, "size": r.size} for r in board.memory],
    }


def _model(model: Path, graph: Graph, planned: Graph) -> dict[str, Any]:
    return {
        "file": model.name,
        "path": str(model.resolve()),
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "name": graph.name,
        "operators": len(graph.ops),
        "parameters": sum(t.size for t in graph.tensors.values() if t.data is not None),
        "channels": _channels(graph),
        "dead_channels": _channels(graph) - _channels(planned),
        "dead_macs": sum(_op_macs(graph).values()) - sum(_op_macs(planned).values()),
    }


def _op_macs(graph: Graph) -> dict[str, int]:
    return {op.name: op.features(graph.io(op)).macs for op in graph.ops}


def _macs(calls: Sequence[Call], planned: Graph, model: Graph) -> int:
    """What calls count for in the model as it came: as much of an op as they compute of what is left of it."""
    of_model, left = _op_macs(model), _op_macs(planned)
    done = [(call.op.name, call.op.features(call.io(planned)).macs) for call in calls]
    return sum(macs * of_model[op] // left[op] for op, macs in done if macs)


def _channels(graph: Graph) -> int:
    return sum(graph.tensors[op.output].channels for op in graph.ops)


def _memory(compiled: Compiled, firmware: Firmware, verification: Verification, budget: int | None) -> dict[str, Any]:
    program, board = compiled.program, compiled.board
    cost, banks = verification.emulation, _banks(compiled, firmware, verification)
    resident = sum(compiled.graph.tensors[v.tensor].nbytes for v in program.inputs)
    flash = sum(r.size for r in board.memory if r.name == "flash")
    sram = sum(board.region(name).size for name in {"sram", *(b["region"] for b in banks)})
    available = sram if budget is None else min(sram, budget)
    return {
        "arena_bytes": program.arena_bytes,
        "arena_declared": banks[-1]["start"] + banks[-1]["declared"],
        "arena_bytes_without_input": program.arena_bytes_without_input,
        "arena_bound": program.bound,
        "arena_optimal": program.bound >= program.arena_bytes,
        "arena_touched": verification.arena_touched,
        "banks": banks,
        "input_bytes": resident,
        "stack_bytes": firmware.run_stack.bytes,
        "stack_reserved": firmware.stack_reserved,
        "stack_used": cost.stack_bytes if cost else None,
        "static_ram_bytes": firmware.static_ram_bytes,
        "sram_bytes": firmware.static_ram_bytes + firmware.stack_reserved,
        "sram_available": available,
        "sram_free": available - firmware.needs.total,
        "variables_bytes": firmware.needs.variables,
        "input_copy_bytes": firmware.needs.input_copy,
        "weights_ram_bytes": firmware.needs.weights,
        "weights_region": board.ram.name if firmware.needs.weights else board.flash.name,
        "keeps_input": firmware.keeps_input,
        "fast_code": _fast_code(firmware),
        "flash_bytes": firmware.flash_bytes,
        "flash_available": flash,
        "flash_sections": {
            "text": firmware.sizes.text,
            "rodata": firmware.sizes.rodata,
            "data": firmware.sizes.data,
            "padding": firmware.flash_bytes - firmware.sizes.text - firmware.sizes.rodata - firmware.sizes.data,
        },
    }


def _fast_code(firmware: Firmware) -> dict[str, Any] | None:
    """What start-up copies to the board's memory for code."""
    fast = firmware.fast_code
    if fast is None:
        return None
    available = firmware.board.region(fast.region).size
    return {"region": fast.region, "bytes": fast.bytes, "available": available, "functions": list(fast.functions)}


def _banks(compiled: Compiled, firmware: Firmware, verification: Verification) -> list[dict[str, Any]]:
    """One entry for each part of the arena: the memory that it lies in, and its bytes."""
    symbols = bank_symbols(len(compiled.program.banks))
    touched = verification.banks_touched or (None,) * len(symbols)
    return [
        {
            "region": bank.region,
            "start": bank.start,
            "bytes": bank.size,
            "declared": firmware.symbols[symbol],
            "touched": high,
            "available": compiled.board.region(bank.region).size,
        }
        for bank, symbol, high in zip(compiled.program.banks, symbols, touched, strict=True)
    ]


def _layers(compiled: Compiled, firmware: Firmware, verification: Verification) -> list[dict[str, Any]]:
    """One entry for each C function of a layer: its kernel, what it costs, and the error that its op adds."""
    ops = {op.name: op for op in compiled.program.graph.ops}
    costs = {c.name: c for c in verification.emulation.layers} if verification.emulation else {}
    errors = {error.op: error for error in compiled.quantized.report.ops}
    calls: dict[str, list[Call]] = {}
    for call in compiled.program.unrolled():
        calls.setdefault(call.op.name, []).append(call)
    found = []
    for symbol, name in compiled.sources.layers.items():
        cost, error = costs.get(symbol), errors.get(name)
        found.append(
            {
                **_planned(ops[name], calls[name], compiled),
                "symbol": symbol,
                "flash_constants": sum(n for s, n in firmware.symbols.items() if s.startswith(f"{symbol}_")),
                "flash_code": firmware.symbols.get(symbol, 0),
                "code_region": _code_region(firmware, symbol),
                "cycles_emulated": cost.cycles if cost else None,
                "instructions": cost.instructions if cost else None,
                "snr_added_db": _finite(error.added) if error else None,
                "snr_total_db": _finite(error.total) if error else None,
            }
        )
    return found


def _code_region(firmware: Firmware, symbol: str) -> str:
    """The memory that a layer's function runs from."""
    fast = firmware.fast_code
    return fast.region if fast is not None and symbol in fast.functions else firmware.board.flash.name


def _planned(op: Op, calls: Sequence[Call], compiled: Compiled) -> dict[str, Any]:
    """What is known of a layer before it is compiled."""
    graph = compiled.program.graph
    return {
        "name": op.name,
        "op": type(op).__name__,
        "kernel": calls[0].kernel.name,
        "output": op.output,
        "shape": list(graph.tensors[op.output].shape),
        "calls": len(calls),
        "macs": _macs(calls, graph, compiled.graph),
        "cycles_estimated": sum(call.cycles(graph, compiled.board.core) for call in calls),
    }


def _finite(value: float) -> float | None:
    """The value, or None where JSON has no number for it."""
    return value if math.isfinite(value) else None


def _quantization(compiled: Compiled) -> dict[str, Any]:
    """Where ranges came from and what they are; the layers carry the errors."""
    plain = compiled.quantized.report.to_json()
    del plain["ops"]
    return {"rounding": compiled.graph.rounding, **plain}


def _port(graph: Graph, view: View, *, held: bool = True) -> dict[str, Any]:
    tensor, port = graph.tensors[view.tensor], graph.port(view.tensor)
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.value,
        "layout": port.layout,
        "file_shape": list(port.shape),
        "file_dtype": port.dtype,
        "permutation": list(port.perm),
        "scale": tensor.quant.scalar if tensor.quant else None,
        "zero_point": tensor.quant.zero_point if tensor.quant else None,
        "offset": view.offset if held else None,
        "bytes": tensor.nbytes,
    }
