"""The programs that take the least memory of all, for a model that fits in no way, and where they would fit."""

from __future__ import annotations

from tinycompile.backends import SHARED
from tinycompile.boards import Board
from tinycompile.ir import Graph
from tinycompile.schedule.banks import Memory
from tinycompile.schedule.candidate import Candidate
from tinycompile.schedule.search import Goal, every

SLACK = 512
"""Bytes by which an arena may be larger than the smallest: the stack of its kernels may be smaller by more."""
MOST = 3
"""Candidates that are worth building to see their stacks."""


def leanest(graph: Graph, board: Board, goal: Goal) -> tuple[Candidate, ...]:
    """The candidates with the smallest arenas on the whole front of bytes and cycles, the smallest first.

    At least one, at most ``MOST``, none with ``SLACK`` bytes more than the first. Of ``goal`` only the way in which the
    input comes counts. Raises as ``schedule`` does, but nothing has to fit.
    """
    ordered = sorted(every(graph, goal.prices(graph, board), goal), key=lambda one: one.bound)
    placed: list[Candidate] = []
    for one in ordered:
        if placed and one.bound >= min(c.placement.height for c in placed) + SLACK:
            break
        placed.append(one)
    placed.sort(key=lambda one: one.placement.height)
    return tuple(one for one in placed if one.placement.height < placed[0].placement.height + SLACK)[:MOST]


def fits_on(candidate: Candidate, board: Board, reserved: int, goal: Goal) -> bool:
    """Whether a board's banks hold a candidate with ``reserved`` bytes besides: itself, or where the core has other
    kernels, the leanest program of the same graph.

    Those are in the main one: other banks hold nothing but the arena.
    """
    if reserved > board.ram.size:
        return False
    runs = all(kernel.isa - SHARED <= board.abilities for kernel in candidate.kernels.values())
    found = (candidate,) if runs else leanest(candidate.graph, board, goal)
    return any(one.layout(Memory.of(board, reserved), compact=True) is not None for one in found)
