"""What a program will need, before any C exists."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.boards import Board
from tinycompile.schedule import Program


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


def estimate(program: Program, board: Board) -> Estimate:
    """The needs of a whole program; its code size is known only once it is linked."""
    graph = program.graph
    whole = {op.name: op for op in graph.ops}
    kernels = {(call.op.name, call.kernel.name): call.kernel for call in program.unrolled()}
    packed = (kernel.pack(whole[name], graph.io(whole[name])) for (name, _), kernel in kernels.items())
    return Estimate(
        arena=program.arena_bytes,
        constants=sum(array.nbytes for arrays in packed for array in arrays.values()),
        cycles=sum(call.cycles(graph, board.core) for call in program.unrolled()),
        macs=sum(call.op.features(call.io(graph)).macs for call in program.unrolled()),
    )
