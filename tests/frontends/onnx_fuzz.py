"""Feeds damaged ONNX files to the front end: ``python -m tests.frontends.onnx_fuzz SEED COUNT FILE...``

Runs in a process of its own, limited to 2 GB of memory and 10 s a file, and prints one JSON object: how many files
were tried, accepted and refused, and every one that ended in anything but a graph or a TinycompileError.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import onnx

from tests.frontends.fuzz import main

NUMBERS = (-(2**63), -(2**31), -7, -1, 0, 1, 2, 3, 17, 4096, 2**24, 2**31, 2**40, 2**63 - 1)
"""Extents, axes, strides and sizes that break readers."""

Damage = Callable[[onnx.ModelProto, random.Random], None]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A damaged copy of a file: of its bytes, or of the model in it."""
    if rng.random() < 0.3:
        return _bytes(bytearray(data), rng)
    model = onnx.ModelProto()
    model.ParseFromString(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(DAMAGES)(model, rng)
    return model.SerializeToString()


def _bytes(data: bytearray, rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return bytes(data[: rng.randrange(len(data))])
    for _ in range(rng.choice((1, 2, 8, 64))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _dims(model: onnx.ModelProto, rng: random.Random) -> None:
    tensor = rng.choice(model.graph.initializer)
    if tensor.dims and rng.random() < 0.8:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    else:
        tensor.dims.append(rng.choice(NUMBERS))


def _values(model: onnx.ModelProto, rng: random.Random) -> None:
    """Other contents of a constant: for shapes and axes, other numbers."""
    tensor = rng.choice(model.graph.initializer)
    if tensor.data_type == onnx.TensorProto.STRING:
        return
    data = bytearray(tensor.raw_data)
    for _ in range(min(len(data), 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    tensor.raw_data = bytes(data)


def _type(model: onnx.ModelProto, rng: random.Random) -> None:
    rng.choice(model.graph.initializer).data_type = rng.randrange(0, 30)


def _input_shape(model: onnx.ModelProto, rng: random.Random) -> None:
    value = rng.choice([*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if dims:
        dims[rng.randrange(len(dims))].dim_value = rng.choice(NUMBERS)
    value.type.tensor_type.elem_type = rng.choice((1, 1, 1, 3, 7, rng.randrange(40)))


def _attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    nodes = [n for n in model.graph.node if n.attribute]
    if not nodes:
        return
    attribute = rng.choice(rng.choice(nodes).attribute)
    if attribute.ints and rng.random() < 0.7:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    elif rng.random() < 0.5:
        attribute.i = rng.choice(NUMBERS)
    elif rng.random() < 0.5:
        attribute.f = rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e38))
    else:
        attribute.type = rng.randrange(0, 12)


def _edge(model: onnx.ModelProto, rng: random.Random) -> None:
    """A node reads or writes another tensor: cycles, missing tensors, other ranks."""
    node = rng.choice(model.graph.node)
    names = [n for m in model.graph.node for n in (*m.input, *m.output)] + ["nothing", ""]
    field = node.input if rng.random() < 0.8 and node.input else node.output
    if field:
        field[rng.randrange(len(field))] = rng.choice(names)


def _arity(model: onnx.ModelProto, rng: random.Random) -> None:
    node = rng.choice(model.graph.node)
    field = rng.choice((node.input, node.output))
    if field and rng.random() < 0.6:
        del field[rng.randrange(len(field))]
    else:
        field.append(f"extra_{rng.randrange(3)}")


def _operator(model: onnx.ModelProto, rng: random.Random) -> None:
    """A node becomes another operator, of the same model or any that is read."""
    from tinycompile.frontends.onnx.registry import IMPORTERS

    domain, op_type = rng.choice(sorted(IMPORTERS))
    node = rng.choice(model.graph.node)
    node.domain, node.op_type = domain, op_type


def _drop(model: onnx.ModelProto, rng: random.Random) -> None:
    field = rng.choice((model.graph.node, model.graph.initializer, model.graph.input, model.graph.output))
    if field:
        del field[rng.randrange(len(field))]


def _repeat(model: onnx.ModelProto, rng: random.Random) -> None:
    field = rng.choice((model.graph.node, model.graph.initializer, model.graph.input, model.graph.output))
    if field:
        field.append(rng.choice(field))


def _opset(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.opset_import:
        rng.choice(model.opset_import).version = rng.choice((0, 1, 7, 9, 11, 13, 18, 21, 23, 24, 2**40))


DAMAGES: tuple[Damage, ...] = (
    _dims, _values, _values, _type, _input_shape, _attribute, _attribute, _attribute, _edge, _edge, _arity, _operator,
    _operator, _drop, _repeat, _opset,
)  # fmt: skip


def guarded(damage: Damage) -> Damage:
    """Damage that an earlier one may have left nothing to work on."""

    def apply(model: onnx.ModelProto, rng: random.Random) -> None:
        if model.graph.node and model.graph.initializer and model.graph.input and model.graph.output:
            damage(model, rng)

    return apply


DAMAGES = tuple(guarded(d) for d in DAMAGES)


def attempt(data: bytes) -> str:
    """ "accepted" or "refused"; a broken invariant, and anything else that happens, is raised."""
    from tinycompile import passes
    from tinycompile.errors import InternalError, TinycompileError
    from tinycompile.frontends import onnx as frontend

    try:
        passes.optimize(frontend.convert(frontend.parse(data, Path("damaged.onnx"))))
    except InternalError:
        raise
    except TinycompileError as error:
        assert str(error)
        return "refused"
    return "accepted"


if __name__ == "__main__":
    main(mutate, attempt)
