"""What every operator answers; the operators themselves are in ``tinycompile.ops``, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol

from numpy.typing import ArrayLike

from tinycompile.errors import InternalError
from tinycompile.ir.tensor import Array, Names, Quant, Shape, Tensor
from tinycompile.ir.window import Window

Rounding = Literal["native", "tflite"]
Role = Literal["activation", "weight", "bias"]


@dataclass(frozen=True)
class IO:
    """The tensors of one op: its inputs (constants included), its output, and the graph's rounding."""

    inputs: tuple[Tensor, ...]
    out: Tensor
    rounding: Rounding = "native"

    @property
    def x(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def activations(self) -> tuple[Tensor, ...]:
        """The inputs that are not constants, in order."""
        return tuple(t for t in self.inputs if t.data is None)


@dataclass(frozen=True)
class Features:
    """What an op costs, before any board is known. Counts are for one inference."""

    macs: int = 0
    ops: int = 0
    """Other arithmetic: additions, comparisons, table look-ups."""
    stores: int = 0
    """Bytes written."""


@dataclass(frozen=True)
class Cut:
    """An op restricted to a window of its output, and the window of each input that it then reads.

    Windows of constants are None.
    """

    op: Op
    windows: tuple[Window | None, ...]


class OnnxWriter(Protocol):
    """Where ``to_onnx`` writes: a model under construction in which tensors keep the graph's names and layout."""

    def node(self, op_type: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Append a node; its output gets a fresh name unless ``output`` is given. Returns the output's name."""
        ...

    def constant(self, values: ArrayLike) -> str:
        """Add an initializer under a fresh name and return the name."""
        ...


@dataclass(frozen=True)
class Op:
    """One operator: a frozen value with attributes; subclasses answer the questions below.

    Every op has exactly one output. ``inputs`` may name constants; ``run`` gets all of them as arrays.
    """

    name: str
    inputs: Names
    output: str

    alias: ClassVar[bool] = False
    """The output is the input's bytes under another shape: no kernel, one buffer."""
    moves_data: ClassVar[bool] = False
    """Only copies or selects values, so the output shares the (first) input's quantisation."""

    def infer(self, *inputs: Tensor) -> Shape:
        """The output's shape; ImportFailed or InternalError where the inputs make no sense."""
        raise InternalError(f"{type(self).__name__} {self.name!r} has no shape")

    def to_onnx(self, io: IO, w: OnnxWriter) -> None:
        """Float meaning: write ONNX nodes (opset 17) that compute ``self.output`` from ``self.inputs``."""
        raise InternalError(f"{type(self).__name__} {self.name!r} has no float meaning")

    def run(self, io: IO, *inputs: Array) -> Array:
        """Integer meaning in NumPy: the specification, exact to the bit. Arrays have the shapes in ``io``."""
        raise InternalError(f"{type(self).__name__} {self.name!r} has no integer meaning")

    def role(self, index: int) -> Role:
        """How the quantizer treats input ``index``; weights are per channel on axis 0, bias is int32."""
        return "activation"

    def fixed_quant(self, io: IO) -> Quant | None:
        """The output quantisation, where the op's range is known beforehand (softmax: 1/256, -128)."""
        return None

    def parameters(self, io: IO) -> Mapping[str, Any]:
        """Finished numbers and arrays that ``run`` and the C template both use (multipliers, folded bias)."""
        return {}

    def restrict(self, io: IO, window: Window) -> Cut | None:
        """The op, and the input windows, that make just this window; None where the output cannot be cut."""
        return None

    def fold(self, io: IO) -> tuple[Cut, ...] | None:
        """For each row of the first input, the share of the work that takes it in: where all rows make one output
        row, and can be taken in one by one. None where there is no such way."""
        return None

    def accumulate(self, io: IO, state: Array, rows: Array, top: int) -> Array:
        """``state`` (int32[channels of the output], zeros at first) after the ``rows`` of the first input that begin
        with row ``top``; for ops that ``fold``."""
        raise InternalError(f"{type(self).__name__} {self.name!r} takes in no rows")

    def finish(self, io: IO, state: Array) -> Array:
        """The output, after all rows; for ops that ``fold``."""
        raise InternalError(f"{type(self).__name__} {self.name!r} takes in no rows")

    def lag(self, io: IO, index: int) -> int | None:
        """In place: bytes by which the output must start below input ``index``; None: keep apart."""
        return None

    def features(self, io: IO) -> Features:
        """What one execution costs."""
        return Features(ops=io.out.size, stores=io.out.nbytes)

    def label(self) -> str:
        """The operator's name for people, with its attributes."""
        mine = [f for f in fields(self) if f.name not in ("name", "inputs", "output")]
        shown = ", ".join(f"{f.name}={getattr(self, f.name)}" for f in mine)
        return f"{type(self).__name__}<{shown}>" if shown else type(self).__name__
