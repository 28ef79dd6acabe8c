"""What a program will need, before any C exists."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.boards import Board, all_boards
from tinycompile.cost import kernel_cycles
from tinycompile.errors import DoesNotFit
from tinycompile.schedule import Call, Program
from tinycompile.schedule.search import short_name


@dataclass(frozen=True)
class Estimate:
    """Bytes of the arena, bytes of constants in flash, predicted cycles, and multiply-accumulates."""

    arena: int
    constants: int
    cycles: int
    macs: int

    def milliseconds(self, board: Board) -> float:
        """Latency at the board's clock."""
        return 1e3 * self.cycles / board.clock_hz


def call_cycles(call: Call, program: Program, board: Board) -> int:
    """Predicted cycles of one call of a program."""
    return kernel_cycles(call.op, call.io(program.graph), call.kernel, board.core)


def estimate(program: Program, board: Board) -> Estimate:
    """The needs of a whole program; its code size is known only once it is linked."""
    graph = program.graph
    return Estimate(
        arena=program.arena_bytes,
        constants=sum(constants(program).values()),
        cycles=sum(call_cycles(call, program, board) for call in program.unrolled()),
        macs=sum(call.op.features(call.io(graph)).macs for call in program.unrolled()),
    )


def constants(program: Program) -> dict[str, int]:
    """Bytes of packed constants by the name of their op."""
    graph, found = program.graph, dict[str, int]()
    whole = {op.name: op for op in graph.ops}
    for name, kernel in {(call.op.name, call.kernel.name): call.kernel for call in program.unrolled()}.items():
        arrays = kernel.pack(whole[name[0]], graph.io(whole[name[0]]))
        found[name[0]] = found.get(name[0], 0) + sum(array.nbytes for array in arrays.values())
    return found


def check_flash(program: Program, board: Board) -> None:
    """Raise DoesNotFit where the constants alone exceed the flash, before any C is compiled.

    Code is not counted: the linker has the last word.
    """
    sizes = constants(program)
    needed, name = sum(sizes.values()), program.graph.name
    if needed <= board.flash.size:
        return
    largest = max(sizes, key=lambda op: sizes[op])
    others = [b.name for b in all_boards() if b.flash.size > needed and b.ram.size > program.arena_bytes]
    raise DoesNotFit(
        f"{name} does not fit {board.name}: its constants alone are too large",
        memory="flash",
        needed=needed,
        available=board.flash.size,
        peak=f"{short_name(largest)}: {sizes[largest]:,} bytes of constants",
        hint="fewer channels" + (f"; or a board with more flash: {', '.join(others)}" if others else ""),
    )
