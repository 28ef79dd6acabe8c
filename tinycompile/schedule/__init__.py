"""Choose order, stages, kernels and addresses: from a graph to a program."""

from tinycompile.schedule.program import Bank, Call, Program, Span, Stream, View
from tinycompile.schedule.search import RESERVED, Goal, Least, schedule
from tinycompile.schedule.stages import Plan, Stage

__all__ = [
    "RESERVED",
    "Bank",
    "Call",
    "Goal",
    "Least",
    "Plan",
    "Program",
    "Span",
    "Stage",
    "Stream",
    "View",
    "schedule",
]
