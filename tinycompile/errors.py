"""Every error a user can meet.

Each kind keeps what went wrong as fields, and its text says what failed, where, and what to try. ``exit_code``
is what the command line returns for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class TinycompileError(Exception):
    """Base of all errors that tinycompile raises on purpose: ``what`` failed, ``where``, and what to ``hint``."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(what, where, hint)

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.hint:
            lines.append(f"  try: {self.hint}")
        return "\n".join(lines)


class UsageError(TinycompileError):
    """The call itself makes no sense: an option's value, a missing file, an output folder in the way."""

    exit_code = 2


class ImportFailed(TinycompileError):
    """The model file cannot be read, or says something impossible."""

    exit_code = 3


@dataclass(frozen=True)
class Unsupported:
    """One node that cannot be compiled: its name, its operator, why, and the nearest form that can."""

    node: str
    op: str
    why: str
    nearest: str = ""

    def __str__(self) -> str:
        line = f"{self.op} {self.node!r}: {self.why}"
        return f"{line} (supported: {self.nearest})" if self.nearest else line


class UnsupportedOp(TinycompileError):
    """The model holds operators outside the supported set; names all of them at once."""

    exit_code = 4

    def __init__(self, problems: Sequence[Unsupported], *, where: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  - {p}" for p in self.problems)
        super().__init__(
            f"{count} operator{'s are' if count != 1 else ' is'} not supported:\n{lines}",
            where=where,
            hint="replace them before export; docs/operators.md lists every supported form",
        )


class QuantizationFailed(TinycompileError):
    """The calibration data is missing, empty, constant or of the wrong shape, or no scale can be found."""

    exit_code = 5


class DoesNotFit(TinycompileError):
    """The board's memory is too small; carries bytes needed and available, the peak, and what would do.

    ``parts`` says what an image uses that memory for, in bytes; it is empty before there is an image.
    """

    exit_code = 6

    def __init__(
        self,
        what: str,
        *,
        memory: str,
        needed: int,
        available: int,
        peak: str = "",
        hint: str = "",
        parts: Mapping[str, int] | None = None,
    ) -> None:
        self.memory, self.needed, self.available, self.peak = memory, needed, available, peak
        self.parts = dict(parts or {})
        lines = f"{what}\n  {memory}: needs {needed:,} bytes, {available:,} available ({needed - available:,} too many)"
        if parts:
            lines += "\n  in all: " + " + ".join(f"{name} {size:,}" for name, size in parts.items())
        super().__init__(f"{lines}\n  peak at {peak}" if peak else lines, hint=hint)
        self._said = what

    def using(self, parts: Mapping[str, int]) -> DoesNotFit:
        """The same error, which says what the memory is used for."""
        return DoesNotFit(
            self._said, memory=self.memory, needed=self.needed, available=self.available, peak=self.peak,
            hint=self.hint, parts=parts,
        )  # fmt: skip


class BoardError(TinycompileError):
    """A board is unknown, or its file has a wrong key or value."""

    exit_code = 7


class ToolchainError(TinycompileError):
    """A compiler or emulator is missing or failed; carries the command and its output."""

    exit_code = 8

    def __init__(self, what: str, *, command: Sequence[str] = (), output: str = "", hint: str = "") -> None:
        self.command, self.output = tuple(command), output
        tail = "\n".join(output.strip().splitlines()[-15:])
        super().__init__(f"{what}\n{tail}" if tail else what, hint=hint)


class EmulationFault(TinycompileError):
    """The firmware did what the chip forbids: an access outside its memory map, an undefined instruction, a hang."""

    exit_code = 9


class Mismatch(TinycompileError):
    """Two stages that must agree to the last bit do not; carries the first differing place and its values."""

    exit_code = 10


class InternalError(TinycompileError):
    """A broken invariant: a bug in tinycompile, never the user's fault."""

    exit_code = 70
