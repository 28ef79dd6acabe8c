"""What a program will need, before any C exists."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.boards import Board
from tinycompile.cost import kernel_cycles
from tinycompile.schedule import Call, Program


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
    whole = {op.name: op for op in graph.ops}
    kernels = {(call.op.name, call.kernel.name): call.kernel for call in program.unrolled()}
    packed = (kernel.pack(whole[name], graph.io(whole[name])) for (name, _), kernel in kernels.items())
    return Estimate(
        arena=program.arena_bytes,
        constants=sum(array.nbytes for arrays in packed for array in arrays.values()),
        cycles=sum(call_cycles(call, program, board) for call in program.unrolled()),
        macs=sum(call.op.features(call.io(graph)).macs for call in program.unrolled()),
    )
