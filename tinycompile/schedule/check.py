"""An independent test of a placement: step by step, byte by byte, sharing no search code with ``place``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from tinycompile.errors import InternalError
from tinycompile.schedule.place import Buffer, Placement, Problem
from tinycompile.schedule.program import Bank


def faults(problem: Problem, placement: Placement) -> tuple[str, ...]:
    """Everything that is wrong with a placement, in sentences; empty where it is right."""
    missing = {b.name for b in problem.buffers} ^ set(placement.offsets)
    if missing:
        return (f"buffers and offsets differ in {', '.join(sorted(missing))}",)
    return (*_misplaced(problem, placement), *_collisions(problem, placement), *_claims(problem, placement))


def check(problem: Problem, placement: Placement) -> None:
    """Raise ``InternalError`` that lists the faults of a placement, if it has any."""
    found = faults(problem, placement)
    if found:
        raise InternalError("the memory plan is wrong:\n" + "\n".join(f"  - {fault}" for fault in found))


def check_banks(problem: Problem, placement: Placement, banks: Sequence[Bank], sizes: Mapping[str, int]) -> None:
    """Raise ``InternalError`` where a buffer is not in one bank, or a bank larger than the ``sizes`` of regions."""
    found = bank_faults(problem, placement, banks, sizes)
    if found:
        raise InternalError("the memory plan is wrong:\n" + "\n".join(f"  - {fault}" for fault in found))


def bank_faults(
    problem: Problem, placement: Placement, banks: Sequence[Bank], sizes: Mapping[str, int]
) -> tuple[str, ...]:
    """What is wrong with the banks of a placement, in sentences."""
    found, end = [], 0
    for bank in banks:
        if bank.start != end or bank.start % problem.align:
            found.append(f"bank {bank.region} starts at {bank.start}: not where the one before ends, or not aligned")
        if bank.size > sizes.get(bank.region, 0):
            found.append(f"{bank.size} bytes in {bank.region}, which has {sizes.get(bank.region, 0)} for the arena")
        end = bank.start + bank.size
    if end != placement.height:
        found.append(f"the banks end at {end}, the arena at {placement.height}")
    if len({bank.region for bank in banks}) != len(banks):
        found.append("two banks lie in one region")
    for buffer in problem.buffers:
        low = placement.offsets[buffer.name]
        high = low + buffer.size
        if sum(bank.start <= low and high <= bank.start + bank.size for bank in banks) != 1:
            found.append(f"{buffer.name}, {buffer.size} bytes at {low}, does not lie in one bank")
    return tuple(found)


def _misplaced(problem: Problem, placement: Placement) -> list[str]:
    found = []
    for buffer in problem.buffers:
        offset = placement.offsets[buffer.name]
        if offset % buffer.align:
            found.append(f"{buffer.name} at {offset} is not aligned to {buffer.align}")
        if offset < 0 or offset + buffer.size > placement.height:
            found.append(f"{buffer.name}, {buffer.size} bytes at {offset}, leaves the arena of {placement.height}")
    return found


def _collisions(problem: Problem, placement: Placement) -> list[str]:
    lags = {(o.below, o.above): o.lag for o in problem.overlaps}
    found = set()
    for step in sorted({b.start for b in problem.buffers}):
        alive = [b for b in problem.buffers if b.start <= step < b.stop]
        for one, other in combinations(alive, 2):
            if _share_bytes(one, other, placement) and not _allowed(one, other, placement, lags):
                found.add(f"{one.name} and {other.name} share bytes while both are alive (step {step})")
    return sorted(found)


def _share_bytes(one: Buffer, other: Buffer, placement: Placement) -> bool:
    first, second = placement.offsets[one.name], placement.offsets[other.name]
    return first < second + other.size and second < first + one.size


def _allowed(one: Buffer, other: Buffer, placement: Placement, lags: dict[tuple[str, str], int]) -> bool:
    for below, above in ((one.name, other.name), (other.name, one.name)):
        lag = lags.get((below, above))
        if lag is not None and placement.offsets[below] + lag <= placement.offsets[above]:
            return True
    return False


def _claims(problem: Problem, placement: Placement) -> list[str]:
    found = []
    if placement.height < placement.bound:
        found.append(f"height {placement.height} is below the bound {placement.bound}")
    if placement.optimal and placement.height != placement.bound:
        found.append(f"called optimal, yet height {placement.height} is not the bound {placement.bound}")
    return found
