"""Which tensors must have one quantisation: those that ops copy between, and those that a file has fixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tinycompile.ir import DType, Graph, Op, Quant, Tensor
from tinycompile.ops.unary import Unary


@dataclass
class Groups:
    """Union-find over tensor names; a group may be pinned to a quantisation."""

    parent: dict[str, str] = field(default_factory=dict)
    pins: dict[str, Quant] = field(default_factory=dict)

    def root(self, name: str) -> str:
        """The name that stands for ``name``'s group."""
        while self.parent.setdefault(name, name) != name:
            self.parent[name] = self.parent[self.parent[name]]
            name = self.parent[name]
        return name

    def pin(self, name: str, quant: Quant) -> None:
        """Fix the quantisation of a group that has none yet."""
        self.pins.setdefault(self.root(name), quant)

    def join(self, a: str, b: str) -> bool:
        """Unite two groups; False, and no change, where they are pinned to different quantisations."""
        a, b = self.root(a), self.root(b)
        if a == b:
            return True
        mine, other = self.pins.get(a), self.pins.get(b)
        if mine is not None and other is not None and mine != other:
            return False
        self.parent[b] = a
        pin = mine or other
        if pin is not None:
            self.pins[a] = pin
        return True

    def pinned(self, name: str) -> Quant | None:
        """The quantisation that ``name`` must have, if any."""
        return self.pins.get(self.root(name))


@dataclass(frozen=True)
class Sharing:
    """A float graph, complete with the requantisations it needs, and the groups of its activations."""

    graph: Graph
    root: Mapping[str, str]
    """The group of every float activation, constant ones included."""
    pins: Mapping[str, Quant]
    """By group: quantisations that are already decided."""
    known: Mapping[str, Quant] = field(default_factory=dict)
    """By group: quantisations that hold every value its ops can produce."""

    def members(self) -> dict[str, list[str]]:
        """The tensors of each group."""
        found: dict[str, list[str]] = {}
        for name, root in self.root.items():
            found.setdefault(root, []).append(name)
        return found


def share(graph: Graph) -> Sharing:
    """Group the float activations of ``graph``.

    The file's annotations pin a group, and so do ranges known beforehand (softmax) that hold for all of its
    values. Where an op that only moves data stands between two annotations that differ, a requantisation (a
    ``Unary`` without steps) goes before it.
    """
    groups = Groups()
    names = activations(graph)
    for name in names:
        groups.root(name)
        quant = graph.tensors[name].quant
        if quant is not None:
            groups.pin(name, quant)
    ops: list[Op] = []
    tensors = dict(graph.tensors)
    for op in graph.ops:
        for cast in _joined(op, graph, groups):
            tensors[cast.output] = replace(tensors[cast.inputs[0]], name=cast.output, quant=None, data=None)
            groups.join(op.output, cast.output)
            op = replace(op, inputs=tuple(cast.output if n == cast.inputs[0] else n for n in op.inputs))
            ops.append(cast)
        ops.append(op)
    shared = graph.with_ops(ops, tensors)
    known = _known_ranges(shared, groups)
    for name in known if graph.rounding == "tflite" else shared.outputs:
        quant = known.get(groups.root(name))
        if quant is not None:
            groups.pin(name, quant)
    root = {name: groups.root(name) for name in activations(shared)}
    return Sharing(shared, root, {r: groups.pins[r] for r in set(root.values()) if r in groups.pins}, known)


def _known_ranges(graph: Graph, groups: Groups) -> dict[str, Quant]:
    """By group: the quantisation, where all its computed members come from ops of one and the same known range."""
    found: dict[str, set[Quant | None]] = {}
    copies = {op.output for op in graph.ops if op.moves_data}
    fixed = {op.output: op.fixed_quant(graph.io(op)) for op in graph.ops}
    for name in sorted(activations(graph) - copies):
        found.setdefault(groups.root(name), set()).add(fixed.get(name))
    single = {root: next(iter(quants)) for root, quants in found.items() if len(quants) == 1}
    return {root: quant for root, quant in single.items() if quant is not None}


def activations(graph: Graph) -> frozenset[str]:
    """float32 tensors that become int8 per tensor: everything but weights and biases."""
    produced = {*graph.inputs, *(op.output for op in graph.ops)}
    produced.update(op.inputs[i] for op in graph.ops for i in range(len(op.inputs)) if op.role(i) == "activation")
    return frozenset(name for name in produced if graph.tensors[name].dtype is DType.FLOAT32)


def _joined(op: Op, graph: Graph, groups: Groups) -> Iterable[Unary]:
    """Join a data-moving op's inputs with its output; the requantisations for those that cannot be."""
    if not op.moves_data or graph.tensors[op.output].dtype is not DType.FLOAT32:
        return
    for index, name in enumerate(dict.fromkeys(op.inputs)):
        moved = op.role(op.inputs.index(name)) == "activation" and _is_float(graph.tensors[name])
        if moved and not groups.join(op.output, name):
            yield Unary(f"{op.name}.requantize{index}", (name,), f"{op.output}.requantized{index}")


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype is DType.FLOAT32
