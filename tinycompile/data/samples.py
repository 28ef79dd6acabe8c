"""Samples for calibration, runs and evaluation, in the layout of the graph that takes them."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tinycompile.data.images import SUFFIXES, find_images, load_images
from tinycompile.data.layout import Layout, to_graph_layout
from tinycompile.data.preprocessing import Preprocessing
from tinycompile.errors import UsageError
from tinycompile.ir import Array, DType, Graph, Quant, Tensor

Arrays = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Samples:
    """N samples of every graph input.

    ``inputs[name]`` has the shape (N, *shape of that input in the graph), so ``inputs[name][i]`` is what the
    graph takes once ``encoded``: float32 real values, or integers that are in the input's own quantisation
    already. ``labels`` are N integers or None. ``quants[name]`` is the quantisation in which the data was
    stored, where it carried one.
    """

    inputs: Arrays
    labels: Array | None = None
    quants: Mapping[str, Quant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))
        object.__setattr__(self, "quants", MappingProxyType(dict(self.quants)))
        counts = {len(x) for x in self.inputs.values()} | ({len(self.labels)} if self.labels is not None else set())
        if len(counts) != 1:
            raise UsageError(f"inputs and labels differ in their number of samples: {sorted(counts)}")

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return (self.sample(i) for i in range(len(self)))

    def sample(self, index: int) -> dict[str, Array]:
        """One sample of every input."""
        return {name: x[index] for name, x in self.inputs.items()}

    def spread(self, limit: int | None) -> Samples:
        """At most ``limit`` samples, evenly spaced over all of them, in order: the same ones every time."""
        chosen = spread(len(self), limit)
        labels = self.labels[chosen] if self.labels is not None else None
        return Samples({name: x[chosen] for name, x in self.inputs.items()}, labels, self.quants)

    def encoded(self, graph: Graph) -> Samples:
        """The same samples as the inputs of ``graph`` take them: real values become integers by its
        quantisation.
        """
        return Samples({n: _encode(x, graph.tensors[n]) for n, x in self.inputs.items()}, self.labels, self.quants)


def spread(count: int, limit: int | None) -> Array:
    """Indices of at most ``limit`` of ``count`` samples, evenly spaced from the first one."""
    if limit is not None and limit < 1:
        raise UsageError(f"a limit of {limit} samples", hint="at least 1")
    kept = count if limit is None else min(count, limit)
    return (np.arange(kept, dtype=np.int64) * count) // max(kept, 1)


def load_samples(
    path: str | Path,
    graph: Graph,
    preprocessing: Preprocessing | None = None,
    *,
    layout: Layout | None = None,
    limit: int | None = None,
) -> Samples:
    """Samples from an .npz, an .npy, an image or a folder of images.

    An .npz holds ``x`` and optionally labels ``y``; or one array for each input, by its name; or
    ``in0/NAME``, ``in1/NAME`` ..., one sample each. Arrays are in the model file's layout or channels last,
    where shapes tell which (else ``layout`` must). Integers that come with ``scale`` and ``zero_point`` are
    dequantised by them; other integers count as real values, except those of the type that the model file's
    own input has: they are in its quantisation. ``preprocessing`` is applied to real values. ``limit`` keeps
    that many, evenly spaced. UsageError says what is wrong with the file: unreadable, empty, not finite, of
    the wrong shape or length.
    """
    path, how = Path(path), preprocessing or Preprocessing()
    if not path.exists():
        raise UsageError("no such file or folder", where=str(path))
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return _from_images(path, graph, how, limit)
    if path.suffix.lower() not in (".npz", ".npy"):
        raise UsageError(
            f"data of type {path.suffix or 'unknown'!r} cannot be read",
            where=str(path),
            hint="give an .npz with x (and y), an .npy, an image or a folder of images",
        )
    return samples_from_arrays(_read(path), graph, how, layout=layout, limit=limit, where=str(path))


def samples_from_arrays(
    arrays: Arrays,
    graph: Graph,
    preprocessing: Preprocessing | None = None,
    *,
    layout: Layout | None = None,
    limit: int | None = None,
    where: str = "samples",
) -> Samples:
    """Samples from arrays under the keys that ``load_samples`` describes for .npz files."""
    how = preprocessing or Preprocessing()
    carried = _carried(arrays, where)
    inputs, quants = {}, {}
    for name, raw in _by_input(arrays, graph, where).items():
        tensor, here = graph.tensors[name], f"{where}: input {name!r}"
        stacked = to_graph_layout(raw, graph, name, layout=layout, where=here)
        stacked = _checked(stacked[spread(len(stacked), limit)], here)
        stored = _stored_as(stacked, tensor, graph.port(name).dtype, carried)
        inputs[name] = _convert(stacked, stored, tensor, how, here)
        if stored is not None and how.keeps_values:
            quants[name] = stored
    return Samples(inputs, _labels(arrays, inputs, limit, where), quants)


def _read(path: Path) -> dict[str, Array]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"x": loaded}
        with loaded:
            return {key: loaded[key] for key in loaded.files}
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        reason = "it holds Python objects" if "allow_pickle" in str(error) else str(error) or type(error).__name__
        raise UsageError(
            f"cannot be read as NumPy data: {reason}",
            where=str(path),
            hint="save plain arrays with numpy.savez",
        ) from error


def _from_images(path: Path, graph: Graph, how: Preprocessing, limit: int | None) -> Samples:
    name = graph.inputs[0]
    shape = graph.tensors[name].shape
    if len(graph.inputs) != 1 or len(shape) != 4:
        raise UsageError(
            f"images fit a model with one image input; this one has {', '.join(graph.inputs)}",
            where=str(path),
            hint="give an .npz with one array for each input",
        )
    files, labels = find_images(path)
    chosen = spread(len(files), limit)
    pixels = load_images([files[i] for i in chosen], shape[1:], how)[:, None]
    real = _convert(pixels, None, graph.tensors[name], how, str(path))
    return Samples({name: real}, None if labels is None else labels[chosen])


def _by_input(arrays: Arrays, graph: Graph, where: str) -> dict[str, Array]:
    """The raw array of every graph input."""
    if all(name in arrays for name in graph.inputs):
        return {name: arrays[name] for name in graph.inputs}
    if "x" in arrays and len(graph.inputs) == 1:
        return {graph.inputs[0]: arrays["x"]}
    numbered = {name: _numbered(arrays, name) for name in graph.inputs}
    if all(numbered.values()):
        try:
            return {name: np.stack(found) for name, found in numbered.items()}
        except ValueError as error:
            raise UsageError(f"in0/... and the others differ in shape: {error}", where=where) from error
    wanted = "x, or " if len(graph.inputs) == 1 else ""
    raise UsageError(
        f"has the arrays {', '.join(arrays) or 'nothing'}",
        where=where,
        hint=f"save {wanted}one array for each input: {', '.join(graph.inputs)}",
    )


def _numbered(arrays: Arrays, name: str) -> list[Array]:
    """The arrays in0/NAME, in1/NAME ... in order."""
    found = [(int(m[1]), key) for key in arrays if (m := re.fullmatch(r"in(\d{1,9})/(.*)", key)) and m[2] == name]
    return [arrays[key] for _, key in sorted(found)]


def _carried(arrays: Arrays, where: str) -> Quant | None:
    """The quantisation that a file states for its integers."""
    if "scale" not in arrays or "zero_point" not in arrays:
        return None
    scale, zero_point = arrays["scale"], arrays["zero_point"]
    if scale.size != 1 or zero_point.size != 1 or not np.issubdtype(zero_point.dtype, np.integer):
        raise UsageError("scale and zero_point must be one number and one integer", where=where)
    if not (np.isfinite(scale).all() and float(scale.item()) > 0):
        raise UsageError(f"scale is {scale.item()}", where=where, hint="a scale is finite and above 0")
    return Quant.per_tensor(float(scale.item()), int(zero_point.item()))


def _checked(x: Array, where: str) -> Array:
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == np.bool_) or np.iscomplexobj(x):
        raise UsageError(f"holds {x.dtype} values, not numbers", where=where)
    if x.size == 0:
        raise UsageError(f"is empty: its shape is {x.shape}", where=where)
    if np.issubdtype(x.dtype, np.floating):
        bad = int(x.size - np.count_nonzero(np.isfinite(x)))
        if bad:
            raise UsageError(f"{bad} of {x.size} values are not finite", where=where, hint="remove those samples")
    return x


def _stored_as(x: Array, tensor: Tensor, file_dtype: str, carried: Quant | None) -> Quant | None:
    """The quantisation of integer data: what it carries, or that of a model file whose input has its type."""
    if not np.issubdtype(x.dtype, np.integer):
        return None
    if carried is not None:
        return carried
    if tensor.quant is None or x.dtype.name != file_dtype:
        return None
    # uint8 inputs become int8 at import, 128 lower.
    offset = 128 if file_dtype == "uint8" and tensor.dtype is not DType.INT16 else 0
    return Quant(tensor.quant.scale, tensor.quant.zero_point + offset)


def _convert(x: Array, stored: Quant | None, tensor: Tensor, how: Preprocessing, where: str) -> Array:
    """Raw data as real values; data in the very quantisation of an integer input stays integer."""
    if tensor.dtype is DType.INT32 and tensor.quant is None:
        return x.astype(np.int32)
    if stored is not None and how.keeps_values and tensor.dtype is DType.INT8 and _same_codes(stored, x, tensor):
        return (x.astype(np.int16) + (tensor.zero_point - stored.zero_point)).astype(np.int8)
    real = x.astype(np.float32) if stored is None else stored.decode(x)
    return real if how.keeps_values else how.apply(real, where=where)


def _same_codes(stored: Quant, x: Array, tensor: Tensor) -> bool:
    """Whether codes stored one way mean the same in ``tensor``, but for an offset of 0 or 128."""
    offset = stored.zero_point - tensor.zero_point
    return stored.scale == tensor.q.scale and (x.dtype.name, offset) in (("int8", 0), ("uint8", 128))


def _encode(x: Array, tensor: Tensor) -> Array:
    if tensor.dtype is DType.FLOAT32 or np.issubdtype(x.dtype, np.integer):
        return x
    return tensor.q.encode(x, tensor.dtype)


def _labels(arrays: Arrays, inputs: Arrays, limit: int | None, where: str) -> Array | None:
    if "y" not in arrays or "y" in inputs:
        return None
    y = arrays["y"]
    if not np.issubdtype(y.dtype, np.integer) or y.size != y.shape[0]:
        raise UsageError(f"y holds {y.dtype} of shape {y.shape}", where=where, hint="y is one integer a sample")
    chosen = spread(y.size, limit)
    count = len(next(iter(inputs.values())))
    if len(chosen) != count:
        raise UsageError(f"y has {y.size} labels for {count} samples", where=where)
    return y.reshape(-1)[chosen].astype(np.int64)
