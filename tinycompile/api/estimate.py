"""What a program will need, before any C exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinycompile.boards import Board, all_boards
from tinycompile.errors import DoesNotFit
from tinycompile.ir import Graph
from tinycompile.schedule import Program
from tinycompile.schedule.prices import Prices
from tinycompile.schedule.pushed import pushed
from tinycompile.schedule.search import short_name


@dataclass(frozen=True)
class Estimate:
    """Bytes of the arena, bytes of constants in flash, predicted cycles, and multiply-accumulates.

    ``ring`` is what a streamed input takes of the arena; it is 0 where the input is resident, and
    ``arena_without_input`` then is the arena if the application kept the input elsewhere. Where a window slides over
    the input, the figures are those of the first window, and ``hop_cycles`` and ``hop_macs`` those of each further one.
    """

    arena: int
    constants: int
    cycles: int
    macs: int
    arena_without_input: int
    ring: int = 0
    hop_cycles: int = 0
    hop_macs: int = 0

    def milliseconds(self, board: Board) -> float:
        """Latency at the board's clock."""
        return 1e3 * self.cycles / board.clock_hz


def estimate(program: Program, board: Board) -> Estimate:
    """The needs of a whole program; its code size is known only once it is linked."""
    graph, streamed, core = program.graph, pushed(program), board.core
    return Estimate(
        arena=program.arena_bytes,
        constants=sum(constants(program).values()),
        cycles=sum(call.cycles(graph, core) for call in program.unrolled()),
        macs=sum(call.op.features(call.io(graph)).macs for call in program.unrolled()),
        arena_without_input=program.arena_bytes_without_input,
        ring=streamed.ring_bytes if streamed is not None else 0,
        hop_cycles=sum(call.cycles(graph, core) for call in program.hop),
        hop_macs=sum(call.op.features(call.io(graph)).macs for call in program.hop),
    )


def constants(program: Program) -> dict[str, int]:
    """Bytes of packed constants by the name of their op."""
    graph, found = program.graph, dict[str, int]()
    whole = {op.name: op for op in graph.ops}
    for name, kernel in {(call.op.name, call.kernel.name): call.kernel for call in program.unrolled()}.items():
        arrays = kernel.pack(whole[name[0]], graph.io(whole[name[0]]))
        found[name[0]] = found.get(name[0], 0) + sum(array.nbytes for array in arrays.values())
    return found


def least_constants(graph: Graph, board: Board) -> int:
    """Bytes that the constants take at least, whichever kernels are chosen."""
    offers = Prices(graph, board).kernels
    return sum(
        min(kernel.flash(op, graph.io(op)) for kernel in offers[op.name]) for op in graph.ops if op.name in offers
    )


def check_ports(graph: Graph, board: Board) -> None:
    """Raise DoesNotFit where all inputs or all outputs, a byte an element, exceed the RAM: nothing else can help.

    Cheap, so that a model of absurd extents ends before anything is computed with them.
    """
    for kind, names in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        tensors = [graph.tensors[name] for name in names]
        needed = sum(t.size for t in tensors)
        available = sum(region.size for region in board.banks)
        if needed > available:
            raise DoesNotFit(
                f"{graph.name} does not fit {board.name}: its {kind} alone are too large",
                memory="SRAM",
                needed=needed,
                available=available,
                peak=", ".join(f"{short_name(t.name)} {'x'.join(map(str, t.shape))}" for t in tensors),
                hint="a smaller input" + _larger(ram=needed, flash=_weights(graph)),
            )


def check_flash(program: Program, board: Board) -> None:
    """Raise DoesNotFit where the constants alone exceed the flash, before any C is compiled.

    Code is not counted: the linker has the last word.
    """
    sizes = constants(program)
    needed, name = sum(sizes.values()), program.graph.name
    if needed <= board.flash.size:
        return
    largest = max(sizes, key=lambda op: sizes[op])
    raise DoesNotFit(
        f"{name} does not fit {board.name}: its constants alone are too large",
        memory="flash",
        needed=needed,
        available=board.flash.size,
        peak=f"{short_name(largest)}: {sizes[largest]:,} bytes of constants",
        hint="fewer channels" + _larger(ram=program.arena_bytes, flash=needed),
    )


def flash_parts(program: Program, error: DoesNotFit) -> Mapping[str, int]:
    """What an image that is too large for the flash fills it with."""
    size = sum(constants(program).values())
    return {"constants": size, "code and tables": error.needed - size}


def _weights(graph: Graph) -> int:
    """Bytes of all constants at a byte an element, as before quantisation nothing better is known."""
    return sum(t.size for t in graph.tensors.values() if t.data is not None)


def _larger(*, ram: int, flash: int) -> str:
    """The boards that have more than that, as the end of a hint."""
    names = [b.name for b in all_boards() if b.ram.size > ram and b.flash.size > flash]
    return f"; or a board with more memory: {', '.join(names)}" if names else ""
