"""Assembly in the order that suits a Cortex-M7: two instructions a cycle, where they do not wait for each other.

List scheduling: cycle by cycle, of the instructions whose operands are there, those go first on which the longest
chain waits. Timing as in ``simulate.emulator.pipeline``: one multiply, two loads or one store, one shift a cycle;
loads and multiplies take two cycles, but a sum is there for the next multiply-accumulate after one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

_REGISTER = re.compile(r"\b(?:r\d+|lr|sp)\b")
_PLAIN = re.compile(
    r"(ldr|ldrb|str|strb|strh|uxtb|sxtb|ubfx|sbfx|lsl|lsr|asr|ssat|usat|add|sub|mov|cmp|mvn|pkhbt|pkhtb|sxtb16"
    r"|ssat16|sel|eor|uqsub8|qsub8|qadd8) "
    r"|(sadd16|ssub16|sxtab|sxtab16) |smla|smul|smmla|smmul"
)
EARLIER = 0.25
"""How much longer the chain behind an instruction must be for it to overtake the one before, in cycles: else sums that
are ready wait for all others, and the stores at the end for each other."""
_LIMITS = {"multiply": 1, "memory": 2, "shift": 1, "any": 2}


@dataclass(frozen=True)
class _Instruction:
    """One line, or lines that stay together because the last ones depend on flags."""

    lines: tuple[str, ...]

    @cached_property
    def name(self) -> str:
        return self.lines[0].split()[0]

    @cached_property
    def _operands(self) -> list[str]:
        return _REGISTER.findall(self.lines[0].partition(" ")[2])

    @cached_property
    def writes(self) -> frozenset[str]:
        if self.name.startswith(("str", "cmp")):
            found = {self.lines[0].split("sp")[1]} if "sp" in self.lines[0] and self.name != "cmp" else set()
        else:
            found = {self._operands[0]}
        if "], #" in self.lines[0] or self.lines[0].endswith("]!"):
            found.add(self._operands[-1])
        flags = {"flags"} if self.name == "cmp" or len(self.lines) > 1 else set()
        return frozenset(found | flags | ({self._operands[0]} if len(self.lines) > 1 else set()))

    @cached_property
    def reads(self) -> frozenset[str]:
        start = 0 if self.name.startswith(("str", "cmp")) else 1
        place = {self.lines[0].split("sp")[1]} if self.name == "ldr" and "sp" in self.lines[0] else set()
        return frozenset({*self._operands[start:], *place})

    @cached_property
    def adds_to(self) -> str:
        """The register that a multiply-accumulate adds to."""
        return self._operands[3] if self.name.startswith(("smla", "smmla")) else ""

    @cached_property
    def latency(self) -> int:
        return 2 if self.name.startswith(("ldr", "smla", "smul", "smmla", "smmul")) else 1

    @cached_property
    def needs(self) -> dict[str, int]:
        uses = {"any": 2 if len(self.lines) > 1 else 1}
        if self.name.startswith(("smla", "smul", "smmla", "smmul")):
            uses["multiply"] = 1
        if self.name.startswith(("ldr", "str")):
            uses["memory"] = 1 if self.name.startswith("ldr") else 2
        if (
            self.name.startswith(("ssat", "usat", "pkh", "sxtb", "sxtab", "uxtb", "ubfx", "sbfx", "lsl", "lsr", "asr"))
            or "asr" in self.lines[0]
        ):
            uses["shift"] = 1
        return uses


def ordered(lines: Iterable[str], dual: bool) -> tuple[str, ...]:
    """The lines as they are, or in the order that suits a core that issues two instructions a cycle."""
    return dual_issue(lines) if dual else tuple(lines)


def dual_issue(lines: Iterable[str]) -> tuple[str, ...]:
    """The same lines; those between labels, branches and changes of the stack pointer in a better order."""
    found: list[str] = []
    straight: list[str] = []
    for line in [*lines, "end:"]:
        flags = line.startswith("it ") or (straight and straight[-1].startswith("it "))
        if (_PLAIN.match(line) and not line.startswith(("add sp", "sub sp"))) or flags:
            straight.append(line)
            continue
        found += _scheduled(straight)
        found.append(line)
        straight = []
    return tuple(found[:-1])


def _joined(lines: Iterable[str]) -> Iterator[_Instruction]:
    """Compare, IT and move as one."""
    pending: list[str] = []
    for line in lines:
        if line.startswith("it "):
            pending.append(line)
        elif pending and pending[-1].startswith("it "):
            yield _Instruction((*pending, line))
            pending = []
        else:
            if pending:
                yield _Instruction(tuple(pending))
            pending = [line]
    if pending:
        yield _Instruction(tuple(pending))


def _scheduled(lines: Sequence[str]) -> Iterator[str]:
    code = list(_joined(lines))
    waits = [_waits(code, i) for i in range(len(code))]
    chain = [0] * len(code)
    for i in reversed(range(len(code))):
        for before, cycles in waits[i].items():
            chain[before] = max(chain[before], chain[i] + cycles)
    waiting = sorted(range(len(code)), key=lambda i: i * EARLIER - chain[i])
    issued: dict[int, int] = {}
    now = 0
    while waiting:
        free = dict(_LIMITS)
        for i in tuple(waiting):
            ready = all(b in issued and issued[b] + cycles <= now for b, cycles in waits[i].items())
            if ready and all(free[r] >= n for r, n in code[i].needs.items()):
                issued[i] = now
                waiting.remove(i)
                for r, n in code[i].needs.items():
                    free[r] -= n
                yield from code[i].lines
        now += 1


def _waits(code: Sequence[_Instruction], i: int) -> dict[int, int]:
    """The instructions before ``i`` that it must follow, and by how many cycles at least."""
    found: dict[int, int] = {}
    me = code[i]
    for b in range(i):
        before = code[b]
        if before.writes & me.reads:
            only_sum = before.writes & me.reads == {me.adds_to} and me.adds_to not in _factors(me)
            found[b] = 1 if only_sum and before.adds_to else before.latency
        elif before.writes & me.writes:
            found[b] = 1
        elif before.reads & me.writes:
            found[b] = 0
    return found


def _factors(i: _Instruction) -> Sequence[str]:
    return _REGISTER.findall(i.lines[0].partition(" ")[2])[1:3]
