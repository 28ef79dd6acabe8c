"""Importers of ai.onnx.ml: the tail that skl2onnx appends to a classifier, and its simple linear models."""

from __future__ import annotations

import numpy as np

from tinycompile.frontends.onnx.builder import Builder
from tinycompile.frontends.onnx.node import Node, Rejected
from tinycompile.frontends.onnx.registry import importer
from tinycompile.ir import DType
from tinycompile.ops import Add, ArgMax, Dense, Mul, Softmax, Unary
from tinycompile.ops.unary import Step

ML = "ai.onnx.ml"


@importer(
    "ArrayFeatureExtractor", rule="constant class labels, picked by ArgMax; the label comes out as its index", domain=ML
)
def _labels(b: Builder, node: Node) -> None:
    classes = b.constant(node.inputs[0], "list of classes").ravel()
    index = b.tensor(node.inputs[1])
    if index.dtype is not DType.INT32 or index.size != 1:
        raise Rejected("its indices are not one label")
    b.name_classes(index.name, classes)
    b.bind(node.output, index.name)


@importer("ZipMap", rule="passes the probabilities on, in the order of the classes", domain=ML)
def _zip_map(b: Builder, node: Node) -> None:
    b.bind(node.output, b.operand(node.inputs[0]))


@importer("LabelEncoder", rule="class names or numbers of an index", domain=ML)
def _label_encoder(b: Builder, node: Node) -> None:
    index = b.tensor(node.inputs[0])
    keys = node.integers("keys_int64s") or ()
    values = node.attributes.get("values_strings") or node.attributes.get("values_int64s") or ()
    if index.dtype is not DType.INT32 or keys != tuple(range(len(values))) or not values:
        raise Rejected("it does not map the indices 0, 1, 2 .. of a label")
    b.name_classes(index.name, np.array(values))
    b.bind(node.output, index.name)


@importer("Scaler", rule="any constant offset and scale", domain=ML)
def _scaler(b: Builder, node: Node) -> None:
    x = b.tensor(node.inputs[0])
    scale = np.array(node.reals("scale"), np.float32)
    offset = np.array(node.reals("offset"), np.float32)
    if any(v.size not in (1, x.shape[-1]) for v in (scale, offset)):
        raise Rejected(f"its offset and scale do not fit {x.shape}")
    shape = (*(1 for _ in x.shape[:-1]), x.shape[-1])
    factor = b.put(f"{node.output}/scale", np.broadcast_to(scale, shape))
    shift = b.put(f"{node.output}/shift", np.broadcast_to(-offset * scale, shape))
    product = b.add(Mul, (x.name, factor), f"{node.output}/scaled")
    b.bind(node.output, b.add(Add, (product, shift), node.output))


@importer("LinearRegressor", rule="post_transform NONE", domain=ML)
def _regressor(b: Builder, node: Node) -> None:
    if node.text("post_transform", "NONE") != "NONE":
        raise Rejected(f"its post_transform is {node.text('post_transform')}")
    b.bind(node.output, _linear(b, node, node.integer("targets", 1), node.output))


@importer(
    "LinearClassifier", rule="post_transform NONE, SOFTMAX or LOGISTIC; labels come out as their index", domain=ML
)
def _classifier(b: Builder, node: Node) -> None:
    labels = node.attributes.get("classlabels_strings") or node.attributes.get("classlabels_ints") or ()
    transform = node.text("post_transform", "NONE")
    if transform not in ("NONE", "SOFTMAX", "LOGISTIC") or len(labels) < 2:
        raise Rejected(f"its post_transform is {transform}, with {len(labels)} classes")
    scores = _linear(b, node, len(labels), f"{node.outputs[-1]}/scores", binary=transform == "LOGISTIC")
    label = b.add(ArgMax, (scores,), node.outputs[0], DType.INT32, axis=1, keepdims=False)
    b.name_classes(label, np.array(labels))
    b.bind(node.outputs[0], label)
    if transform == "SOFTMAX":
        scores = b.add(Softmax, (scores,), node.outputs[1])
    elif transform == "LOGISTIC":
        scores = b.add(Unary, (scores,), node.outputs[1], steps=(Step("sigmoid"),))
    b.bind(node.outputs[1], scores)


def _linear(b: Builder, node: Node, rows: int, output: str, binary: bool = False) -> str:
    """coefficients x + intercepts; two classes may share one row, with the other class its negative."""
    x = b.tensor(node.inputs[0])
    coefficients = np.array(node.reals("coefficients"), np.float32)
    intercepts = np.array(node.reals("intercepts"), np.float32)
    if binary and rows == 2 and coefficients.size == x.shape[-1]:
        coefficients = np.concatenate([-coefficients, coefficients])
        intercepts = np.concatenate([-intercepts, intercepts])
    if len(x.shape) != 2 or coefficients.size != rows * x.shape[-1] or intercepts.size not in (0, rows):
        raise Rejected(f"its coefficients do not fit {rows} rows of {x.shape}")
    operands = [x.name, b.put(f"{output}/coefficients", coefficients.reshape(rows, -1))]
    if intercepts.size:
        operands.append(b.put(f"{output}/intercepts", intercepts))
    return b.add(Dense, operands, output)
