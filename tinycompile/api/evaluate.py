"""``tinycompile eval``: accuracy of the float model, the int8 host library and the emulated firmware."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from tinycompile.api.folder import Folder, open_folder
from tinycompile.api.run import answer, emulated_inference, host_inference
from tinycompile.data import Preprocessing, Samples, load_samples
from tinycompile.errors import Mismatch, UsageError
from tinycompile.ir import Array
from tinycompile.progress import Progress

Real = dict[str, Array]


@dataclass(frozen=True)
class Score:
    """What one stage achieved on ``samples`` inputs.

    ``accuracy`` needs labels; ``agreement`` (same winning class) and ``snr_db`` (of the first output) compare with the
    float model. None where there is nothing to compare with.
    """

    stage: str
    samples: int
    accuracy: float | None = None
    agreement: float | None = None
    snr_db: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores of all stages on one data set, and the firmware's cost of one inference."""

    scores: tuple[Score, ...]
    cycles: int | None = None
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, stage: str) -> Score:
        return next(score for score in self.scores if score.stage == stage)


def evaluate(
    folder: Path | str,
    data: Path | str,
    *,
    model: Path | str | None = None,
    preprocessing: Preprocessing | None = None,
    layout: Literal["NHWC", "NCHW"] | None = None,
    limit: int | None = None,
    emulated: int = 2,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a build folder on labelled data.

    ``model`` is the ONNX file it was built from (default: where the report found it); without it, or for other formats,
    the float stage is left out. The first ``emulated`` samples also run in the emulator and must equal the host.
    Raises UsageError for data that make no sense, Mismatch where emulator and host differ.
    """
    progress, opened = progress or Progress(), open_folder(Path(folder))
    samples = load_samples(Path(data), opened.graph, preprocessing, layout=layout, limit=limit)
    notes: list[str] = []
    with progress.stage("float model"):
        floats = _float_outputs(opened, model, samples, notes)
    with progress.stage("host"):
        encoded = list(samples.encoded(opened.graph))
        infer = host_inference(opened)
        stored = [infer(sample)[0] for sample in encoded]
        ints = [answer(opened, s, None).real for s in stored]
    scores = []
    if floats is not None:
        scores.append(_score("float", floats, samples.labels, None))
    scores.append(_score("host", ints, samples.labels, floats))
    cycles = None
    if emulated and opened.board.emulator is not None:
        with progress.stage("emulator"):
            cycles = _emulate(opened, encoded[:emulated], stored)
        count = min(emulated, len(encoded))
        labels = None if samples.labels is None else samples.labels[:count]
        scores.append(_score("emulator", ints[:count], labels, floats[:count] if floats else None))
    return Evaluation(tuple(scores), cycles, tuple(notes))


def _emulate(folder: Folder, inputs: list[Real], expected: list[Real]) -> int | None:
    """Cycles of one inference, after checking that every emulated output equals the host's."""
    infer, cycles = emulated_inference(folder), None
    for i, (sample, host) in enumerate(zip(inputs, expected, strict=False)):
        stored, cost = infer(sample)
        cycles = cost.cycles if cost else None
        for name, values in stored.items():
            if not np.array_equal(values, host[name]):
                raise Mismatch(f"emulator and host differ on sample {i}", where=name)
    return cycles


def _float_outputs(folder: Folder, model: Path | str | None, samples: Samples, notes: list[str]) -> list[Real] | None:
    """Real outputs of the model file in ONNX Runtime, or None where it cannot be run as floats."""
    path = Path(model) if model is not None else Path(folder.report["model"]["path"])
    if path.suffix.lower() != ".onnx":
        notes.append(f"{path.name} is not an ONNX file, so there is no float model to compare with")
        return None
    if not path.is_file():
        raise UsageError(f"the model {str(path)!r} is gone", hint="give its new place with --model")
    run = onnx_inference(path)
    graph = folder.graph
    found = []
    for sample in samples:
        real = {n: graph.port(n).to_file(_real(folder, n, x)) for n, x in sample.items()}
        outputs = run(real)
        found.append({n: _meaning(folder, n, np.asarray(outputs[n])) for n in graph.outputs if n in outputs})
    return found


def _meaning(folder: Folder, name: str, values: Array) -> Array:
    """Real values of an output of the file, whose type may be a quantised one."""
    tensor = folder.graph.tensors[name]
    if tensor.quant is None or values.dtype not in (np.int8, np.uint8):
        return values
    codes = values.astype(np.int16) - (128 if values.dtype == np.uint8 else 0)
    return tensor.q.decode(codes)


def _real(folder: Folder, name: str, x: Array) -> Array:
    """A sample as the model file takes it: integers stay integers where the file's input is one."""
    port, tensor = folder.graph.port(name), folder.graph.tensors[name]
    if port.dtype == "float32":
        return x if x.dtype == np.float32 else tensor.q.decode(x)
    stored = x if x.dtype == np.int8 else tensor.q.encode(x, tensor.dtype)
    return (stored.astype(np.int16) + 128).astype(np.uint8) if port.dtype == "uint8" else stored


def onnx_inference(path: Path) -> Callable[[Mapping[str, Array]], Real]:
    """The model file in ONNX Runtime on one thread: arrays in the file's layout by input name, outputs by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Its fused int8 kernels saturate 16-bit sums on some processors: a quantised file then means something else.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(None, dict(inputs)), strict=True))


def _score(stage: str, outputs: list[Real], labels: Array | None, floats: list[Real] | None) -> Score:
    mine = np.array([_winner(real) for real in outputs])
    accuracy = None if labels is None else float(np.mean(mine == labels))
    if floats is None or stage == "float":
        return Score(stage, len(outputs), accuracy)
    theirs = np.array([_winner(real) for real in floats])
    pairs = [(np.ravel(f[n]), np.ravel(o[n])) for f, o in zip(floats, outputs, strict=True) for n in list(f)[:1]]
    signal = sum(float(np.square(f.astype(np.float64)).sum()) for f, _ in pairs)
    noise = sum(float(np.square(f.astype(np.float64) - o).sum()) for f, o in pairs)
    snr = 10 * np.log10(signal / noise) if noise > 0 and signal > 0 else None
    return Score(stage, len(outputs), accuracy, float(np.mean(mine == theirs)), None if snr is None else float(snr))


def _winner(real: Real) -> int:
    """The class of one inference: the label where the model gives one, else the largest value of its first output."""
    first = np.ravel(next(iter(real.values())))
    return int(first[0]) if first.size == 1 else int(first.argmax())
