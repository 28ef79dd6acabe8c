"""Choose order, patches, kernels and addresses: from a graph to a program."""

from tinycompile.schedule.program import Bank, Call, Loop, Program, Span, Stream, View
from tinycompile.schedule.search import RESERVED, Goal, schedule
from tinycompile.schedule.stages import Stage, Streams

__all__ = [
    "RESERVED",
    "Bank",
    "Call",
    "Goal",
    "Loop",
    "Program",
    "Span",
    "Stage",
    "Stream",
    "Streams",
    "View",
    "schedule",
]
