"""One node of an ONNX graph, with attributes that are checked where they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinycompile.errors import ImportFailed


class Rejected(Exception):
    """An importer's refusal of a node; the reason completes "Conv 'name': ..."."""


@dataclass(frozen=True, eq=False)
class Node:
    """An operator of the file: names of what it reads ("" where absent) and writes, and its attributes."""

    name: str
    domain: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Operator with its domain, where that is not the default one."""
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type

    @property
    def output(self) -> str:
        """The first output."""
        return self.outputs[0]

    def input(self, index: int) -> str:
        """Name of input ``index``; "" where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def _get(self, name: str, kinds: type | tuple[type, ...], default: Any) -> Any:
        value = self.attributes.get(name, default)
        if value is default:
            return default
        if not isinstance(value, kinds):
            raise ImportFailed(f"attribute {name!r} of {self.label} has the wrong type", where=f"node {self.name!r}")
        return value

    def integer(self, name: str, default: int = 0) -> int:
        """An integer attribute."""
        return int(self._get(name, int, default))

    def real(self, name: str, default: float = 0.0) -> float:
        """A float attribute."""
        return float(self._get(name, (float, int), default))

    def text(self, name: str, default: str = "") -> str:
        """A text attribute."""
        return str(self._get(name, str, default))

    def integers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
        """A list of integers; ``default`` where it is absent."""
        values = self._get(name, tuple, default)
        if values is not None and not all(isinstance(v, int) for v in values):
            raise ImportFailed(f"attribute {name!r} of {self.label} has the wrong type", where=f"node {self.name!r}")
        return values  # type: ignore[no-any-return]

    def reals(self, name: str, default: tuple[float, ...] = ()) -> tuple[float, ...]:
        """A list of floats."""
        values = self._get(name, tuple, default)
        if not all(isinstance(v, (int, float)) for v in values):
            raise ImportFailed(f"attribute {name!r} of {self.label} has the wrong type", where=f"node {self.name!r}")
        return tuple(float(v) for v in values)
